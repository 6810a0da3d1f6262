"""A backup that was put back: nothing is sent twice, and nobody who restores can forget to say so."""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cm_service import wiring
from cm_service.db import ledger
from cm_service.db.engine import Database
from cm_service.errors import Misconfigured
from cm_service.flow import high_water
from tests.flow.night_world import AS_OF, Practice, emr_with, out_of_range
from tests.real.command import Home

DAY = dt.timedelta(days=1)
WORLD = [resource for who in ("p1", "p2", "p3") for resource in out_of_range(who)]


def opened(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder / 'data' / 'store.sqlite3'}", lock_dir=folder / "locks")
    database.migrate()
    return database


def back_up(folder: Path) -> Path:
    """As the runbook says: SQLite's own copy, which may be made while somebody is at work."""
    kept = folder / "backup.sqlite3"
    with (
        closing(sqlite3.connect(folder / "data" / "store.sqlite3")) as source,
        closing(sqlite3.connect(kept)) as copy,
    ):
        source.backup(copy)
    return kept


def put_back(folder: Path, kept: Path) -> Database:
    for file in (folder / "data").glob("store.sqlite3*"):
        file.unlink()
    shutil.copy(kept, folder / "data" / "store.sqlite3")
    return opened(folder)


@pytest.fixture
def restored(tmp_path: Path) -> Practice:
    """Backed up after a night that sent little; more was sent in the next one; then the backup came back."""
    emr, base_url = emr_with(WORLD)
    clinic = Practice(opened(tmp_path), emr, base_url, tmp_path)
    clinic.run(max_new=1)
    clinic.database.engine.dispose()
    kept = back_up(tmp_path)
    clinic.database = opened(tmp_path)
    clinic.tools = wiring.night_tools(clinic.settings, clinic.database)
    clinic.run(AS_OF + DAY, max_new=1)
    clinic.database.engine.dispose()
    clinic.database = put_back(tmp_path, kept)
    clinic.tools = wiring.night_tools(clinic.settings, clinic.database)
    return clinic


def say_so(clinic: Practice) -> int:
    with clinic.database.write() as connection:
        count = ledger.restored(connection, "clinic", since=AS_OF, now=AS_OF + DAY)
    high_water.note(clinic.settings.data_dir, "clinic", None)
    return count


def test_a_night_on_a_backup_is_refused_until_somebody_says_that_it_is_one(restored: Practice) -> None:
    writes = restored.writes()
    with pytest.raises(Misconfigured, match="ledger restored"):
        restored.run(AS_OF + 2 * DAY)
    assert restored.writes() == writes


def test_what_waited_when_it_was_made_starts_as_unknown(restored: Practice) -> None:
    waiting = len(restored.rows(state="pending"))
    assert waiting > 0
    assert say_so(restored) == waiting
    assert len(restored.rows(state="unknown")) == waiting
    assert restored.rows(state="pending") == []


def test_what_was_sent_after_the_backup_is_found_and_not_sent_again(restored: Practice) -> None:
    say_so(restored)
    for days in range(2, 5):
        restored.run(AS_OF + days * DAY)
    assert max(restored.copies().values()) == 1
    assert {row.patient_id for row in restored.rows(state="written")} == {"p1", "p2"}
    # Of the third it is not proven that a search would show it: a person must look.
    assert {row.patient_id for row in restored.rows(state="unknown")} == {"p3"}


def test_a_store_that_was_lost_is_none_that_was_restored(restored: Practice) -> None:
    restored.lose_store()
    assert restored.run(AS_OF + 2 * DAY)["status"] == "complete"
    assert restored.run(AS_OF + 3 * DAY)["written"] == 0
    assert set(restored.copies().values()) == {1}


def test_the_command_says_so_for_every_emr(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.run("emr", "add", "--slug", "a", "--base-url", "http://127.0.0.1:9/fhir", "--timezone", "UTC")
    said = home.run("ledger", "restored", "--since", "2026-11-20T20:00:00Z", "--json")
    assert (said.exit, said.answer["unknown"]) == (0, {"a": 0})
    assert home.run("ledger", "restored", "--since", "2999-01-01T00:00:00Z").exit == 2
    assert home.run("ledger", "restored", "--since", "yesterday").exit == 2
