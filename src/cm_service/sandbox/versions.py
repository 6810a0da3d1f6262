"""One version of a resource, and the keys under which the store finds it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from cm_service.sandbox.matching import references, tokens
from cm_service.sandbox.parameters import EVERY
from cm_service.sandbox.wire import Resource

_IDENTIFIER = EVERY["Patient"]["identifier"]
Identifier = tuple[str | None, str]


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One version. `by` is load, client or clinician; a deletion has no resource and no body.

    `resource` must not be changed by anybody who is handed it; `body` is its JSON. `sent` is what the
    client sent, where the EMR keeps less than that. `position` is its place in the journal, `knew` the
    newest version that the client had been shown when it wrote this one.
    """

    type: str
    id: str
    number: int
    updated: dt.datetime
    method: str
    by: str
    resource: Resource | None
    body: bytes
    sent: Resource | None = None
    position: int = 0
    knew: int = 0

    @property
    def key(self) -> str:
        return f"{self.type}/{self.id}"


def identifiers(version: Version) -> set[Identifier]:
    """What it carries."""
    return set(tokens(_IDENTIFIER, version.resource or {}))


def ever_carried(version: Version) -> set[Identifier]:
    """What it carries or was sent with."""
    return identifiers(version) | set(tokens(_IDENTIFIER, version.sent or {}))


def patients(version: Version) -> set[str]:
    """`Patient/id` of its subjects."""
    known = EVERY.get(version.type, {})
    subject = known.get("patient", known.get("subject"))
    return set(references(subject, version.resource or {})) if subject else set()
