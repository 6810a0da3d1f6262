"""EMR -> ledger: what somebody did to our Task, Goal or plan comes back and is respected.

Works on the raw JSON of what was read this night. Runs before anything is planned, so that a lost
store adopts what it finds under our identifier systems instead of writing it again.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from cm_service.db import care, ledger
from cm_service.db.engine import Database
from cm_service.errors import EmrRefused
from cm_service.fhir import rawjson
from cm_service.fhir.client import FhirClient
from cm_service.flow import ours
from cm_service.flow.intents import identifier_value
from cm_service.flow.ours import Json
from cm_service.flow.plans.identity import Identity, key_in, read_key
from cm_service.flow.vanished import too_many

KINDS = ("CarePlan", "Goal", "Task")
# Seen in the EMR: a lost answer is known now, and a conflict may be tried again on the new version.
_AFTER_READING = {"unknown": "pending", "conflict": "pending"}


def reconcile(
    db: Database,
    *,
    emr: str,
    identifier_base: str,
    resources: Iterable[Json],
    cooloff_days: int,
    now: dt.datetime,
) -> tuple[Counter[str], set[str]]:
    """Compare every resource of ours in `resources` (raw CarePlan, Goal, Task) with the ledger.

    Returns counts of adopted, changed and declined, and the references that were seen.
    """
    work = _Reconcile(db, emr, identifier_base, cooloff_days, now)
    seen: set[str] = set()
    for resource in resources:
        system, value = _our_identifier(resource, identifier_base)
        if value:
            seen.add(f"{resource['resourceType']}/{resource['id']}")
            work.one(resource, system, value)
    work.relink_adopted()
    return work.counts, seen


async def note_deleted(
    db: Database,
    client: FhirClient,
    *,
    emr: str,
    complete: frozenset[str],
    seen: set[str],
    now: dt.datetime,
) -> int:
    """What the ledger knows as written, and was not seen although its type (`complete`) was read to
    the last page, is asked for by id: only 404 and 410 mean that somebody deleted it (a lost scope
    or a filtered search must not). So much at once that it cannot be people's doing: nothing."""
    with db.read() as connection:
        rows = ledger.listed(connection, emr=emr)
    there = [row for row in rows if row.kind in complete and row.reference and not row.deleted]
    missing = [row for row in there if row.reference not in seen]
    if too_many(len(missing), len(there)):
        return 0
    deleted = [row for row in missing if await _is_deleted(client, row)]
    with db.write() as connection:
        for row in deleted:
            gone = {"deleted": True, "state": "written", "reason": "somebody deleted it in the EMR"}
            ledger.move(connection, row.placement_id, now=now, **gone)
        care.mark_due(connection, emr, {row.patient_id for row in deleted})
    return len(deleted)


async def _is_deleted(client: FhirClient, row: Any) -> bool:
    try:
        await client.read(row.kind, row.reference.partition("/")[2])
    except EmrRefused as refusal:
        return refusal.status in (404, 410)
    return False


class _Reconcile:
    def __init__(self, db: Database, emr: str, base: str, cooloff_days: int, now: dt.datetime) -> None:
        self.db, self.emr, self.base = db, emr, base
        self.cooloff = dt.timedelta(days=cooloff_days)
        self.now = now
        self.counts: Counter[str] = Counter()
        self.adopted: list[int] = []

    def one(self, resource: Json, system: str, value: str) -> None:
        """One short transaction: adopt it, or note what was changed since our last write."""
        with self.db.write() as connection:
            row = ledger.by_identifier(connection, self.emr, system, value)
            if row is None:
                self._adopt(connection, resource, system, value)
                return
            text = rawjson.dumps(resource).decode()
            if row.current == text and row.state != "conflict":
                return
            self._take_over(connection, row, resource, text)
            self._declined(connection, row, resource)

    def _adopt(self, connection: sa.Connection, resource: Json, system: str, value: str) -> None:
        """A resource of ours that this store never wrote. Its business key stands beside the hash;
        where the EMR dropped it, planning still finds the intent by its identifier value."""
        patient = _patient_of(resource)
        if patient is None:
            return  # not readable as a patient's: the sieve has quarantined it already
        key = key_in(resource, self.base)
        meaning = read_key(key) if key and identifier_value(key) == value else Identity("", "")
        text = rawjson.dumps(resource).decode()
        content = {name: item for name, item in resource.items() if name not in ("id", "meta")}
        want = {
            "kind": resource["resourceType"],
            "business_key": key,
            "system": system,
            "value": value,
            "rule": meaning.rule,
            "code": meaning.code,
            "subject": meaning.subject,
            "urgency": 3,
            "wanted": rawjson.dumps(content).decode(),
        }
        intent_id = ledger.add(
            connection,
            emr=self.emr,
            patient_id=patient,
            want=want,
            now=self.now,
            state="written",
            reference=f"{resource['resourceType']}/{resource['id']}",
            version=resource.get("meta", {}).get("versionId"),
            current=text,
        )
        self.adopted.append(intent_id)
        self.counts["adopted"] += 1

    def relink_adopted(self) -> None:
        """Once all are known: what they say of each other is a link between intents again."""
        if not self.adopted:
            return
        with self.db.write() as connection:
            rows = ledger.listed(connection, emr=self.emr)
            values = {row.reference: row.value for row in rows if row.reference}
            for row in rows:
                if row.id in set(self.adopted):
                    content = ours.relinked(rawjson.loads(row.wanted.encode()), values.get)
                    wanted = rawjson.dumps(content).decode()
                    ledger.reword(connection, row.id, wanted=wanted, now=self.now)

    def _take_over(self, connection: sa.Connection, row: Any, resource: Json, text: str) -> None:
        wanted = rawjson.loads(row.wanted.encode())
        places = ledger.references(connection, self.emr, ours.links(wanted))
        wanted = ours.materialise(wanted, places.get)
        human = set(row.human)
        if row.base:
            human |= ours.changed_by_others(wanted, rawjson.loads(row.base.encode()), resource)
        if human > set(row.human):
            self.counts["changed"] += 1
        ledger.move(
            connection,
            row.placement_id,
            now=self.now,
            state=_AFTER_READING.get(row.state, row.state),
            reference=f"{row.kind}/{resource['id']}",
            version=resource.get("meta", {}).get("versionId"),
            current=text,
            human=sorted(human),
            deleted=False,
        )
        care.mark_due(connection, self.emr, [row.patient_id])

    def _declined(self, connection: sa.Connection, row: Any, resource: Json) -> None:
        """An offer that somebody marked as rejected is our record of a decline (GX-03)."""
        if row.code != "enrolment-offer" or resource.get("status") != "rejected":
            return
        if ledger.add_decline(
            connection,
            emr=self.emr,
            patient_id=row.patient_id,
            intent_id=row.id,
            at=self.now,
            until=self.now + self.cooloff,
        ):
            self.counts["declined"] += 1


def _patient_of(resource: Json) -> str | None:
    subject = resource.get("subject") or resource.get("for") or {}
    kind, _, patient_id = str(subject.get("reference", "")).rpartition("/")
    return patient_id if kind.endswith("Patient") and patient_id else None


def _our_identifier(resource: Json, base: str) -> tuple[str, str]:
    """System and value of the identifier that we minted, ("", "") for a resource of others."""
    own = f"{base}/id/{resource['resourceType'].lower().replace('careplan', 'plan')}"
    for item in resource.get("identifier") or []:
        if isinstance(item, dict) and item.get("system") == own and isinstance(item.get("value"), str):
            return own, item["value"]
    return "", ""


def ours_among(lines: Iterable[bytes], base: str) -> Iterator[Json]:
    """The resources that mention our identifier base, among raw NDJSON lines of our kinds."""
    needle = f"{base}/id/".encode()
    for line in lines:
        if needle in line:
            yield rawjson.loads(line)
