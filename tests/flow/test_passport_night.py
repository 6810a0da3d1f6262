"""A night fills the passport by what it does, looks again when it must, and tells what changed."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from cm_service.db.engine import Database
from cm_service.fhir import rawjson
from cm_service.fhir.vendor import NO_PROFILE
from cm_service.flow import ours, passport
from cm_service.flow.passport import Passport, State
from cm_service.sandbox import server
from cm_service.sandbox.personality import GENEROUS
from cm_service.sandbox.store import Store
from tests.flow.bad_network import DROPPED_BEFORE, FINE, answers, html, meanwhile
from tests.flow.night_world import AS_OF, Practice, far_practice, out_of_range, patient, practice

DAY = dt.timedelta(days=1)
THREE = [each for who in ("p1", "p2", "p3") for each in out_of_range(who)]
OURS = ("Goal", "CarePlan", "Task")


def passport_of(clinic: Practice) -> Passport:
    with clinic.database.read() as connection:
        return passport.load(connection, "clinic", NO_PROFILE)


def state(clinic: Practice, kind: str, verb: str) -> State:
    return passport_of(clinic).effective(kind, verb).state


def test_the_first_night_proves_what_it_used_and_changes_nothing(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, THREE) as clinic:
        told = clinic.run()
        assert (told["status"], told["passport_changes"]) == ("complete", [])
        found = passport_of(clinic)
        for kind in OURS:
            assert found.effective(kind, "create").state == State.PROVEN
            assert found.effective(kind, "search").state == State.PROVEN
            assert found.effective(kind, "read").state == State.PROVEN
            assert found.effective(kind, "update").state == State.UNTRIED
            assert found.sees_fresh_writes(kind) == State.PROVEN
        writes = clinic.writes()
        again = clinic.run(AS_OF + 8 * DAY)
        assert (again["written"], again["passport_changes"]) == (0, [])
        assert clinic.writes() == writes, "a look writes nothing"


def test_what_was_created_is_looked_for_in_the_same_night_also_where_the_writing_was_stopped(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, THREE) as clinic:
        clinic.set(max_writes=8)
        told = clinic.run()
        assert (told["status"], told["written"], told["pending"]) == ("partial", 8, 1)
        assert passport_of(clinic).sees_fresh_writes("Goal") == State.PROVEN


def test_a_create_that_arrived_late_and_that_only_the_look_at_the_emr_shows_is_never_made_anew(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):

        def arrives() -> None:
            row = clinic.row("Task")
            wanted = ours.materialise(rawjson.loads(row.wanted.encode()), lambda _: None)
            clinic.emr.load([wanted | {"id": "late"}])

        network.fail("POST Task", DROPPED_BEFORE)
        network.fail("GET metadata", FINE, FINE, meanwhile(arrives))  # read, deliver, look
        clinic.run()
        assert (clinic.row("Task").state, clinic.row("Task").reference) == ("written", "Task/late")
        clinic.emr.clinician_delete("Task", "late")
        for days in (1, 2, 3):
            clinic.run(AS_OF + days * DAY)
        assert (network.sent("POST Task"), clinic.row("Task").deleted) == (1, True)


def test_an_update_proves_updates_and_then_whether_versions_are_guarded(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.emr.load([patient(deceasedDateTime="2026-11-25")])
        told = clinic.run(AS_OF + 8 * DAY)
        assert (told["status"], clinic.held("Task")["status"]) == ("complete", "cancelled")
        assert state(clinic, "Task", "update") == State.PROVEN
        assert passport_of(clinic).etag_is_true("Task") == State.PROVEN
        id_ = clinic.row("Task").reference.partition("/")[2]
        assert len(clinic.emr.history("Task", id_)) == 2, "created, cancelled, and not touched again"


@pytest.mark.parametrize("status", [405, 501])
def test_a_refused_create_is_told_that_same_night(database: Database, tmp_path: Path, status: int) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        clinic.run(dry_run=True)
        network.fail("POST Task", answers(status), always=True)
        told = clinic.run(AS_OF + DAY)
        (text,) = told["passport_changes"]
        assert text.startswith(f"Task create: was not disproven, is disproven (refused with {status} on ")
        assert state(clinic, "Goal", "create") == State.PROVEN
        network.heal()
        assert clinic.run(AS_OF + 2 * DAY)["passport_changes"] == []


def test_a_refused_look_up_is_not_taken_for_a_refused_create(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.plain = True  # so that each create is looked up first
        network.fail("GET Task?identifier", answers(403))
        network.fail("POST Task", answers(422))
        clinic.run()
        assert (clinic.row("Task").state, network.sent("POST Task")) == ("refused", 1)
        assert state(clinic, "Task", "create") == State.UNTRIED


def test_what_a_pull_is_refused_is_disproven(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.fail("GET Consent", answers(403), always=True)
        told = clinic.run()
        assert state(clinic, "Consent", "search") == State.DISPROVEN
        assert any(text.startswith("Consent search: was") for text in told["passport_changes"])


def test_a_search_that_lags_behind_is_found_out_by_our_own_writes(database: Database, tmp_path: Path) -> None:
    emr = Store(clock=lambda: AS_OF - DAY)
    emr.load(out_of_range())
    with server.running(emr, personality=replace(GENEROUS, search_lag_seconds=30)) as base_url:
        clinic = Practice(database, emr, base_url, tmp_path)
        clinic.run()
        assert {passport_of(clinic).sees_fresh_writes(kind) for kind in OURS} == {State.DISPROVEN}


def test_an_emr_that_is_gone_by_the_end_costs_nobody_the_night(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.fail("GET metadata", FINE, FINE, DROPPED_BEFORE, always=True)  # read, deliver, look
        told = clinic.run()
        assert (told["status"], told["written"]) == ("complete", 3)
        (text,) = told["passport_changes"]
        assert text.startswith("the passport could not be checked: no answer from")
        assert passport_of(clinic).value("", "checked") == "unknown"
        network.heal()
        assert clinic.run(AS_OF + DAY)["passport_changes"] == []
        assert passport_of(clinic).value("", "checked") == "yes"


def test_a_folder_night_with_nothing_to_send_asks_the_emr_nothing(database: Database, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "Patient.ndjson").write_text('{"resourceType":"Patient","id":"p1","birthDate":"1976-05-01"}\n')
    with far_practice(database, tmp_path, []) as (clinic, network):
        told = clinic.run(source=drop)
        assert (network.log, told["passport_changes"]) == ([], [])


def test_a_page_in_place_of_metadata_takes_no_condition_off_a_create(
    database: Database, tmp_path: Path
) -> None:
    """Without If-None-Exist a proxy that delivers twice makes two; so nothing is sent on such a night."""
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        assert clinic.run()["written"] == 3
        clinic.emr.load(out_of_range("p2"))
        network.fail("GET metadata", html(reaches=False), always=True)
        told = clinic.run(AS_OF + DAY)
        assert (told["status"], told["written"]) == ("partial", 0)
        assert [text for text in told["problems"] if text.startswith("writing stopped")]
        network.heal()
        assert clinic.run(AS_OF + 2 * DAY)["written"] == 3


def test_an_emr_that_never_showed_metadata_is_written_to_after_a_search(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.fail("GET metadata", html(reaches=False), always=True)
        assert clinic.run()["written"] == 3
        posted = [n for n, line in enumerate(network.log) if line.startswith("POST Task")]
        assert any(line.startswith("GET Task?identifier=") for line in network.log[: posted[0]])
