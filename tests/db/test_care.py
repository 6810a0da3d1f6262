"""Who is due to be judged."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from cm_service.db import care, sync
from cm_service.db.engine import Database
from tests.db.builders import NOW, add_emr


@pytest.fixture(autouse=True)
def records(database: Database) -> None:
    """`old` was merged into `new`; `alone` is nobody else. Nobody is due."""
    add_emr(database)
    rows = [record("old", survivor="new"), record("new"), record("alone")]
    with database.write() as connection:
        sync.save_records(connection, rows)


def record(who: str, **columns: Any) -> dict[str, Any]:
    usual = {
        "emr": "clinic",
        "patient_id": who,
        "survivor": who,
        "facts": b"\x80",
        "digest": "",
        "holes": [],
        "due": False,
        "stable_until": None,
        "evaluated_by": "rules",
    }
    return usual | columns


def due(database: Database, *, as_of: dt.datetime = NOW, by: str = "rules", **more: Any) -> list[str]:
    with database.read() as connection:
        return care.due_survivors(connection, "clinic", as_of=as_of, evaluated_by=by, **more)


@pytest.mark.parametrize(("who", "expected"), [("old", "new"), ("new", "new"), ("alone", "alone")])
def test_whoever_is_one_person_is_judged_together(who: str, expected: str, database: Database) -> None:
    assert due(database) == []
    with database.write() as connection:
        care.mark_due(connection, "clinic", [who])
    assert due(database) == [expected]


def test_time_makes_due_at_the_very_instant(database: Database) -> None:
    with database.write() as connection:
        care.mark_evaluated(connection, "clinic", [{"of": "new", "until": NOW, "by": "rules"}])
    assert due(database, as_of=NOW - dt.timedelta(microseconds=1)) == []
    assert due(database, as_of=NOW) == ["new"]


def test_other_rules_make_everybody_due(database: Database) -> None:
    assert due(database, by="other rules") == ["alone", "new"]


def test_everybody_can_be_asked_for(database: Database) -> None:
    assert due(database, everybody=True) == ["alone", "new"]
    with database.write() as connection:
        care.mark_all_due(connection, "clinic")
    assert due(database) == ["alone", "new"]
