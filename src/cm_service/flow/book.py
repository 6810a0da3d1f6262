"""The ledger as one run of deliveries keeps it: short transactions, the run's figures, and the gate."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple

from cm_service.db import connections, holds, ledger, placements
from cm_service.db.engine import Database
from cm_service.errors import DeliveryStopped, EmrRefused
from cm_service.fhir.client import FhirClient
from cm_service.fhir.vendor import Profile, Verb
from cm_service.fhir.writes import WriteResult
from cm_service.flow import passport, whose
from cm_service.flow.ours import Json
from cm_service.flow.rungs import care_gap
from cm_service.flow.rungs.base import Rung

# A first morning is 50 new patients (`--max-new`) with fewer than ten things each, and some hundred
# updates; whoever sends four times that has run away. `emr set S max-writes=N` says otherwise.
USUAL_MAX_WRITES = 2000
_OPERATIONS = {(care_gap.TYPE, "create"): str(Verb.SUBMIT_CARE_GAPS)}  # what no plain create is


class Pace(NamedTuple):
    """`clock` is the real one; `quiet` how long after a request nothing is concluded from not finding
    what it brought; `sleep` waits seconds."""

    clock: Callable[[], dt.datetime]
    quiet: dt.timedelta
    sleep: Callable[[float], Awaitable[None]]


class Book:
    """`now` stamps rows; `figures` counts what happened; `fresh` keeps what was just created."""

    def __init__(
        self,
        db: Database,
        client: FhirClient,
        *,
        emr: str,
        profile: Profile,
        now: dt.datetime,
        pace: Pace,
    ) -> None:
        self.db, self.client, self.emr, self.profile = db, client, emr, profile
        self.now, self.pace = now, pace
        self.figures: Counter[str] = Counter()
        self.fresh = passport.FreshWrites()
        self._rungs: Mapping[str, Rung] = {}
        with db.read() as connection:
            self.passport = passport.load(connection, emr, profile)

    def open(self, rungs: Mapping[str, Rung]) -> None:
        """Before the first row: what the EMR promises decides what the rungs can do."""
        self._rungs = rungs
        with self.db.read() as connection:
            self.passport = passport.load(connection, self.emr, self.profile)

    def rung(self, row: Any) -> Rung:
        return self._rungs[row.rung]

    @property
    def rungs(self) -> Iterable[Rung]:
        return self._rungs.values()

    def row(self, intent_id: int) -> Any:
        with self.db.read() as connection:
            return ledger.one(connection, intent_id)

    def move(self, row: Any, **columns: Any) -> None:
        with self.db.write() as connection:
            ledger.move(connection, row.placement_id, now=self.now, **columns)

    def stood_before(self, row: Any) -> bool:
        """Does an older placement of this intent stand in the EMR?"""
        with self.db.read() as connection:
            return placements.stood(connection, row)

    def was_acted_on(self, row: Any) -> bool:
        """Did a person make it or change it here, and not take that back?"""
        with self.db.read() as connection:
            return holds.acted_on(connection, row)

    def take(self, row: Any, current: Json) -> bool:
        """Record what the EMR holds; True if what we last sent is there. What it says otherwise and we
        never said is a person's; what we want otherwise by now is sent as an update."""
        with self.db.write() as connection:
            row = ledger.one(connection, row.id)
            seen = whose.look(row, current, self.rung(row).build(connection, row))
            state = "written" if seen.settled else "pending"
            columns = whose.columns(row, current, seen)
            kept = {"state": state, "reason": None, "attempts": 0, "missed_at": None}
            ledger.move(connection, row.placement_id, now=self.now, **kept, **columns)
        return seen.arrived

    def note_seen(self, row: Any, current: Json) -> whose.Seen:
        """What was read just before a write; the state stays. `row` as it was before it was claimed: what
        was sent then may have arrived late, and is no person's either."""
        with self.db.write() as connection:
            earlier, row = row.sent, ledger.one(connection, row.id)
            seen = whose.look(row, current, self.rung(row).build(connection, row), earlier=earlier)
            ledger.move(connection, row.placement_id, now=self.now, **whose.columns(row, current, seen))
        return seen

    def count(self, row: Any) -> None:
        self.figures["written"] += 1
        self.figures[f"written {self.rung(row).type_of(row)}"] += 1

    async def ask(self, row: Any, verb: str, request: Callable[[], Awaitable[WriteResult]]) -> WriteResult:
        """The answer to the one request, if it may be sent at all; what it proves of the verb goes into
        the passport. Every write to an EMR passes here. Raises DeliveryStopped."""
        self._gate()
        self.figures["requests"] += 1
        try:
            result = await request()
        except EmrRefused as refusal:
            self.note(row, verb, refusal.status)
            raise
        self.note(row, verb, result.status)
        return result

    def _gate(self) -> None:
        """Asked before each write: a person who stops the writing means now."""
        emr = self._emr()
        if emr.paused_at is not None:
            raise DeliveryStopped(f"it is paused; `cm-service emr resume {self.emr}` lets it go on")
        most = emr.max_writes if emr.max_writes is not None else USUAL_MAX_WRITES
        if self.figures["requests"] >= most:
            text = f"{most} writes are the most in one night; `emr set {self.emr} max-writes=N` changes that"
            raise DeliveryStopped(text)

    @property
    def is_paused(self) -> bool:
        return self._emr().paused_at is not None

    def _emr(self) -> Any:
        with self.db.read() as connection:
            return connections.get_emr(connection, self.emr)

    def note(self, row: Any, verb: str, status: int) -> None:
        """What an answer proves goes into the passport, and what is chosen next goes by that."""
        kind = self.rung(row).type_of(row)
        verb = _OPERATIONS.get((kind, verb), verb)
        with self.db.write() as connection:
            passport.note(connection, emr=row.emr, resource=kind, verb=verb, status=status, now=self.now)
            if status >= 300 or self.passport.effective(kind, verb).state != passport.State.PROVEN:
                self.passport = passport.load(connection, self.emr, self.profile)
