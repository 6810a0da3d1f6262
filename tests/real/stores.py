"""The same suite on both stores: whoever asks for a database gets SQLite once and PostgreSQL once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cm_service.db.engine import Database
from tests.real.postgresql import migrate

STORES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with the current schema, which every test's own is copied from."""
    folder = tmp_path_factory.mktemp("sqlite-template")
    migrate(_sqlite(folder / "template.sqlite3"), folder)
    return folder / "template.sqlite3"


@pytest.fixture(params=STORES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database with the current schema."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "store.sqlite3")
    return _sqlite(tmp_path / "store.sqlite3")


@pytest.fixture(params=STORES)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database without any table."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("empty_postgres_url"))
    return _sqlite(tmp_path / "empty.sqlite3")


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    """An open Database with the current schema; its locks live in the test's folder."""
    opened = Database(database_url, lock_dir=tmp_path / "locks")
    yield opened
    opened.engine.dispose()


def _sqlite(path: Path) -> str:
    return f"sqlite:///{path}"
