"""A person has said that so many resources of a type were really deleted in the EMR."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from cm_service.db.sync import upsert
from cm_service.db.tables import DeletionApproval


def of_emr(connection: sa.Connection, emr: str) -> dict[str, int]:
    """Type -> how many may be gone in the next reading of all of it."""
    columns = sa.select(DeletionApproval.type, DeletionApproval.most)
    rows = connection.execute(columns.where(DeletionApproval.emr == emr))
    return {row.type: row.most for row in rows}


def add(
    connection: sa.Connection, emr: str, counts: Mapping[str, int], *, run_id: int, at: dt.datetime
) -> None:
    rows = [
        {"emr": emr, "type": kind, "most": most, "run_id": run_id, "at": at} for kind, most in counts.items()
    ]
    upsert(connection, DeletionApproval, rows)


def used(connection: sa.Connection, emr: str, types: Iterable[str]) -> None:
    """All of these types was read: what was allowed holds for that one reading."""
    gone = sa.delete(DeletionApproval).where(DeletionApproval.emr == emr)
    connection.execute(gone.where(DeletionApproval.type.in_(list(types))))
