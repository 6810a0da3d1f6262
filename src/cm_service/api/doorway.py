"""What the doors of one process share: the two stores, the clock, the keys, the public address."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request

from cm_service.api.nights import Nights
from cm_service.api.security.key_source import KeySource
from cm_service.api.security.signed import Claims
from cm_service.db import doors
from cm_service.db.engine import Database
from cm_service.db.sealed import Sealer
from cm_service.fhir.credentials import is_loopback
from cm_service.fhir.keyring import KeyRing
from cm_service.flow.nightly import Tools

TOKEN_LIFE = dt.timedelta(seconds=300)  # SMART: a backend service's token should not live longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorway:
    """`store` holds the practice, `database` the doors' own tables (on PostgreSQL the same)."""

    store: Database
    database: Database
    clock: Callable[[], dt.datetime]
    keys: KeySource  # of others
    ring: KeyRing  # our own
    tools: Tools
    nights: Nights
    sealer: Sealer  # for cursors: they name patients
    identifier_base: str
    public_url: str  # without a slash at its end
    token_life: dt.timedelta = TOKEN_LIFE

    @property
    def is_local(self) -> bool:
        """Is this service for trying only, reached on loopback?"""
        return is_loopback(urlsplit(self.public_url).hostname or "")

    def client(self, client_id: str) -> Any | None:
        with self.database.read() as connection:
            return doors.client(connection, client_id)

    def use_once(self, claims: Claims) -> bool:
        """Has nobody used this signed token before? Committed before anything is answered."""
        return doors.use_once(
            self.database, issuer=claims.issuer, jti=claims.jti, expires_at=claims.expires_at
        )


def doorway(request: Request) -> Doorway:
    found: Doorway = request.app.state.doorway
    return found
