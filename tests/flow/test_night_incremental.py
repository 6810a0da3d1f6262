"""A night costs what changed: judging only who is due gives what judging everybody would have given."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from cm_service.db import care, connections, sync
from cm_service.db.engine import Database
from cm_service.db.tables import Record
from cm_service.flow import record
from cm_service.flow.evaluate import evaluate_due
from cm_service.flow.judge import Night, digest
from cm_service.flow.people import Surroundings, views
from cm_service.flow.records import Store, Stored
from cm_service.flow.sources import Source, from_folder
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.parameters import Parameters
from cm_service.rules.view import PatientView
from cm_service.sandbox.panel import build_panel, write_panel
from tests.flow.night_world import AS_OF, a1c, condition, out_of_range, patient, practice

ZONE = ZoneInfo("America/Detroit")
YEAR, SECOND = dt.timedelta(days=365), dt.timedelta(seconds=1)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("panel")
    write_panel(build_panel(as_of=AS_OF, zone=ZONE), folder)
    return folder


def at(as_of: dt.datetime) -> Night:
    """A night that only judges."""
    return Night(
        emr="clinic",
        as_of=as_of,
        zone=ZONE,
        parameters=Parameters(),
        unread=frozenset(),
        refused=frozenset(),
        planner=lambda _view, _decisions, _known: [],
    )


def take(database: Database, folder: Path) -> None:
    add_clinic(database)
    keep(database, from_folder(folder, base_url=None, concept_map={}, max_line_bytes=20_000_000, full=False))


def add_clinic(database: Database) -> None:
    with database.write() as connection:
        connections.add_emr(
            connection,
            now=AS_OF,
            slug="clinic",
            base_url="http://127.0.0.1/fhir",
            timezone=str(ZONE),
            auth="none",
            token_reference=None,
            group_id=None,
            practice=None,
            owner=None,
            write_mode="propose",
            settings={},
        )


def keep(database: Database, source: Source, *, plans: Night | None = None) -> Stored:
    night = plans or at(AS_OF)
    store = Store(database, night, replaces=frozenset(), holes=source.holes, entangled=source.entangled())
    return store.take(source.reading)


class Person(NamedTuple):
    """`evaluate` gives digests by rule, and until when they hold."""

    view: PatientView

    def evaluate(self, as_of: dt.datetime) -> tuple[dict[str, str], dt.datetime | None]:
        decisions = evaluate_patient(self.view, as_of=as_of, zone=ZONE)
        until = min((d.stable_until for d in decisions if d.stable_until), default=None)
        return {decision.rule: digest(decision) for decision in decisions}, until


def everybody(database: Database) -> Iterator[Person]:
    """Straight from the records, with nothing that an earlier night left behind."""
    with database.read() as connection:
        survivors = {held.survivor for held in sync.held_records(connection, "clinic").values()}
        rows = sync.load_group(connection, "clinic", survivors)
        places = {k: record.decode_one(v) for k, v in sync.held_places(connection, "clinic").items()}
    around = Surroundings(Parameters(), places)
    for survivor in sorted(survivors):
        mine = [row for row in rows if row.survivor == survivor]
        members = {row.patient_id: record.decode(row.facts) for row in mine}
        holes = {row.patient_id: row.holes for row in mine}
        for view in views(survivor, members, around=around, declines={}, holes=holes):
            yield Person(view)


def stored(database: Database) -> dict[str, dict[str, str]]:
    with database.read() as connection:
        rows = care.decisions_of(connection, "clinic", care.patients(connection, "clinic"))
    return {who: {rule: row.digest for rule, row in rules.items()} for who, rules in rows.items()}


def test_an_incremental_night_equals_a_full_one_on_random_days_of_a_year(
    database: Database, panel: Path
) -> None:
    take(database, panel)
    people = list(everybody(database))
    assert len(people) >= 230
    days = 60 if database.is_sqlite else 30
    moments = sorted(random.Random(20261120).uniform(0, YEAR.total_seconds()) for _ in range(days))
    judged = []
    for seconds in moments:
        as_of = AS_OF + dt.timedelta(seconds=seconds)
        judged.append(evaluate_due(database, at(as_of))["patients"])
        fresh = {person.view.patient.id: person.evaluate(as_of)[0] for person in people}  # type: ignore[union-attr]
        assert stored(database) == fresh, as_of
    assert min(judged) < len(people) / 2, "or else nothing was incremental"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # rules know no database
def test_decisions_hold_until_the_second_before_stable_until(database: Database, panel: Path) -> None:
    take(database, panel)
    boundaries = 0
    for person in everybody(database):
        now, (decisions, until) = AS_OF, person.evaluate(AS_OF)
        while until is not None and until < AS_OF + YEAR:
            assert until > now
            before = until - SECOND
            if before > now:
                assert person.evaluate(before)[0] == decisions, (person.view.patient, before)
            now, (decisions, until) = until, person.evaluate(until)
            boundaries += 1
    assert boundaries > 400


def test_who_is_due_at_the_very_second_of_stable_until_is_judged(database: Database, panel: Path) -> None:
    take(database, panel)
    evaluate_due(database, at(AS_OF))  # those whom a merge joins
    for _ in range(20):
        with database.read() as connection:
            until = connection.scalar(sa.select(sa.func.min(Record.stable_until)))
        assert until is not None
        assert evaluate_due(database, at(until - SECOND))["patients"] == 0
        assert evaluate_due(database, at(until))["patients"] > 0
        fresh = {p.view.patient.id: p.evaluate(until)[0] for p in everybody(database)}  # type: ignore[union-attr]
        assert stored(database) == fresh


def test_an_unchanged_night_judges_nobody(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [*out_of_range("p1"), *out_of_range("p2")]) as clinic:
        clinic.run()
        clinic.run()  # reads what the first one wrote
        assert clinic.run()["evaluated"] == 0
        assert clinic.run(AS_OF + DAY)["evaluated"] == 0


def test_plans_and_tasks_that_we_wrote_make_nobody_due(database: Database, tmp_path: Path) -> None:
    with practice(
        database, tmp_path, [patient(), condition("copd", "J44.9"), condition("htn", "I10")]
    ) as clinic:
        assert clinic.run()["written"] == 2
        assert clinic.run()["evaluated"] == 0


def test_a_changed_record_a_changed_parameter_and_a_changed_zone_make_due(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [*out_of_range("p1"), patient("p2")]) as clinic:
        clinic.run()
        clinic.run()
        clinic.emr.load([a1c(9.9)])
        assert clinic.run()["evaluated"] == 1
        clinic.run()
        clinic.set(settings={"a1c.target": "9.95"})
        assert clinic.run()["evaluated"] == 2
        assert clinic.held("Task", "a1c-outreach")["status"] == "cancelled"
        clinic.set(timezone="America/New_York")
        assert clinic.run()["evaluated"] == 2


def test_a_night_about_an_earlier_moment_judges_everybody_anew(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [*out_of_range("p1"), patient("p2")]) as clinic:
        clinic.run(AS_OF + 200 * DAY, dry_run=False)
        assert clinic.run(AS_OF)["evaluated"] == 2


def test_a_dry_run_counts_everybody_and_leaves_everybody_due(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [*out_of_range("p1"), patient("p2")]) as clinic:
        first = clinic.run(dry_run=True)
        second = clinic.run(dry_run=True)
        assert first["decisions"] == second["decisions"] == 20
        assert (first["eligible"], first["intents"]) == (second["eligible"], second["intents"]) == (1, 3)
        assert (clinic.rows(), stored(database), clinic.writes()) == ([], {}, 0)
        assert clinic.run()["written"] == 3
        third = clinic.run(dry_run=True)
        assert (third["patients"], third["eligible"], third["intents"]) == (2, 1, 0)


def test_write_mode_dry_run_is_a_dry_run_every_night(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range(), write_mode="dry-run") as clinic:
        assert (clinic.run()["intents"], clinic.run()["written"], clinic.writes()) == (3, 0, 0)
        clinic.set(write_mode="auto")
        assert clinic.run()["written"] == 3
        assert clinic.held("Task")["status"] == "accepted"
        assert clinic.held("CarePlan")["status"] == "active"
