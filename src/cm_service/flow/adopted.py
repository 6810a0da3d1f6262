"""A store was lost: how the first planning after it treats what it finds in the EMR."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from cm_service.db import ledger
from cm_service.fhir import rawjson
from cm_service.flow import ours
from cm_service.flow.intents import Change

_WITHDRAWAL = frozenset({"status", "statusReason", "lifecycleStatus"})


def respect_adopted(
    connection: sa.Connection, changes: list[Change], rows: list[Any], *, emr: str, now: dt.datetime
) -> list[Change]:
    """What a lost store wrote and this one adopted has no base to compare with: where it differs from
    what we would write, a person may have changed it, so that element is theirs (but for the
    status, which only the first planning after the adoption may still withdraw)."""
    adopted = {row.id: row for row in rows if row.base is None and row.current is not None}
    kept = []
    for change in changes:
        row = adopted.get(change.known.id) if change.known else None
        if row is None or _withdraws(connection, change, row, emr=emr, now=now):
            kept.append(change)
    for row in adopted.values():
        ledger.move(connection, row.placement_id, now=now, base=row.current)
    return kept


def _withdraws(connection: sa.Connection, change: Change, row: Any, *, emr: str, now: dt.datetime) -> bool:
    """Note what is theirs; is there a withdrawal left to write?"""
    current = rawjson.loads(row.current.encode())
    places = ledger.references(connection, emr, ours.links(change.want.resource))
    differing = ours.differs(ours.materialise(change.want.resource, places.get), current)
    theirs = differing - _WITHDRAWAL
    ledger.move(connection, row.placement_id, now=now, human=sorted({*row.human, *theirs}))
    return bool(differing & _WITHDRAWAL)
