"""From when on the next pull asks, and as of when what is held of each type and patient is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from cm_service.db.sync import Rows, chunks, upsert
from cm_service.db.tables import SyncCursor

_SHOWN = ("oldest", "newest", "whole", "patients")


def of_emr(connection: sa.Connection, emr: str) -> list[Any]:
    """Rows of `sync_cursor`."""
    return list(connection.execute(sa.select(SyncCursor.__table__).where(SyncCursor.emr == emr)))


def as_of(connection: sa.Connection, emr: str) -> dict[str, dict[str, Any]]:
    """Type -> as of when what is held of it is, for everybody ("oldest") and at best ("newest"), when it
    was last read whole ("whole"), and of how many patients that is known one by one ("patients")."""
    least, most = sa.func.min(SyncCursor.as_of), sa.func.max(SyncCursor.as_of)
    patients = sa.func.count(sa.distinct(sa.func.nullif(SyncCursor.patient_id, "")))
    columns = (
        SyncCursor.type,
        sa.type_coerce(least, SyncCursor.as_of.type).label("oldest"),
        sa.type_coerce(most, SyncCursor.as_of.type).label("newest"),
        sa.type_coerce(sa.func.min(SyncCursor.whole_at), SyncCursor.as_of.type).label("whole"),
        patients.label("patients"),
    )
    rows = connection.execute(
        sa.select(*columns).where(SyncCursor.emr == emr).group_by(SyncCursor.type).order_by(SyncCursor.type)
    )
    return {row.type: {name: getattr(row, name) for name in _SHOWN} for row in rows}


def replace(connection: sa.Connection, emr: str, rows: Rows) -> None:
    """These instead of what is known of the same types and patients: a search that is no longer made
    must not hold anybody back."""
    by_type = defaultdict[str, set[str]](set)
    for row in rows:
        by_type[row["type"]].add(row["patient_id"])
    for kind, patients in by_type.items():
        for part in chunks(patients):
            connection.execute(
                sa.delete(SyncCursor).where(
                    SyncCursor.emr == emr, SyncCursor.type == kind, SyncCursor.patient_id.in_(part)
                )
            )
    upsert(connection, SyncCursor, [{"emr": emr, **row} for row in rows])


def read_whole_again(connection: sa.Connection, emr: str, types: Iterable[str] | None = None) -> None:
    """The next pull reads everything, of these types or of all: what is held may be older or newer than
    any cursor says."""
    statement = sa.update(SyncCursor).where(SyncCursor.emr == emr)
    if types is not None:
        statement = statement.where(SyncCursor.type.in_(list(types)))
    connection.execute(statement.values(value=None))
