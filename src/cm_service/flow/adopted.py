"""A store was lost: what it wrote is found in the EMR under our identifiers and made ours again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from cm_service.db import ledger
from cm_service.db.engine import Database
from cm_service.fhir import rawjson
from cm_service.flow import ours, whose
from cm_service.flow.intents import Change, identifier_value
from cm_service.flow.ours import Json
from cm_service.flow.plans.identity import Identity, key_in, read_key

_ROUTINE = 3


def intent_of(resource: Json, *, system: str, value: str, base: str) -> dict[str, Any]:
    """Columns of the intent of a resource that this store never wrote. Its business key stands beside
    the hash; where the EMR dropped it, planning still finds the intent by the value."""
    key = key_in(resource, base)
    meaning = read_key(key) if key and identifier_value(key) == value else Identity("", "")
    content = {name: item for name, item in resource.items() if name not in ("id", "meta")}
    return {
        "kind": resource["resourceType"],
        "business_key": key if meaning.code else "",
        "system": system,
        "value": value,
        "rule": meaning.rule,
        "code": meaning.code,
        "subject": meaning.subject,
        "urgency": _ROUTINE,
        "wanted": rawjson.dumps(content).decode(),
    }


def place_of(resource: Json) -> dict[str, Any]:
    """Columns of its placement."""
    return {
        "state": "written",
        "reference": f"{resource['resourceType']}/{resource['id']}",
        "version": whose.version_of(resource),
        "current": rawjson.dumps(resource).decode(),
    }


def relink(db: Database, emr: str, intents: Collection[int], *, now: dt.datetime) -> None:
    """Once all are known: what they say of each other is a link between intents again."""
    if not intents:
        return
    with db.write() as connection:
        values = ledger.values_of(connection, emr)
        for intent in intents:
            content = rawjson.loads(ledger.one(connection, intent).wanted.encode())
            wanted = rawjson.dumps(ours.relinked(content, values.get)).decode()
            ledger.reword(connection, intent, wanted=wanted, now=now)


def respect_adopted(
    connection: sa.Connection, changes: list[Change], rows: list[Any], *, emr: str, now: dt.datetime
) -> list[Change]:
    """What a lost store wrote and this one adopted has no base to compare with: where it differs from
    what we would write, a person may have changed it, so that element is theirs (but for the
    status, which only the first planning after the adoption may still withdraw)."""
    adopted = {row.id: row for row in rows if is_unplanned(row)}
    kept = []
    for change in changes:
        row = adopted.get(change.known.id) if change.known else None
        if row is None or _withdraws(connection, change, row, emr=emr, now=now):
            kept.append(change)
    for row in adopted.values():
        ledger.move(connection, row.placement_id, now=now, base=row.current)
    return kept


def is_unplanned(row: Any) -> bool:
    """Adopted, and not planned since."""
    return row.base is None and row.sent is None and row.current is not None


def _withdraws(connection: sa.Connection, change: Change, row: Any, *, emr: str, now: dt.datetime) -> bool:
    """Note what is theirs; is there a withdrawal left to write?"""
    current = rawjson.loads(row.current.encode())
    places = ledger.references(connection, emr, ours.links(change.want.resource))
    differing = ours.differs(ours.materialise(change.want.resource, places.get), current)
    theirs = differing - ours.WITHDRAWING
    ledger.move(connection, row.placement_id, now=now, human=sorted({*row.human, *theirs}))
    return bool(differing & ours.WITHDRAWING)
