"""The step to the passport keeps what a store holds, in both directions."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import sqlalchemy as sa
from alembic import command

from cm_service.db.engine import Database, alembic_config

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC).isoformat(" ")
EMR = f"""INSERT INTO emr (slug, base_url, timezone, auth, write_mode, settings, created_at)
    VALUES ('clinic', 'http://127.0.0.1/fhir', 'America/Detroit', 'none', 'auto', '{{}}', '{NOW}')"""
PLACE = "INSERT INTO place (emr, key, fact) VALUES ('clinic', 'Location/1', 'x')"


def test_a_store_keeps_its_rows_on_the_way_up_and_down(empty_database_url: str, tmp_path: Path) -> None:
    database = Database(empty_database_url, lock_dir=tmp_path)
    _go(database, "2026_11_25_first")
    with database.write() as connection:
        connection.execute(sa.text(EMR))
        connection.execute(sa.text(PLACE))
    _go(database, "2026_11_26_passport")
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT profile FROM emr")) is None
        assert connection.scalar(sa.text("SELECT count(*) FROM place")) == 1
    with database.write() as connection:
        command.downgrade(alembic_config(connection), "2026_11_25_first")
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM place")) == 1
    database.engine.dispose()


def _go(database: Database, revision: str) -> None:
    with database.write() as connection:
        command.upgrade(alembic_config(connection), revision)
