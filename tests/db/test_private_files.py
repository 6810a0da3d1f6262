"""What an embedded store keeps on disk is PHI: nobody else on the machine may read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cm_service.db.engine import Database
from tests.db.builders import add_emr


@pytest.fixture(autouse=True)
def a_generous_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def opened(file: Path) -> Database:
    database = Database(f"sqlite:///{file}", lock_dir=file.parent / "locks")
    database.migrate()
    add_emr(database)
    return database


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if path.is_file()}


def test_a_database_in_a_folder_that_was_there_before_is_for_nobody_but_us(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    database = opened(folder / "store.sqlite3")
    with database.read():
        assert modes(folder) == dict.fromkeys(
            ("store.sqlite3", "store.sqlite3-wal", "store.sqlite3-shm"), 0o600
        )
    database.engine.dispose()
    assert folder.stat().st_mode & 0o777 == 0o755, "a folder that somebody else made stays as it is"


def test_a_folder_that_we_make_is_for_nobody_but_us(tmp_path: Path) -> None:
    opened(tmp_path / "data" / "store.sqlite3").engine.dispose()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_database_that_was_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite3"
    opened(file).engine.dispose()
    file.chmod(0o644)
    opened_again = Database(f"sqlite:///{file}", lock_dir=tmp_path / "locks")
    opened_again.migrate()
    opened_again.engine.dispose()
    assert modes(tmp_path)["store.sqlite3"] == 0o600
