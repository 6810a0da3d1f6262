"""Ledger -> EMR: who gets what tonight, in which order, and when to stop (`writing.py` sends one thing).

Within a patient: goals, then plans, then tasks, since links go that way. Serial on purpose: the
order per patient is kept, and some servers (HAPI 5) fail on parallel first writes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Container, Iterable
from typing import Any

import sqlalchemy as sa

from cm_service.db import care, ledger
from cm_service.db.engine import Database
from cm_service.errors import CmError, DeliveryStopped, EmrRefused, NotFhir
from cm_service.fhir.capability import Capability
from cm_service.fhir.client import FhirClient
from cm_service.flow.book import Book, Pace
from cm_service.flow.passport import Examination
from cm_service.flow.rungs.base import Rung
from cm_service.flow.rungs.native import Native
from cm_service.flow.writing import Writing
from cm_service.logs import log

ORDER = {"Goal": 0, "CarePlan": 1, "Task": 2, "Consent": 3, "Encounter": 4, "Communication": 5}
TRIES = 3  # of one thing in one night


class Delivery:
    """One run's writes to one EMR. `now` stamps the ledger; `book` counts what happened, `has_asked` says
    whether the EMR was spoken to at all."""

    def __init__(
        self,
        *,
        db: Database,
        client: FhirClient,
        emr: str,
        now: dt.datetime,
        examination: Examination,
        pace: Pace,
        progress: Callable[[str], None],
    ) -> None:
        self.db, self.client, self.emr = db, client, emr
        self.examination, self.progress, self.pace = examination, progress, pace
        self.book = Book(db, client, emr=emr, profile=examination.profile, now=now, pace=pace)
        self.has_asked = False
        self.stopped_by = ""

    async def run(self, *, max_new: int | None) -> None:
        """Look up what is unknown, then send what is pending, most urgent patients first."""
        with self.db.read() as connection:
            if not ledger.outline(connection, self.emr, "pending", "unknown"):
                return
        try:
            capability = await self._capability()
            self.has_asked = True
            self.examination.promised(capability)
            self.book.open(rungs(self.client, capability))
            writing = Writing(self.book)
            await self._look_up_unknown(writing)
            for rows in self._tonight(writing, max_new):
                await self._patient(writing, rows)
        except CmError as stop:
            self.stopped_by = str(stop)

    async def _capability(self) -> Capability:
        """An EMR that hides /metadata promises nothing: then everything is searched before it is sent."""
        try:
            return await self.client.capability()
        except (EmrRefused, NotFhir):
            return Capability()

    async def _look_up_unknown(self, writing: Writing) -> None:
        with self.db.read() as connection:
            rows = ledger.outline(connection, self.emr, "unknown")
        for row in rows:
            await writing.look_up(row.id)

    def _tonight(self, writing: Writing, max_new: int | None) -> list[list[Any]]:
        with self.db.read() as connection:
            pending = ledger.outline(connection, self.emr, "pending")
        for row in pending:
            if not self._is_held(row):
                writing.drop_if_never_needed(row)
        with self.db.read() as connection:
            rows = ledger.outline(connection, self.emr)
            here = frozenset(care.patients(connection, self.emr))
        return in_order([row for row in rows if not self._is_held(row)], here, max_new)

    def _is_held(self, row: Any) -> bool:
        """Whoever did it may still undo it."""
        return row.held_until is not None and row.held_until > self.book.now

    async def _patient(self, writing: Writing, rows: list[Any]) -> None:
        for row in rows:
            if row.state == "pending" and not row.deleted:
                await self._intent(writing, row.id)
        self.progress(f"{self.book.figures['written']} written")

    async def _intent(self, writing: Writing, intent_id: int) -> None:
        """Send one thing, waiting when the EMR says so."""
        wait: float | None = None
        for _ in range(TRIES):
            wait = await self._one(writing, intent_id)
            if wait is None:
                return
            await self.pace.sleep(wait)
        if wait:
            raise DeliveryStopped("the EMR keeps answering that it is busy")

    async def _one(self, writing: Writing, intent_id: int) -> float | None:
        """A row over which our own code stumbles is parked: the others have a right to their night."""
        try:
            return await writing.send(intent_id)
        except (CmError, sa.exc.SQLAlchemyError, OSError):
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is about this row
            kind = type(fault).__name__
            log.error("a row of the ledger cannot be sent", intent=intent_id, kind=kind)
            writing.park(intent_id, f"a fault of ours while sending it ({kind}): please report it")
            return None


def rungs(client: FhirClient, capability: Capability) -> dict[str, Rung]:
    """Every rung that this service can put an intent on, by its name in the ledger."""
    return {each.name: each for each in (Native(client, capability),)}


def in_order(rows: Iterable[Any], here: Container[str], max_new: int | None) -> list[list[Any]]:
    """Patients with something pending, most urgent first; of those who have nothing of ours in the
    EMR yet at most `max_new`, since nobody can call three hundred people on the first morning.
    Nothing is sent for a patient who is not `here` any more."""
    patients: dict[str, list[Any]] = {}
    for row in rows:
        patients.setdefault(row.patient_id, []).append(row)
    waiting = [
        mates
        for who, mates in patients.items()
        if who in here and any(row.state == "pending" and not row.deleted for row in mates)
    ]
    waiting.sort(key=lambda mates: (_urgency(mates), mates[0].patient_id))
    known = [mates for mates in waiting if any(row.attempts or row.reference for row in mates)]
    new = [mates for mates in waiting if not any(row.attempts or row.reference for row in mates)]
    chosen = known + (new if max_new is None else new[:max_new])
    return [sorted(mates, key=lambda row: (ORDER[row.kind], row.id)) for mates in chosen]


def _urgency(mates: list[Any]) -> int:
    return min(int(row.urgency) for row in mates if row.state == "pending")
