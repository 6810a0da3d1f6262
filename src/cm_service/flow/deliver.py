"""Ledger -> EMR: each pending intent is sent once, in order, and its outcome recorded before the next.

A row is committed as `sending` before its request leaves, so a crash at any line leaves a trace.
An answer that was lost makes it `unknown`: it is looked up by its identifier, never sent again.
Within a patient: goals, then plans, then tasks, since links go that way. Serial on purpose: the
order per patient is kept, and some servers (HAPI 5) fail on parallel first writes.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from cm_service.db import ledger
from cm_service.db.engine import Database
from cm_service.errors import (
    CmError,
    EmrBusy,
    EmrError,
    EmrRefused,
    EmrUnreachable,
    WriteConflict,
    WriteOutcomeUnknown,
)
from cm_service.fhir import rawjson, resources
from cm_service.fhir.capability import Capability
from cm_service.fhir.client import FhirClient
from cm_service.fhir.writes import WriteResult
from cm_service.flow import ours
from cm_service.flow.ours import Json

ORDER = {"Goal": 0, "CarePlan": 1, "Task": 2}
UNSETTLED = frozenset({"pending", "sending", "unknown", "conflict"})
LONGEST_WAIT = 120.0
BUSY_TRIES = 3


class DeliveryStopped(Exception):
    """The EMR takes nothing more tonight; what is left stays pending."""


class Delivery:
    """One run's writes to one EMR. `now` stamps the ledger; `figures` counts what happened."""

    def __init__(
        self,
        *,
        db: Database,
        client: FhirClient,
        emr: str,
        now: dt.datetime,
        progress: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.db, self.client, self.emr = db, client, emr
        self.now, self.capability = now, Capability()
        self.progress, self.sleep = progress, sleep
        self.figures: Counter[str] = Counter()
        self.stopped_by = ""

    async def run(self, *, max_new: int | None) -> None:
        """Look up what is unknown, then send what is pending, most urgent patients first."""
        with self.db.read() as connection:
            rows = ledger.listed(connection, emr=self.emr)
        if not any(row.state in ("pending", "unknown") for row in rows):
            return
        try:
            self.capability = await self.client.capability()
            await self._look_up_unknown()
            with self.db.read() as connection:
                rows = ledger.listed(connection, emr=self.emr)
            for patient_rows in _in_order(rows, max_new):
                await self._patient(patient_rows)
        except (DeliveryStopped, EmrError) as stop:
            self.stopped_by = str(stop)

    async def _look_up_unknown(self) -> None:
        with self.db.read() as connection:
            rows = ledger.listed(connection, emr=self.emr, state="unknown")
        for row in rows:
            await self._look_up(row)

    async def _look_up(self, row: Any) -> bool:
        """Search the EMR for our identifier. One copy: written. None: it stays unknown, since a
        search may not see a fresh write. Several: a person must look."""
        found = await self.client.find_by_identifier(row.kind, row.system, row.value)
        if len(found) > 1:
            self._move(row, state="parked", reason="the EMR holds more than one copy of this")
        elif found:
            self._adopt(row, found[0])
        return bool(found)

    def _adopt(self, row: Any, current: Json, *, sent_by_us: bool = True) -> None:
        """It is there. A lost update is pending again: it is compared first, and if it has not
        arrived, the version guards the second sending."""
        text = rawjson.dumps(current).decode()
        found = {"current": text} if row.reference or not sent_by_us else {"current": text, "base": text}
        self._move(
            row,
            state="pending" if row.reference else "written",
            reference=f"{row.kind}/{current['id']}",
            version=current.get("meta", {}).get("versionId"),
            reason=None,
            **found,
        )

    async def _patient(self, rows: list[Any]) -> None:
        for row in rows:
            if row.state == "pending" and not row.deleted:
                await self._intent(row.id)
        self.progress(f"{self.figures['written']} written")

    async def _intent(self, intent_id: int) -> None:
        """Send one intent, waiting when the EMR says so."""
        for _ in range(BUSY_TRIES):
            with self.db.read() as connection:
                row = ledger.one(connection, intent_id)
                mates = ledger.of_patients(connection, self.emr, [row.patient_id])[row.patient_id]
            wait = await self._send(row, mates)
            if wait is None:
                return
            await self.sleep(wait)
        raise DeliveryStopped("the EMR keeps answering that it is busy")

    async def _send(self, row: Any, mates: list[Any]) -> float | None:
        """One request. Returns the seconds to wait before another try, None when this row is done."""
        wanted = rawjson.loads(row.wanted.encode())
        if row.reference is None and ours.is_closed(wanted):
            self._move(row, state="superseded", reason="no longer wanted before it was sent")
            return None
        places = {mate.value: mate for mate in mates}
        if any(_waits_for(places.get(value)) for value in ours.links(wanted)):
            return None
        resource = ours.materialise(wanted, lambda value: _reference(places.get(value)))
        with self.db.write() as connection:
            if not ledger.claim(connection, row.placement_id, now=self.now):
                return None
        try:
            await (self._create(row, resource) if row.reference is None else self._update(row, resource))
        except EmrBusy as error:
            self._move(row, state="pending")
            return min(error.retry_after or 5.0, LONGEST_WAIT)
        except EmrUnreachable as error:
            self._move(row, state="pending")
            raise DeliveryStopped(str(error)) from error
        except CmError as error:
            await self._failed(row, error)
        return None

    async def _create(self, row: Any, resource: Json) -> None:
        """Guarded by the ledger, and by If-None-Exist where the EMR has it, else by a search."""
        condition = None
        if self.capability.conditional_create(row.kind):
            condition = f"identifier={row.system}|{row.value}"
        elif await self._look_up(row):
            return
        result = await self.client.create(resources.validate(resource), if_none_exist=condition)
        if result.status == 200:  # somebody's copy was already there: ours is not what it holds
            await self._matched(row, result)
            return
        await self._written(row, result)

    async def _matched(self, row: Any, result: WriteResult) -> None:
        current = result.body or await self.client.read(row.kind, result.id)
        if not ours.has_identifier(current, row.system, row.value):
            self._move(row, state="parked", reason="the EMR matched a resource that is not ours")
            return
        self._adopt(row, current, sent_by_us=False)

    async def _update(self, row: Any, resource: Json) -> None:
        """Our elements into the EMR's own JSON, with the version that we last saw; on a conflict
        once more on what the other side wrote, keeping theirs."""
        current = rawjson.loads(row.current.encode()) if row.current else await self._fresh(row)
        try:
            await self._put(row, current, resource, frozenset(row.human))
        except WriteConflict:
            fresh = await self._fresh(row)
            human = set(row.human)
            if row.base:
                human |= ours.changed_by_others(resource, rawjson.loads(row.base.encode()), fresh)
            self._move(row, current=rawjson.dumps(fresh).decode(), human=sorted(human))
            await self._put(row, fresh, resource, frozenset(human))

    async def _put(self, row: Any, current: Json, resource: Json, human: frozenset[str]) -> None:
        if not ours.may_be_written_over(current):
            self._move(row, state="parked", reason="the EMR's copy has parts that we may not write over")
            return
        body = ours.merged(current, resource, human)
        if body == current:
            text = rawjson.dumps(current).decode()
            self._move(row, state="written", reason=None, base=text, current=text)
            return
        version = current.get("meta", {}).get("versionId")
        result = await self.client.update(body, if_match=f'W/"{version}"' if version else None)
        await self._written(row, result)

    async def _fresh(self, row: Any) -> Json:
        return await self.client.read(row.kind, row.reference.partition("/")[2])

    async def _written(self, row: Any, result: WriteResult) -> None:
        """Record where it is and what the EMR made of it (servers may alter content)."""
        self.figures["written"] += 1
        self.figures[f"written {row.kind}"] += 1
        place = {"reference": f"{row.kind}/{result.id}", "version": result.version}
        self._move(row, state="written", reason=None, **place)
        stored = result.body
        if stored is None:
            try:
                stored = await self.client.read(row.kind, result.id)
            except EmrError:
                self._move(row, reason="written, but it could not be read back yet")
                return
        text = rawjson.dumps(stored).decode()
        self._move(row, base=text, current=text, version=stored.get("meta", {}).get("versionId"))

    async def _failed(self, row: Any, error: CmError) -> None:
        """Put the row into the state that the error's kind asks for."""
        if isinstance(error, WriteOutcomeUnknown):
            self._move(row, state="unknown", reason=str(error))
            await self._look_up(row)
        elif isinstance(error, WriteConflict):
            self._move(row, state="conflict", reason=str(error))
        elif isinstance(error, EmrRefused) and error.status == 401:
            self._move(row, state="pending")
            raise DeliveryStopped(str(error))
        elif isinstance(error, EmrRefused) and error.status in (404, 410) and row.reference:
            self._move(row, state="written", deleted=True, reason="somebody deleted it in the EMR")
        elif isinstance(error, EmrRefused):
            self._move(row, state="refused", reason=error.outcome or str(error))
        else:
            self._move(row, state="parked", reason=str(error))

    def _move(self, row: Any, **columns: Any) -> None:
        with self.db.write() as connection:
            ledger.move(connection, row.placement_id, now=self.now, **columns)


def _waits_for(mate: Any | None) -> bool:
    """A link whose target may still get a place: the row with the link waits for it."""
    return mate is not None and mate.reference is None and mate.state in UNSETTLED


def _reference(mate: Any | None) -> str | None:
    return None if mate is None or mate.deleted else mate.reference


def _in_order(rows: Iterable[Any], max_new: int | None) -> list[list[Any]]:
    """Patients with something pending, most urgent first; of those who have nothing of ours in the
    EMR yet at most `max_new`, since nobody can call three hundred people on the first morning."""
    patients: dict[str, list[Any]] = {}
    for row in rows:
        patients.setdefault(row.patient_id, []).append(row)
    waiting = [mates for mates in patients.values() if any(row.state == "pending" for row in mates)]
    waiting.sort(key=lambda mates: (_urgency(mates), mates[0].patient_id))
    known = [mates for mates in waiting if any(row.attempts or row.reference for row in mates)]
    new = [mates for mates in waiting if not any(row.attempts or row.reference for row in mates)]
    chosen = known + (new if max_new is None else new[:max_new])
    return [sorted(mates, key=lambda row: (ORDER[row.kind], row.id)) for mates in chosen]


def _urgency(mates: list[Any]) -> int:
    return min(int(row.urgency) for row in mates if row.state == "pending")
