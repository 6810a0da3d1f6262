"""What goes wrong in a campaign besides the network: the process dies, and people are at work in the EMR."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from cm_service.db.engine import Database
from cm_service.fhir import rawjson
from cm_service.flow import ours
from cm_service.flow.ours import Json
from cm_service.sandbox.exchange import BrokenConnectionError, Handler, Incoming, Outgoing
from cm_service.sandbox.faults import Change
from cm_service.sandbox.plan import FaultKind
from cm_service.sandbox.versions import Identifier

KINDS = ("CarePlan", "Goal", "Task")
# A proxy that sends a create twice to an EMR whose index stands makes a copy that nobody who sends once
# can prevent: a world has the one harm or the other.
_EVER = (
    FaultKind.DELAY,
    FaultKind.DROP_BEFORE,
    FaultKind.DROP_AFTER,
    FaultKind.CUT,
    FaultKind.LATE,
    FaultKind.STATUS,
    FaultKind.HTML,
    FaultKind.EDITED,
    FaultKind.DELETED,
)
FLAVOURS: tuple[tuple[FaultKind, ...], ...] = (
    (*_EVER, FaultKind.STALE_INDEX, FaultKind.STRIPPED),
    (*_EVER, FaultKind.DUPLICATE),
    (*_EVER, FaultKind.DUPLICATE, FaultKind.STRIPPED),
)


_STATUS = frozenset({"status", "lifecycleStatus"})


class Crash(BaseException):
    """The process is dead. No code of the product may catch this, as none survives a SIGKILL."""


def steady(seconds: float) -> float:
    """In steps of powers of two, so that the jitter of the client's waits changes no figure."""
    return 2.0 ** round(math.log2(seconds)) if seconds > 0 else 0.0


class Life:
    """A process that ends now and then, at a request or at a transaction. `deaths` counts them."""

    def __init__(self, rng: random.Random, *, at_requests: float, at_transactions: float) -> None:
        self._rng = rng
        self._at_requests, self._at_transactions = at_requests, at_transactions
        self.immortal = False
        self.deaths = 0

    def _danger(self, share: float) -> None:
        if not self.immortal and self._rng.random() < share:
            self.deaths += 1
            raise Crash

    def around(self, inner: Handler) -> Handler:
        """Dies before a request has left, or when the EMR has acted and nobody has heard its answer."""

        async def handle(incoming: Incoming) -> Outgoing:
            self._danger(self._at_requests / 2)
            try:
                return await inner(incoming)
            finally:
                self._danger(self._at_requests / 2)

        return handle

    def transaction(self) -> None:
        self._danger(self._at_transactions / 2)


class MortalDatabase(Database):
    """The store of a process that may die before a transaction begins, or when it is committed."""

    def __init__(self, whole: Database, life: Life) -> None:
        self.url, self.lock_dir, self.is_sqlite = whole.url, whole.lock_dir, whole.is_sqlite
        self.engine = whole.engine
        self._life = life

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        self._life.transaction()
        with super().write() as connection:
            yield connection
        self._life.transaction()


class LostAnswers:
    """Which of our things were in a write whose outcome its sender cannot know: counted on the way, so
    that no ledger is asked."""

    def __init__(self, inner: Handler) -> None:
        self._inner = inner
        self.about: set[Identifier] = set()

    async def __call__(self, incoming: Incoming) -> Outgoing:
        try:
            outgoing = await self._inner(incoming)
        except (BrokenConnectionError, Crash):
            self._note(incoming)
            raise
        is_fhir = "json" in outgoing.headers.get("Content-Type", "json")
        if outgoing.cut is not None or not is_fhir or outgoing.status >= 500:
            self._note(incoming)
        return outgoing

    def _note(self, incoming: Incoming) -> None:
        if incoming.method in ("POST", "PUT") and incoming.type in KINDS:
            for each in rawjson.loads(incoming.body).get("identifier", []):
                self.about.add((each["system"], each["value"]))


class Clinicians:
    """People who work in the EMR's own screens, in the very resources that we write."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._number = 0

    def edit(self, _request: int = 0) -> Change:
        """One person's change to one resource."""
        self._number += 1
        number, pick = self._number, self._rng.random()

        def change(resource: Json) -> None:
            if pick < 0.3:
                resource.setdefault("note", []).append({"text": f"seen at the visit, {number}"})
            else:
                resource.update(_theirs(resource, number))

        return change


def _theirs(resource: Json, number: int) -> Json:
    """Elements that we write too, with values that we never write. Nobody reopens what is closed."""
    kind = resource["resourceType"]
    if kind == "Goal":
        changes: list[Json] = [
            {"description": {"text": f"as agreed with the patient, {number}"}},
            {"lifecycleStatus": "active"},
            {"startDate": f"2028-02-{number % 28 + 1:02}"},
        ]
    elif kind == "CarePlan":
        changes = [
            {"title": f"our plan, {number}"},
            {"description": f"talked over, {number}"},
            {"status": "active"},
        ]
    else:
        changes = [
            {"owner": {"display": f"nurse {number}"}},
            {"description": f"she prefers the afternoon, {number}"},
            {"status": "in-progress"},
            {"status": "completed"},
            {"priority": "stat"},
        ]
    may = [each for each in changes if not (ours.is_closed(resource) and each.keys() & _STATUS)]
    return may[number % len(may)]
