"""One night, and the night after: written once, people respected, nothing cancelled by a lost reading."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from cm_service.db.engine import Database
from cm_service.errors import Busy
from tests.flow.night_world import (
    AS_OF,
    a1c,
    condition,
    diabetes,
    out_of_range,
    patient,
    practice,
    stay,
)

DAY = dt.timedelta(days=1)


def test_the_first_night_writes_and_the_second_writes_nothing(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        first = clinic.run()
        assert (first["status"], first["written"], first["eligible"]) == ("complete", 3, 1)
        assert set(clinic.copies().values()) == {1}
        writes = clinic.writes()
        assert clinic.run()["written"] == 0
        assert clinic.run(AS_OF + 7 * DAY)["written"] == 0
        assert clinic.writes() == writes


def test_what_is_written_says_what_a_nurse_needs(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        task, goal, plan = clinic.held("Task"), clinic.held("Goal"), clinic.held("CarePlan")
        assert task["description"].startswith("HbA1c 8.6 % on 2026-11-10, target 7")
        assert (task["status"], goal["lifecycleStatus"], plan["status"]) == ("requested", "proposed", "draft")
        assert task["basedOn"] == [{"reference": f"CarePlan/{plan['id']}"}]
        assert task["focus"] == {"reference": f"Goal/{goal['id']}"}
        assert plan["goal"] == [{"reference": f"Goal/{goal['id']}"}]
        assert task["for"] == {"reference": "Patient/p1"}


def test_a_lost_store_adopts_what_it_finds_and_writes_nothing(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [*out_of_range(), *out_of_range("p2"), stay(who="p2")]) as clinic:
        clinic.run()
        clinic.edit("Goal", "no-unplanned-readmission", description={"text": "Stay well at home"})
        writes, things = clinic.writes(), len(clinic.rows())
        fresh = Database(f"sqlite:///{tmp_path / 'fresh.sqlite3'}", lock_dir=tmp_path / "other")
        fresh.migrate()
        clinic.database = fresh
        clinic.tools = clinic.tools._replace(database=fresh)
        clinic.add()
        again = clinic.run()
        assert (again["status"], again["written"], again["adopted"]) == ("complete", 0, things)
        assert clinic.run(AS_OF + DAY)["written"] == 0
        assert clinic.writes() == writes
        assert set(clinic.copies().values()) == {1}
        fresh.engine.dispose()


def test_a_result_entered_in_error_withdraws_the_task_and_the_proposed_goal(
    database: Database, tmp_path: Path
) -> None:
    world = [patient(), diabetes(), a1c(6.6, id_="older", effectiveDateTime="2026-08-01"), a1c(9.4)]
    with practice(database, tmp_path, world) as clinic:
        clinic.run()
        assert clinic.held("Task", "a1c-outreach")["priority"] == "urgent"
        clinic.emr.clinician_edit(
            "Observation", "p1-a1c", lambda found: found.update(status="entered-in-error")
        )
        clinic.run()
        task = clinic.held("Task", "a1c-outreach")
        assert task["status"] == "cancelled"
        assert "error" in task["statusReason"]["text"]
        assert clinic.held("Goal")["lifecycleStatus"] == "cancelled"
        assert set(clinic.copies().values()) == {1}


def test_what_a_clinician_changed_is_theirs_and_the_rest_is_still_ours(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.edit("Task", description="Call her daughter, mornings only")
        clinic.emr.load([a1c(9.8, id_="newer", effectiveDateTime="2026-11-19")])
        report = clinic.run(AS_OF + DAY)
        task = clinic.held("Task", "a1c-outreach")
        assert task["description"] == "Call her daughter, mornings only"
        assert task["priority"] == "urgent"
        assert task["reasonReference"] == {"reference": "Observation/newer"}
        assert report["changed"] == 1
        assert "description" in clinic.row("Task", "a1c-outreach").human


def test_what_a_clinician_deleted_is_never_created_anew(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        row = clinic.row("Task", "a1c-outreach")
        clinic.emr.clinician_delete("Task", row.reference.partition("/")[2])
        assert clinic.run()["deleted"] == 1
        clinic.emr.load([a1c(9.1)])
        clinic.run(AS_OF + DAY)
        assert clinic.emr.count_identifier("Task", row.system, row.value) == 0


def test_at_most_max_new_patients_begin_in_one_night_and_the_most_urgent_first(
    database: Database, tmp_path: Path
) -> None:
    world = [*out_of_range("p1"), *out_of_range("p2"), patient("p3"), stay(who="p3")]
    with practice(database, tmp_path, world) as clinic:
        first = clinic.run(max_new=1)
        assert {row.patient_id for row in clinic.rows(state="written")} == {"p3"}
        assert (first["written"], first["pending"]) == (6, 6)
        assert clinic.run(max_new=1)["pending"] == 3
        assert clinic.run(max_new=1)["pending"] == 0
        assert clinic.run(max_new=1)["written"] == 0


def test_a_dry_run_writes_nothing_and_the_next_night_writes_all(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        dry = clinic.run(dry_run=True)
        assert (dry["written"], dry["intents"], dry["eligible"], clinic.writes()) == (0, 3, 1, 0)
        assert clinic.run()["written"] == 3


def test_an_answer_without_observations_withdraws_nothing(database: Database, tmp_path: Path) -> None:
    many = [resource for number in range(30) for resource in out_of_range(f"p{number}")]
    with practice(database, tmp_path, many) as clinic:
        clinic.run()
        writes = clinic.writes()
        for number in range(30):
            clinic.emr.clinician_delete("Observation", f"p{number}-a1c")
        report = clinic.run()
        assert report["status"] == "partial"
        assert any("Observation" in problem for problem in report["problems"])
        assert clinic.writes() == writes


def test_a_deleted_condition_is_seen_by_the_next_night_that_reads_everything(
    database: Database, tmp_path: Path
) -> None:
    world = [patient(), diabetes(), condition("htn", "I10")]
    with practice(database, tmp_path, world) as clinic:
        clinic.run()
        assert clinic.held("Task", "enrolment-offer")["status"] == "requested"
        clinic.emr.clinician_delete("Condition", "htn")
        report = clinic.run(full=True)
        assert (report["status"], report["removed"]) == ("complete", 1)
        assert clinic.held("Task", "enrolment-offer")["status"] == "cancelled"


def test_a_merged_patients_task_is_cancelled_and_made_once_on_the_survivor(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [*out_of_range("old"), patient("new")]) as clinic:
        clinic.run()
        gone = [{"other": {"reference": "Patient/new"}, "type": "replaced-by"}]
        clinic.emr.clinician_edit("Patient", "old", lambda found: found.update(link=gone))
        clinic.run()
        tasks = {row.patient_id: row for row in clinic.rows(kind="Task", code="a1c-outreach")}
        states = {
            who: clinic.emr.current("Task", row.reference.partition("/")[2]).resource["status"]  # type: ignore[union-attr,index]
            for who, row in tasks.items()
        }
        assert states == {"old": "cancelled", "new": "requested"}
        assert clinic.run()["written"] == 0


def test_a_rejected_offer_leaves_the_patient_alone_for_180_days(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [patient(), diabetes(), condition("htn", "I10")]) as clinic:
        clinic.run()
        clinic.edit("Task", "enrolment-offer", status="rejected")
        assert clinic.run(AS_OF + DAY)["declined"] == 1
        clinic.emr.load([a1c(9.5)])
        assert clinic.run(AS_OF + 2 * DAY)["written"] == 0


def test_two_nights_of_one_emr_never_run_at_once(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        with database.lease("the sync of clinic"), pytest.raises(Busy):
            clinic.run()
        assert clinic.run()["status"] == "complete"


def test_a_patient_who_died_has_no_open_task(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.emr.clinician_edit("Patient", "p1", lambda found: found.update(deceasedBoolean=True))
        clinic.run(AS_OF + DAY)
        assert clinic.held("Task", "a1c-outreach")["status"] == "cancelled"
