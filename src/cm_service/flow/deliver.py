"""Ledger -> EMR: who gets what tonight, in which order, and when to stop (`writing.py` sends one thing).

Within a patient: goals, then plans, then tasks, since links go that way. Serial on purpose: the
order per patient is kept, and some servers (HAPI 5) fail on parallel first writes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Container, Iterable
from typing import Any

import sqlalchemy as sa

from cm_service.db import care, ledger, placements
from cm_service.db.engine import Database
from cm_service.errors import CmError, DeliveryStopped
from cm_service.fhir.capability import Capability
from cm_service.fhir.client import FhirClient
from cm_service.flow.book import Book, Pace
from cm_service.flow.closing import close_lower
from cm_service.flow.ladder import Rung
from cm_service.flow.passport import Examination, Passport
from cm_service.flow.placing import Placing
from cm_service.flow.rungs.base import Rung as AnyRung
from cm_service.flow.rungs.limited import Around, limited
from cm_service.flow.rungs.native import Native
from cm_service.flow.writing import Writing
from cm_service.logs import log

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
        around: Around,
    ) -> None:
        self.db, self.client, self.emr, self.around = db, client, emr, around
        self.examination, self.progress, self.pace = examination, progress, pace
        self.book = Book(db, client, emr=emr, profile=examination.profile, now=now, pace=pace)
        self.has_asked = False
        self.stopped_by = ""

    async def run(self, *, max_new: int | None, only: Container[str] | None = None) -> None:
        """Look up what is unknown, then send what is pending, most urgent patients first; to `only` these
        patients, if given."""
        placing = Placing(self.book, self.around)
        placing.raise_up()
        if not self._has_work():
            return
        try:
            capability = await self.examination.capability()
            self.has_asked = True
            self.examination.promised(capability)
            self.book.open(rungs(self.client, capability, self.around, lambda: self.book.passport))
            writing = Writing(self.book)
            await self._look_up_unknown(writing)
            for patient_id in self._tonight(writing, max_new, only):
                await self._patient(writing, placing, patient_id)
            await close_lower(self.book)
        except CmError as stop:
            self.stopped_by = str(stop)

    def _has_work(self) -> bool:
        with self.db.read() as connection:
            waiting = ledger.outline(connection, self.emr, "pending", "unknown")
            return bool(waiting or placements.closing(connection, self.emr))

    async def _look_up_unknown(self, writing: Writing) -> None:
        with self.db.read() as connection:
            rows = ledger.outline(connection, self.emr, "unknown")
        for row in rows:
            await writing.look_up(row.id)

    def _tonight(self, writing: Writing, max_new: int | None, only: Container[str] | None) -> list[str]:
        with self.db.read() as connection:
            pending = ledger.outline(connection, self.emr, "pending")
        for row in pending:
            if not self._is_held(row):
                writing.drop_if_never_needed(row)
        with self.db.read() as connection:
            rows = ledger.outline(connection, self.emr)
            here = frozenset(care.patients(connection, self.emr))
        free = [row for row in rows if not self._is_held(row) and (only is None or row.patient_id in only)]
        return in_order(free, here, max_new)

    def _is_held(self, row: Any) -> bool:
        """Whoever did it may still undo it."""
        return row.held_until is not None and row.held_until > self.book.now

    async def _patient(self, writing: Writing, placing: Placing, patient_id: str) -> None:
        for unit in placing.units(patient_id):
            for _ in Rung:  # each refusal leads at least one rung down
                for intent_id in await placing.ready(unit):
                    await self._intent(writing, intent_id)
                unit = placing.again(unit)
                if not placing.after(unit):
                    break
                unit = placing.again(unit)
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


def rungs(
    client: FhirClient, capability: Capability, around: Around, passport: Callable[[], Passport]
) -> dict[str, AnyRung]:
    """Every rung of an EMR that this service can put an intent on, by its name in the ledger."""
    native = Native(client, capability)
    return {native.name: native, **limited(client, around, passport)}


def in_order(rows: Iterable[Any], here: Container[str], max_new: int | None) -> list[str]:
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
    return [mates[0].patient_id for mates in chosen]


def _urgency(mates: list[Any]) -> int:
    return min(int(row.urgency) for row in mates if row.state == "pending")
