"""A night under way tells per type how much was read, how fast, and about how long it will still take."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from cm_service.db import sync
from cm_service.db.engine import Database
from cm_service.flow.landing import TypeReport
from cm_service.flow.nightly import NightOptions, night
from cm_service.flow.pulling import Pulling, sentence
from cm_service.sandbox import server
from cm_service.sandbox.store import Store
from tests.flow.night_world import AS_OF, Practice, patient
from tests.real.command import Home

SECOND = dt.timedelta(seconds=1)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Told:
    """A clock that a test moves on, and what was said."""

    def __init__(self, database: Database) -> None:
        self.database, self.now, self.lines = database, AS_OF, list[str]()
        with database.write() as connection:
            self.run = sync.start_run(connection, emr="clinic", as_of=AS_OF, started=AS_OF, source="pull")
        self.pulling = Pulling(database, self.run, self.lines.append, lambda: self.now)

    def hear(self, report: TypeReport, *, after: int = 0) -> str:
        self.now += after * SECOND
        self.pulling(report)
        return self.lines[-1]

    def stored(self) -> dict[str, dict[str, object]]:
        with self.database.read() as connection:
            return dict(sync.run_of(connection, self.run).types)


@pytest.fixture
def told(database: Database, tmp_path: Path) -> Told:
    Practice(database, Store(), "http://127.0.0.1/fhir", tmp_path)
    return Told(database)


@SQLITE
def test_the_rate_and_what_is_left_follow_from_the_emrs_own_count(told: Told) -> None:
    report = TypeReport(type="Observation", resources=200, pages=1, expected=40_000)
    assert told.hear(report) == "Observation: 200 read"
    report.resources, report.pages = 3200, 16
    assert told.hear(report, after=10) == "Observation: 3,200 read, 300 a second, 8 % done, about 2 min left"
    assert told.stored()["Observation"]["seconds_left"] == 123
    report.resources, report.status = 40_000, "complete"
    assert told.hear(report, after=120) == "Observation: 40,000 read"


@SQLITE
def test_patient_by_patient_the_patients_are_counted(told: Told) -> None:
    report = TypeReport(type="Encounter", patients=[], whom=100)
    told.hear(report)
    report.patients, report.failed, report.resources = [f"p{n}" for n in range(9)], {"x": "no"}, 55
    assert told.hear(report, after=10) == "Encounter: 55 read, 5.5 a second, 10 % done, about 1 min left"


@SQLITE
def test_where_the_emr_counts_nothing_no_time_is_made_up(told: Told) -> None:
    report = TypeReport(type="Task", resources=50)
    told.hear(report)
    report.resources = 150
    assert told.hear(report, after=10) == "Task: 150 read, 10 a second"


@SQLITE
def test_what_a_killed_run_had_read_does_not_count_as_speed(told: Told) -> None:
    report = TypeReport(type="Task", resources=5000, expected=6000)
    told.hear(report)
    report.resources = 5100
    assert told.hear(report, after=10) == "Task: 5,100 read, 10 a second, 85 % done, about 1 min left"


@SQLITE
def test_the_store_hears_of_it_every_few_seconds_and_at_each_end(told: Told) -> None:
    told.hear(TypeReport(type="Patient", resources=1))
    told.hear(TypeReport(type="Patient", resources=2), after=1)
    assert told.stored()["Patient"]["resources"] == 1
    told.hear(TypeReport(type="Patient", resources=3), after=4)
    assert told.stored()["Patient"]["resources"] == 3
    told.hear(TypeReport(type="Task", resources=7, status="complete"))
    assert told.stored()["Task"] == {"status": "complete", "pages": 0, "resources": 7}


def test_hours_are_told_as_hours() -> None:
    said = {"resources": 1, "per_second": 0.5, "done": 1, "total": 9000, "seconds_left": 17_998}
    assert sentence("Task", said) == "Task: 1 read, 0.5 a second, 0 % done, about 4 h 59 min left"


@SQLITE
def test_sync_status_shows_a_night_that_is_under_way(database: Database, tmp_path: Path) -> None:
    emr = Store()
    emr.load([patient(f"p{number}") for number in range(450)])
    with server.running(emr) as base:
        clinic = Practice(database, emr, base, tmp_path)
        now, heard = AS_OF, list[str]()

        def clock() -> dt.datetime:
            nonlocal now
            now += 6 * SECOND
            return now

        status: list[dict[str, object]] = []

        def tell(text: str) -> None:
            heard.append(text)
            if text.startswith("Patient: 450") and not status:  # the page before is in the store
                with database.read() as connection:
                    status.extend(sync.recent_runs(connection, "clinic"))

        options = NightOptions(as_of=AS_OF)
        assert night(clinic.tools._replace(clock=clock), "clinic", options, tell)["patients"] == 450
    (running, *_) = status
    said = running["types"]["Patient"]  # type: ignore[index]
    assert (running["status"], said["total"], said["resources"]) == ("running", 450, 400)
    assert (said["done"], said["seconds_left"] > 0, said["per_second"] > 0) == (400, True, True)
    lines = [text for text in heard if text.startswith("Patient:")]
    assert any("a second" in text and "left" in text for text in lines), lines


def test_sync_status_prints_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    home.add("http://127.0.0.1:1/fhir")
    url = f"sqlite:///{tmp_path / 'data' / 'cm-service.sqlite3'}"
    store = Database(url, lock_dir=tmp_path / "locks")
    told = Told(store)
    report = TypeReport(type="Observation", resources=200, expected=1000)
    told.hear(report)
    report.resources = 400
    told.hear(report, after=10)
    store.engine.dispose()
    said = home.run("sync", "status", "--json")
    assert "Observation: 400 read, 20 a second, 40 % done, about 30 s left" in said.stderr
    assert json.loads(said.stdout)["items"][0]["types"]["Observation"]["seconds_left"] == 30
