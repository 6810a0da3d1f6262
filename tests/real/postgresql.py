"""PostgreSQL as in production: a cluster of our own in a temporary folder, a fresh database per test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest

from cm_service.db.engine import Database
from tests.real.parts import free_port, log_of, missing, running, tail

# A server in another zone than ours and UTC shows every timestamp that lost its own.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "timezone": "Asia/Kolkata"}


@dataclass(frozen=True)
class Cluster:
    """One running server. `create` gives the URL of a new database, `drop` takes it away."""

    port: int
    numbers: Iterator[int] = field(default_factory=count)

    def create(self, *, template: str = "template0") -> str:
        name = f"cm_test_{next(self.numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def drop(self, url: str) -> None:
        self._run(f"DROP DATABASE {url.rsplit('/', 1)[1]} WITH (FORCE)")

    def answers(self) -> bool:
        try:
            self._run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, statement: str) -> None:
        where = f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres connect_timeout=5"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """The server programs as Debian lays them out; as root they run as the user `postgres`."""
    programs = _programs()
    user = "postgres" if os.geteuid() == 0 else ""
    # Not under pytest's own temporary folder: that one is closed to other users.
    home = Path(tempfile.mkdtemp(prefix="cm-service-postgres-"))
    try:
        yield from _cluster(programs, home, user=user)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _cluster(programs: Path, home: Path, *, user: str) -> Iterator[Cluster]:
    if user:
        shutil.chown(home, user, user)
    log, data, port = log_of("postgresql"), home / "data", free_port()
    how = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    with running([str(programs / "initdb"), *how, str(data)], log=log, cwd=home, user=user) as initdb:
        if initdb.wait(timeout=60):
            pytest.fail(f"initdb failed:\n{tail(log)}", pytrace=False)
    settings = SETTINGS | {"port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
    command = [str(programs / "postgres"), "-D", str(data)]
    command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with running(command, log=log, cwd=home, user=user, stop=signal.SIGINT) as server:
        cluster = Cluster(port)
        _wait_for(cluster, server, log)
        yield cluster


def _wait_for(cluster: Cluster, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while not cluster.answers():
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"PostgreSQL did not start:\n{tail(log)}", pytrace=False)
        time.sleep(0.05)


def _programs() -> Path:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not debian:
        missing("PostgreSQL's server programs (initdb) are not installed")
    return debian[-1].parent


@pytest.fixture(scope="session")
def postgres_template(postgres_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with the current schema, which every test's own is copied from."""
    url = postgres_cluster.create()
    migrate(url, tmp_path_factory.mktemp("locks"))
    return url.rsplit("/", 1)[1]


@pytest.fixture
def postgres_url(postgres_cluster: Cluster, postgres_template: str) -> Iterator[str]:
    """A fresh PostgreSQL database with the current schema."""
    url = postgres_cluster.create(template=postgres_template)
    yield url
    postgres_cluster.drop(url)


@pytest.fixture
def empty_postgres_url(postgres_cluster: Cluster) -> Iterator[str]:
    """A fresh PostgreSQL database without any table."""
    url = postgres_cluster.create()
    yield url
    postgres_cluster.drop(url)


def migrate(url: str, lock_dir: Path) -> None:
    database = Database(url, lock_dir=lock_dir)
    database.migrate()
    database.engine.dispose()
