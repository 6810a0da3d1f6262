"""Transactions, leases and the schema, the same on both stores."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cm_service.db import connections, sync
from cm_service.db.engine import Database, newest_revision
from cm_service.db.every_table import Base
from cm_service.db.tables import Run
from cm_service.errors import Busy, Misconfigured
from tests.db.builders import NOW, add_emr


def test_migrations_and_tables_say_the_same(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = list(compare_metadata(context, Base.metadata))
    assert differences == []


def test_a_store_without_its_schema_is_refused_with_the_way_out(
    empty_database_url: str, tmp_path: Path
) -> None:
    database = Database(empty_database_url, lock_dir=tmp_path)
    with pytest.raises(Misconfigured, match="cm-service migrate"):
        database.require_current()
    assert database.migrate() == newest_revision()
    database.require_current()
    assert database.migrate() == newest_revision(), "again, nothing happens"
    database.engine.dispose()


def test_two_processes_may_migrate_at_once(empty_database_url: str, tmp_path: Path) -> None:
    code = f"""if True:
        from pathlib import Path
        from cm_service.db.engine import Database
        Database({empty_database_url!r}, lock_dir=Path({str(tmp_path)!r})).migrate()"""
    both = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in both] == [(b"", 0)] * 2


@pytest.mark.parametrize("zone", [-5, 0, 14])
def test_an_instant_comes_back_as_the_same_instant_in_utc(zone: int, database: Database) -> None:
    add_emr(database)
    moment = dt.datetime(2026, 11, 1, 1, 30, 0, 123456, tzinfo=dt.timezone(dt.timedelta(hours=zone)))
    with database.write() as connection:
        run = sync.start_run(connection, emr="clinic", as_of=moment, started=NOW, source="pull")
    with database.read() as connection:
        found = connection.scalar(sa.select(Run.as_of).where(Run.id == run))
        earlier = connection.scalar(sa.select(Run.id).where(Run.as_of < moment))
        same = connection.scalar(sa.select(Run.id).where(Run.as_of <= moment))
    assert found == moment
    assert found is not None and found.utcoffset() == dt.timedelta(0)
    assert (earlier, same) == (None, run)


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        connections.fix_identifier_base(connection, "https://cm.example")
        _ = 1 / 0
    with database.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM instance")) == 0


def test_writers_wait_for_each_other_and_lose_nothing(database: Database) -> None:
    """Each reads and then writes: what a deferred transaction of SQLite would refuse at once."""
    add_emr(database, settings={"count": "0"})

    def count_up() -> None:
        for _ in range(10):
            with database.write() as connection:
                statement = sa.text(
                    "SELECT settings FROM emr" + ("" if database.is_sqlite else " FOR UPDATE")
                )
                connection.execute(statement)
                row = connections.get_emr(connection, "clinic")
                settings = {"count": str(int(row.settings["count"]) + 1)}
                connections.update_emr(connection, "clinic", settings=settings)

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connections.get_emr(connection, "clinic").settings == {"count": "40"}


def test_a_long_read_blocks_no_writer_and_sees_no_change(database: Database) -> None:
    add_emr(database)
    with database.read() as reading:
        assert len(connections.list_emrs(reading)) == 1
        began = time.monotonic()
        add_emr(database, slug="second")
        assert time.monotonic() - began < 5
    with database.read() as reading:
        assert len(connections.list_emrs(reading)) == 2


def test_only_one_holds_a_lease_and_another_emr_is_free(database: Database) -> None:
    other = Database(database.url, lock_dir=database.lock_dir)
    with database.lease("the sync of a"):
        with pytest.raises(Busy, match="the sync of a"), other.lease("the sync of a"):
            pass
        with other.lease("the sync of b"):
            pass
    with other.lease("the sync of a"):
        pass
    other.engine.dispose()


def test_a_lease_is_free_again_after_an_error(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.lease("the sync of a"):
        _ = 1 / 0
    with database.lease("the sync of a"):
        pass


def test_no_value_stands_in_the_text_of_a_database_error(database: Database) -> None:
    add_emr(database, practice="Organization/somebody-s-secret")
    with pytest.raises(sa.exc.IntegrityError) as failed, database.write() as connection:
        row = connections.get_emr(connection, "clinic")
        connection.execute(sa.insert(Base.metadata.tables["emr"]).values(**row._mapping))
    assert "somebody-s-secret" not in str(failed.value)


def test_an_identifier_base_is_stored_once_and_never_changed(database: Database) -> None:
    for _ in range(2):
        with database.write() as connection:
            connections.fix_identifier_base(connection, "https://cm.example")
    with pytest.raises(Misconfigured, match="set it back"), database.write() as connection:
        connections.fix_identifier_base(connection, "https://other.example")
