"""EMR -> ledger: what somebody did to our Task, Goal or plan comes back and is respected.

Works on the raw JSON of what was read this night. Runs before anything is planned, so that a lost
store adopts what it finds under our identifier systems instead of writing it again (`adopted.py`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa

from cm_service.db import care, ledger
from cm_service.db.engine import Database
from cm_service.errors import EmrError, EmrRefused
from cm_service.fhir import rawjson
from cm_service.fhir.client import FhirClient
from cm_service.flow import adopted, ours, whose
from cm_service.flow.ours import Json
from cm_service.flow.plans.careplans import OFFER
from cm_service.flow.rungs.native import content as native_content
from cm_service.flow.vanished import too_many

CHUNK = 100
_THERE, _GONE, _UNCLEAR = "there", "gone", "unclear"
_MINTED = re.compile(r"[A-Z2-7]{32}")  # as identifier_value() makes them


class Connected(NamedTuple):
    """Whose night it is: the connection's slug, our identifier base, the days that a decline holds."""

    emr: str
    base: str
    cooloff_days: int
    now: dt.datetime


def reconcile(db: Database, on: Connected, resources: Iterable[Json]) -> tuple[Counter[str], set[str]]:
    """Compare every resource of ours in `resources` (raw CarePlan, Goal, Task) with the ledger.

    Returns counts of adopted, changed and declined, and the references that were seen.
    """
    work = _Reconcile(db, on)
    mine = ((*found, each) for each in resources if (found := _our_identifier(each, on.base)))
    while chunk := list(islice(mine, CHUNK)):
        work.take(chunk)
    adopted.relink(db, on.emr, work.adopted, now=on.now)
    return work.counts, work.seen


class _Reconcile:
    def __init__(self, db: Database, on: Connected) -> None:
        self.db, self.on = db, on
        self.counts: Counter[str] = Counter()
        self.seen: set[str] = set()
        self.adopted: set[int] = set()

    def take(self, chunk: list[tuple[str, str, Json]]) -> None:
        """Most are as they were; what is not gets a short transaction of its own."""
        self.seen.update(_reference(resource) for _, _, resource in chunk)
        with self.db.read() as connection:
            rows = ledger.by_value(connection, self.on.emr, {value for _, value, _ in chunk})
        for system, value, resource in chunk:
            row = rows.get((system, value))
            if row is None or _is_news(row, resource):
                with self.db.write() as connection:
                    self._one(connection, system, value, resource)

    def _one(self, connection: sa.Connection, system: str, value: str, resource: Json) -> None:
        row = ledger.by_value(connection, self.on.emr, [value]).get((system, value))
        if row is None:
            self._adopt(connection, system, value, resource)
        elif _is_news(row, resource):
            self._take_over(connection, row, resource)

    def _adopt(self, connection: sa.Connection, system: str, value: str, resource: Json) -> None:
        patient = _patient_of(resource)
        if patient is None:
            return  # not readable as a patient's: the sieve has quarantined it already
        want = adopted.intent_of(resource, system=system, value=value, base=self.on.base)
        place = adopted.place_of(resource)
        on = self.on
        intent = ledger.add(connection, emr=on.emr, patient_id=patient, want=want, now=on.now, **place)
        self.adopted.add(intent)
        self.counts["adopted"] += 1
        care.mark_due(connection, self.on.emr, [patient])
        self._note_decline(connection, intent, patient, resource, at=_ended(resource, self.on.now))

    def _take_over(self, connection: sa.Connection, row: Any, resource: Json) -> None:
        """Note what was changed since our last write, and whose it is from now on."""
        seen = whose.look(row, resource, native_content(connection, row))
        self.counts["changed"] += set(seen.human) > set(row.human)
        state = _state(row.state, resource, settled=seen.settled)
        ledger.move(
            connection,
            row.placement_id,
            now=self.on.now,
            state=state,
            reason=row.reason if state == row.state else None,
            **whose.columns(row, resource, seen),
        )
        patient = _patient_of(resource) or row.patient_id
        if patient != row.patient_id:
            ledger.hand_over(connection, row.id, patient_id=patient, now=self.on.now)
        care.mark_due(connection, self.on.emr, {row.patient_id, patient})
        self._note_decline(connection, row.id, patient, resource, at=self.on.now)

    def _note_decline(
        self, connection: sa.Connection, intent_id: int, patient: str, resource: Json, *, at: dt.datetime
    ) -> None:
        """An offer that somebody marked as rejected is our record of a decline (GX-03)."""
        if resource.get("status") != "rejected" or not _is_offer(resource, self.on.base):
            return
        self.counts["declined"] += ledger.add_decline(
            connection,
            emr=self.on.emr,
            patient_id=patient,
            intent_id=intent_id,
            at=at,
            until=at + dt.timedelta(days=self.on.cooloff_days),
        )


def _is_news(row: Any, resource: Json) -> bool:
    """Does the EMR show what the ledger has not seen? Not if it is only a part of the resource, nor if
    it is a copy that somebody made of a thing of ours that is still there, nor an old version out of a
    search index that lags: our own earlier values would look like a person's."""
    copied = row.reference is not None and not row.deleted and row.reference != _reference(resource)
    nowhere = row.state == "parked" and row.reference is None
    if ours.is_partial(resource) or copied or nowhere or row.rung != ledger.NATIVE:
        return False
    if whose.is_older(row, resource):
        return False
    return bool(row.deleted or row.state == "conflict" or row.current != rawjson.dumps(resource).decode())


def _state(state: str, resource: Json, *, settled: bool) -> str:
    """Seen in the EMR: a lost answer is known now, and a conflict may be tried again on the new version."""
    if state == "parked" and not ours.may_be_written_over(resource):
        return state
    return state if state in ("pending", "written") else ("written" if settled else "pending")


async def note_deleted(
    db: Database, client: FhirClient, on: Connected, *, complete: frozenset[str], seen: set[str]
) -> Counter[str]:
    """What the ledger knows as written, and was not seen although its type (`complete`) was read to
    the last page, is asked for by id: only 404 and 410 mean that somebody deleted it (a lost scope
    or a filtered search must not). Of a type of which too much is missing for people's doing: nothing.
    Counts `deleted`, `missing KIND` (too many) and `doubtful KIND` (asked for, and nobody knows)."""
    with db.read() as connection:
        rows = ledger.outline(connection, on.emr)
    native = [row for row in rows if row.rung == ledger.NATIVE and row.kind in complete]
    there = [row for row in native if row.reference and not row.deleted]
    held = Counter(row.kind for row in there)
    lost = Counter(row.kind for row in there if row.reference not in seen)
    doubtful = {kind for kind, count in lost.items() if too_many(count, held[kind])}
    missing = [row for row in there if row.reference not in seen and row.kind not in doubtful]
    fates = [(row, await _fate(client, row)) for row in missing]
    deleted = [row for row, fate in fates if fate == _GONE]
    gone = {"deleted": True, "state": "written", "reason": "somebody deleted it in the EMR"}
    with db.write() as connection:
        for row in deleted:
            ledger.move(connection, row.placement_id, now=on.now, **gone)
        care.mark_due(connection, on.emr, {row.patient_id for row in deleted})
    unclear = Counter(f"doubtful {row.kind}" for row, fate in fates if fate == _UNCLEAR)
    return (
        Counter(deleted=len(deleted))
        + Counter({f"missing {kind}": lost[kind] for kind in doubtful})
        + unclear
    )


async def _fate(client: FhirClient, row: Any) -> str:
    """There, gone, or unclear: nobody knows, the run says so, and the next night asks again."""
    try:
        await client.read(row.kind, row.reference.partition("/")[2])
    except EmrError as error:
        gone = isinstance(error, EmrRefused) and error.status in (404, 410)
        return _GONE if gone else _UNCLEAR
    return _THERE


def _reference(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _patient_of(resource: Json) -> str | None:
    subject = resource.get("subject") or resource.get("for") or {}
    kind, _, patient_id = str(subject.get("reference", "")).partition("/_history/")[0].rpartition("/")
    return patient_id if kind.endswith("Patient") and patient_id else None


def _is_offer(resource: Json, base: str) -> bool:
    codings = (resource.get("code") or {}).get("coding") or []
    return any(c.get("code") == OFFER and c.get("system") == f"{base}/CodeSystem/cm-task" for c in codings)


def _ended(resource: Json, now: dt.datetime) -> dt.datetime:
    """When somebody said so, as far as an adopted resource tells; never later than now."""
    period, meta = resource.get("executionPeriod") or {}, resource.get("meta") or {}
    for text in (period.get("end"), resource.get("lastModified"), meta.get("lastUpdated")):
        try:
            when = dt.datetime.fromisoformat(str(text))
        except ValueError:
            continue
        return min(now, when if when.tzinfo else when.replace(tzinfo=dt.UTC))
    return now


def _our_identifier(resource: Json, base: str) -> tuple[str, str] | None:
    """System and value of the identifier that we minted, None for a resource of others."""
    own = f"{base}/id/{resource['resourceType'].lower().replace('careplan', 'plan')}"
    for item in resource.get("identifier") or []:
        value = item.get("value") if isinstance(item, dict) and item.get("system") == own else None
        if isinstance(value, str) and _MINTED.fullmatch(value):
            return own, value
    return None
