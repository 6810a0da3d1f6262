"""Rows for tests of the store."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cm_service.db import connections, ledger
from cm_service.db.engine import Database

NOW = dt.datetime(2026, 11, 21, 1, 0, tzinfo=dt.UTC)


def add_emr(database: Database, **columns: Any) -> None:
    usual: dict[str, Any] = {
        "slug": "clinic",
        "base_url": "http://127.0.0.1/fhir",
        "timezone": "America/Detroit",
        "auth": "none",
        "token_reference": None,
        "group_id": None,
        "practice": None,
        "owner": None,
        "write_mode": "propose",
        "settings": {},
    }
    with database.write() as connection:
        connections.add_emr(connection, now=NOW, **{**usual, **columns})


def want(value: str = "A" * 32, **columns: Any) -> dict[str, Any]:
    """Columns of an intent."""
    usual: dict[str, Any] = {
        "kind": "Task",
        "business_key": f"A1C-OUT|p1|-|a1c-outreach|{value}",
        "system": "https://cm.example/id/task",
        "value": value,
        "rule": "A1C-OUT",
        "code": "a1c-outreach",
        "subject": "",
        "urgency": 3,
        "wanted": '{"resourceType":"Task","status":"requested"}',
    }
    return usual | columns


def add_intent(database: Database, *, emr: str = "clinic", patient_id: str = "p1", **columns: Any) -> int:
    """`state` and other columns of the placement may be given beside those of the intent."""
    mine = {name: columns.pop(name) for name in list(columns) if name in want()}
    with database.write() as connection:
        return ledger.add(connection, emr=emr, patient_id=patient_id, want=want(**mine), now=NOW, **columns)
