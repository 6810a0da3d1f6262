"""What is not kept for ever goes when its time has come, and nothing else does."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from cm_service.db import doors, retention, sync
from cm_service.db.door_tables import AuditEntry
from cm_service.db.engine import Database
from cm_service.db.tables import Reject, Run
from tests.db.builders import add_emr

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def run(connection: sa.Connection, *, age: dt.timedelta) -> int:
    """A run of so long ago, with one line in quarantine."""
    at = NOW - age
    id_ = sync.start_run(connection, emr="clinic", as_of=at, started=at, source="pull")
    columns: dict[str, Any] = {"file": "Patient.ndjson", "line": 1, "type": "Patient", "patient_id": None}
    sync.add_rejects(
        connection, [{"run_id": id_, **columns, "reason": "odd", "sentence": "is odd", "hole": False}]
    )
    return id_


def left(connection: sa.Connection, column: Any) -> list[Any]:
    return list(connection.scalars(sa.select(column).order_by(column)))


def test_quarantine_goes_before_the_run_it_is_of_and_the_young_stay(database: Database) -> None:
    add_emr(database)
    with database.write() as connection:
        ages = (dt.timedelta(), 89 * DAY, 91 * DAY, 399 * DAY, 401 * DAY)
        ids = [run(connection, age=age) for age in ages]
    retention.apply(database, database, now=NOW)
    with database.read() as connection:
        assert left(connection, Reject.run_id) == ids[:2]
        assert left(connection, Run.id) == ids[:4]


def test_the_audit_is_kept_and_expired_tokens_are_not(database: Database) -> None:
    entry = doors.Access(NOW - 4000 * DAY, "somebody", None, None, "read", "TREAT", 200, "request-1")
    with database.write() as connection:
        doors.audit(connection, [entry])
        doors.keep_token(connection, "t", client_id="c", scope="", expires_at=NOW - DAY)
        doors.keep_token(connection, "u", client_id="c", scope="", expires_at=NOW + DAY)
    retention.apply(database, database, now=NOW)
    with database.read() as connection:
        assert len(left(connection, AuditEntry.id)) == 1
        assert len(left(connection, doors.AccessToken.digest)) == 1
