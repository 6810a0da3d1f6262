"""Engines, transactions, the schema's version, and the lease that lets one sync run per EMR."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from cm_service.errors import Busy, Misconfigured

# PostgreSQL takes a moment to see that a client was killed; whoever is started again at once waits so long.
_UNTIL_THE_DEAD_ARE_GONE = 1.0
_LOCKED_SECONDS = 30.0
_BESIDE = ("-wal", "-shm")  # what SQLite keeps beside its file
MIGRATIONS = Path(__file__).parents[3] / "migrations"


# A checkpoint waits for the disk: one per 40 MB of a night instead of one per 4 MB. What was committed is
# in the WAL all the same.
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=10000", "foreign_keys=ON")


class Database:
    """One engine. `write()` is a transaction that may write, `read()` one that only reads."""

    def __init__(self, url: str, *, lock_dir: Path) -> None:
        self.url = url
        self.lock_dir = lock_dir
        self.is_sqlite = url.startswith("sqlite")
        self.engine = sa.create_engine(url, **_options(self.is_sqlite))
        if self.is_sqlite:
            _prepare_sqlite(self.engine)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A short transaction; on SQLite `BEGIN IMMEDIATE`, because a deferred one that reads and
        then writes fails at once when another writer came between, whatever the timeout."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A snapshot for reading; never blocks the writer."""
        with self.engine.connect() as connection:
            connection = connection.execution_options(cm_read_only=True)
            with connection.begin():
                yield connection

    @contextmanager
    def lease(self, name: str) -> Iterator[None]:
        """Hold the lease `name`, which dies with this process. Raises Busy if another holds it."""
        lease = self._file_lease(name) if self.is_sqlite else self._advisory_lease(name)
        with lease:
            yield

    @contextmanager
    def _file_lease(self, name: str) -> Iterator[None]:
        self.lock_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest = sha256(name.encode()).hexdigest()[:16]
        with (self.lock_dir / f"{digest}.lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy(f"another run holds {name}") from error
            yield

    @contextmanager
    def _advisory_lease(self, name: str) -> Iterator[None]:
        key = _key(name)
        connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with connection:
            give_up = time.monotonic() + _UNTIL_THE_DEAD_ARE_GONE
            while not connection.scalar(sa.text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
                if time.monotonic() > give_up:
                    raise Busy(f"another run holds {name}")
                time.sleep(0.05)
            try:
                yield
            finally:
                connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": key})

    def migrate(self) -> str:
        """Bring the schema to the newest revision and return its id."""
        if self.is_sqlite and self.engine.url.database:
            _make_private(Path(self.engine.url.database))
        with self.engine.begin() as connection:
            if not self.is_sqlite:  # there, BEGIN IMMEDIATE lets one go after the other
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _key("migrate")})
            command.upgrade(alembic_config(connection), "head")
        return newest_revision()

    def require_current(self) -> None:
        """Raises Misconfigured when the schema is not the one this code was written for."""
        with self.read() as connection:
            found = None
            if sa.inspect(connection).has_table("alembic_version"):
                found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        if found != newest_revision():
            raise Misconfigured("the database schema is not current: run `cm-service migrate`")


def _make_private(path: Path) -> None:
    """The database file for nobody but us, before SQLite would make it for everybody; its -wal and -shm
    get the mode that it has. One of an older version is closed to others, too."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for file in (path, *(path.with_name(path.name + end) for end in _BESIDE)):
        if file.exists() and file.stat().st_mode & 0o077 and file.stat().st_uid == os.geteuid():
            file.chmod(0o600)


def _key(name: str) -> int:
    """A name as PostgreSQL's advisory locks want it."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], signed=True)


def alembic_config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def newest_revision() -> str:
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if head is None:
        raise Misconfigured("the migrations folder is missing from this installation")
    return head


def _options(is_sqlite: bool) -> dict[str, Any]:
    # Parameters are PHI: they never stand in an error's text.
    if is_sqlite:
        return {"connect_args": {"timeout": 30}, "hide_parameters": True}
    return {"pool_pre_ping": True, "hide_parameters": True}


def _set(connection: Any, pragma: str) -> None:
    """Of two processes that turn a new file to WAL at once, SQLite tells one that the file is locked
    without waiting for it, whatever the timeout."""
    give_up = time.monotonic() + _LOCKED_SECONDS
    while True:
        try:
            connection.execute(f"PRAGMA {pragma}")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def _prepare_sqlite(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy, not the driver, says BEGIN
        for pragma in _PRAGMAS:
            _set(connection, pragma)

    @sa.event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        read_only = connection.get_execution_options().get("cm_read_only")
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
