"""An EMR that is removed leaves nothing of itself, and nothing of another one goes with it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from cm_service.db import connections
from cm_service.db.engine import Database
from cm_service.db.tables import Base
from tests.db.builders import NOW, add_emr
from tests.flow.night_world import condition, diabetes, patient, practice

DAY = dt.timedelta(days=1)


def rows(database: Database) -> Counter[str]:
    with database.read() as connection:
        counts = {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table))
            for table in Base.metadata.sorted_tables
        }
    return Counter({name: count for name, count in counts.items() if count})


def test_removing_an_emr_takes_everything_that_carries_its_slug(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [patient(), diabetes(), condition("htn", "I10")]) as clinic:
        clinic.run()
        clinic.edit("Task", "enrolment-offer", status="rejected")
        clinic.run()
        add_emr(database, slug="other")
        assert rows(database) > Counter(emr=2, decline=1, intent=1, placement=1, record=1, passport_fact=1)
        with database.write() as connection:
            connections.remove_emr(connection, "clinic")
        assert rows(database) == Counter(emr=1)
        with database.read() as connection:
            assert connections.get_emr(connection, "other").created_at == NOW
