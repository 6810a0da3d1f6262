"""The process is killed (SIGKILL) anywhere in a night: then there is one copy, and nothing is lost."""

from __future__ import annotations

import datetime as dt
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import sync
from cm_service.db.engine import Database
from tests.flow.bad_network import FINE, Fault, Network
from tests.flow.night_world import AS_OF, BASE, Practice, a1c, condition, far_practice, out_of_range, stay
from tests.real.program import Running

DAY = dt.timedelta(days=1)
WORLD = [*out_of_range("p1"), condition("htn", "I10"), *out_of_range("p2"), stay(who="p2")]
NEWER = a1c(9.8, id_="newer", effectiveDateTime="2026-11-19")


def start(clinic: Practice, as_of: dt.datetime) -> Running:
    """`cm-service sync` in a process of its own, on the same store and EMR as the test."""
    own = {
        "CM_DATA_DIR": str(clinic.settings.data_dir),
        "CM_DATABASE_URL": clinic.database.url,
        "CM_IDENTIFIER_BASE": BASE,
        "CM_READ_ATTEMPTS": "1",
    }
    options = ["--emr", "clinic", "--as-of", as_of.isoformat(), "--max-new", "999", "--json"]
    return Running(["sync", *options], own)


Point = Callable[[Callable[[], object]], tuple[str, list[Fault]]]

FIRST_NIGHT: dict[str, Point] = {
    "while it reads": lambda kill: ("GET Observation?", [Fault(True, late=-1, first=kill)]),
    "before it writes anything": lambda kill: ("GET metadata", [FINE, Fault(True, late=-1, first=kill)]),
    "as the first create leaves": lambda kill: ("POST Goal", [Fault(False, first=kill)]),
    "when the first create has arrived": lambda kill: ("POST Goal", [Fault(True, then=kill)]),
    "when a plan has arrived": lambda kill: ("POST CarePlan", [FINE, Fault(True, then=kill)]),
    "as a Task leaves": lambda kill: ("POST Task", [FINE, Fault(False, first=kill)]),
    "when a Task has arrived": lambda kill: ("POST Task", [FINE, FINE, Fault(True, then=kill)]),
}
SECOND_NIGHT: dict[str, Point] = {
    "while it reads our Tasks": lambda kill: ("GET Task?", [Fault(True, late=-1, first=kill)]),
    "as an update leaves": lambda kill: ("PUT Task", [Fault(False, first=kill)]),
    "when an update has arrived": lambda kill: ("PUT Task", [Fault(True, then=kill)]),
}


def run_and_kill(clinic: Practice, network: Network, point: Point, as_of: dt.datetime) -> None:
    killed: list[Running] = []
    what, faults = point(lambda: killed[0].kill())
    network.fail(what, *faults)
    process = start(clinic, as_of)
    killed.append(process)
    code, stdout, stderr = process.end()
    network.heal()
    assert code == -signal.SIGKILL, (code, stdout, stderr)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> set[str]:
    """Business keys of what one quiet night wants."""
    folder = tmp_path_factory.mktemp("quiet")
    (folder / "store.sqlite3").write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{folder / 'store.sqlite3'}", lock_dir=folder)
    with far_practice(database, folder, WORLD, patience=10) as (clinic, _):
        clinic.run()
        keys = {row.business_key for row in clinic.rows()}
    database.engine.dispose()
    return keys


def on_both_stores(points: dict[str, Point], *also: str) -> Any:
    """Every point on SQLite, some on PostgreSQL as well: a process takes its time to start."""
    pairs = [("sqlite", name) for name in points]
    more = [pytest.param("postgresql", name, marks=pytest.mark.postgres) for name in also]
    return pytest.mark.parametrize(("database_url", "name"), [*pairs, *more], indirect=["database_url"])


@on_both_stores(
    FIRST_NIGHT, "before it writes anything", "when the first create has arrived", "as a Task leaves"
)
def test_a_first_night_that_was_killed(
    name: str, database: Database, tmp_path: Path, wanted: set[str]
) -> None:
    with far_practice(database, tmp_path, WORLD, patience=10) as (clinic, network):
        run_and_kill(clinic, network, FIRST_NIGHT[name], AS_OF)
        reports = [clinic.run() for _ in range(3)]
        rows = clinic.rows()
        assert {row.business_key for row in rows} == wanted, "nothing is lost"
        assert {clinic.copies_of(row) for row in rows if row.state == "written"} == {1}
        assert all(clinic.copies_of(row) == 0 for row in rows if row.state != "written")
        assert {row.state for row in rows} <= {"written", "unknown", "pending"}
        assert len(clinic.rows(state="unknown")) == ("leaves" in name)
        assert (reports[-1]["written"], reports[-1]["unknown"]) == (0, len(clinic.rows(state="unknown")))
        with database.read() as connection:
            died = sync.recent_runs(connection, "clinic")[-1]
        assert died["status"] == "failed"


@on_both_stores(SECOND_NIGHT, "when an update has arrived")
def test_a_later_night_that_was_killed(name: str, database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, WORLD, patience=10) as (clinic, network):
        clinic.run()
        clinic.emr.load([NEWER])
        run_and_kill(clinic, network, SECOND_NIGHT[name], AS_OF + DAY)
        task = next(row for row in clinic.rows(code="a1c-outreach") if row.patient_id == "p1")
        clinic.emr.clinician_edit(
            "Task", task.reference.partition("/")[2], lambda found: found.update(owner={"display": "Anna"})
        )
        clinic.run(AS_OF + DAY)
        last = clinic.run(AS_OF + DAY)
        assert (last["status"], last["written"], last["pending"]) == ("complete", 0, 0)
        assert set(clinic.copies().values()) == {1}
        now = clinic.emr.current("Task", task.reference.partition("/")[2])
        assert now is not None and now.resource is not None
        assert now.resource["reasonReference"] == {"reference": "Observation/newer"}
        assert now.resource["owner"] == {"display": "Anna"}
        assert next(row for row in clinic.rows() if row.id == task.id).human == ["owner"]


def test_the_lease_dies_with_its_process_and_nobody_else_gets_in_before(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        arrived: list[float] = []
        network.fail("GET Patient?", Fault(True, late=20, first=lambda: arrived.append(time.monotonic())))
        first = start(clinic, AS_OF)
        while not arrived:
            time.sleep(0.02)
        code, stdout, stderr = start(clinic, AS_OF).end()
        assert (code, '"reason":"busy"' in stdout.replace(" ", "")) == (1, True), stderr
        first.kill()
        assert clinic.run()["written"] == 3
        assert set(clinic.copies().values()) == {1}
