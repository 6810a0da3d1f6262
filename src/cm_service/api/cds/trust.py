"""Which EMR is calling: its JWT, for exactly this address, once (CDS Hooks 2.0.1, trusting CDS clients)."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from cm_service.api.doorway import Doorway, doorway
from cm_service.api.security import signed
from cm_service.api.security.key_sets import PublicKey
from cm_service.api.security.signed import Header, NotTrusted
from cm_service.db import connections
from cm_service.errors import CmError

# The private key of this identity lies in a public repository: good for trying on loopback only.
PUBLIC_TEST_ISSUER = "https://sandbox.cds-hooks.org"


class Keys(NamedTuple):
    jwks: dict[str, Any] | None
    jwks_url: str | None


async def calling_emr(request: Request, *, path: str, seconds: float) -> Any:
    """The row of the EMR that signed this call. Raises HTTPException 401, for whatever reason alike,
    also where the EMR's keys do not come within these seconds."""
    door = doorway(request)
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise _refused("a JWT of a registered EMR is needed")
    found: dict[str, Any] = {}

    async def key_of(issuer: str, header: Header) -> PublicKey | None:
        row = await run_in_threadpool(_emr_of, door, issuer)
        if row is None or (issuer == PUBLIC_TEST_ISSUER and not door.is_local):
            return None
        found[issuer] = row
        async with asyncio.timeout(seconds):
            return await door.keys.key(Keys(row.cds_jwks, row.cds_jwks_url), header)

    try:
        address = f"{door.public_url}{path}"
        claims = await signed.checked(token, key_of=key_of, audiences=(address,), now=door.clock())
        if not await run_in_threadpool(door.use_once, claims):
            raise NotTrusted("this token was used before")
    except TimeoutError as error:
        raise _refused("the EMR's key set did not come in time") from error
    except CmError as error:
        raise _refused(str(error)) from error
    return found[claims.issuer]


def _refused(words: str) -> HTTPException:
    return HTTPException(401, words, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _emr_of(door: Doorway, issuer: str) -> Any | None:
    with door.store.read() as connection:
        return connections.emr_of_cds_issuer(connection, issuer)
