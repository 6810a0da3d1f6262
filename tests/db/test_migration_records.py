"""The step to lean records takes CarePlans and Tasks out, and nothing else."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import command

from cm_service.db import sync
from cm_service.db.engine import Database, alembic_config
from cm_service.flow import record
from cm_service.rules.facts import PatientFact
from tests.db.test_migration_passport import EMR

BEFORE, AFTER = "2026_12_01_auth_options", "2026_12_02_lean_records"


def test_plans_and_tasks_leave_the_records_and_all_else_stays(
    empty_database_url: str, tmp_path: Path
) -> None:
    database = Database(empty_database_url, lock_dir=tmp_path)
    _go(database, BEFORE)
    facts = {"Patient/p1": PatientFact(id="p1", gender="female")}
    old: dict[str, Any] = msgspec.msgpack.decode(record.encode(facts))
    old |= {"CarePlan/c": {"t": "CarePlan", "id": "c"}, "Task/t": {"t": "Task", "id": "t"}}
    with database.write() as connection:
        connection.execute(sa.text(EMR))
        for who, held in (("p1", msgspec.msgpack.encode(old)), ("p2", record.encode(facts))):
            sync.save_records(connection, [_row(who, held)])
        sync.own(connection, "clinic", [(key, "p1") for key in old])
    _go(database, AFTER)
    with database.read() as connection:
        found = sync.load_facts(connection, "clinic", ["p1", "p2"])
        assert [record.decode(held) for held in found.values()] == [facts, facts]
        held = sync.held_records(connection, "clinic")
        assert {who: row.digest for who, row in held.items()} == {"p1": "", "p2": "as it was"}
        assert sync.count_by_type(connection, "clinic") == {"Patient": 1}
    with database.write() as connection:
        command.downgrade(alembic_config(connection), BEFORE)
    database.engine.dispose()


def _row(who: str, facts: bytes) -> dict[str, Any]:
    return {
        "emr": "clinic",
        "patient_id": who,
        "survivor": who,
        "facts": facts,
        "digest": "as it was",
        "holes": [],
        "due": False,
        "stable_until": dt.datetime(2026, 12, 1, tzinfo=dt.UTC),
        "evaluated_by": "",
    }


def _go(database: Database, revision: str) -> None:
    with database.write() as connection:
        command.upgrade(alembic_config(connection), revision)
