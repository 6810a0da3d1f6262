"""Who is on the roster no more: a person is asked, once, and nothing is closed for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from cm_service.db import absences
from cm_service.db.engine import Database
from cm_service.flow import freshness
from cm_service.flow.departed import named
from cm_service.flow.landing import PullReport, RosterReport, TypeReport
from tests.flow.night_world import AS_OF, Json, Practice, out_of_range, patient, practice
from tests.flow.test_pull_export import group, night
from tests.flow.test_pull_per_patient import Limited

DAY = dt.timedelta(days=1)
TASK = "panel-review"


@pytest.fixture
def clinic(database: Database, tmp_path: Path) -> Iterator[Practice]:
    world = [*out_of_range("p1"), *out_of_range("p2"), group("p1", "p2")]
    with practice(database, tmp_path, world, pull="export", group_id="panel") as clinic:
        night(clinic)
        clinic.emr.load([group("p1")])
        yield clinic


def asked(clinic: Practice) -> list[tuple[str, str]]:
    return [(row.patient_id, row.state) for row in clinic.rows(code=TASK)]


def test_two_rosters_without_a_patient_ask_a_person_once(clinic: Practice) -> None:
    night(clinic, AS_OF + DAY)
    assert asked(clinic) == []
    night(clinic, AS_OF + 2 * DAY)
    assert asked(clinic) == [("p2", "written")]
    task = clinic.held("Task", TASK)
    assert task["for"] == {"reference": "Patient/p2"}
    assert task["description"] == (
        "Not on the practice's list of patients since 2026-11-21: still our patient? Find out by 2026-12-06"
    )
    outreach = [row for row in clinic.rows(code="a1c-outreach") if row.patient_id == "p2"]
    held = clinic.emr.current("Task", outreach[0].reference.partition("/")[2])
    assert held is not None and held.resource is not None and held.resource["status"] == "requested"
    assert night(clinic, AS_OF + 3 * DAY)["written"] == 0
    assert asked(clinic) == [("p2", "written")]


def test_the_same_night_twice_is_one_roster(clinic: Practice) -> None:
    for _ in range(3):
        night(clinic, AS_OF + DAY)
    assert asked(clinic) == []


def test_back_on_the_roster_the_question_is_withdrawn_and_asked_anew_when_the_patient_goes_again(
    clinic: Practice,
) -> None:
    night(clinic, AS_OF + DAY)
    night(clinic, AS_OF + 2 * DAY)
    clinic.emr.load([group("p1", "p2")])
    night(clinic, AS_OF + 3 * DAY)
    task = clinic.held("Task", TASK)
    assert task["status"] == "cancelled"
    assert task["statusReason"]["coding"][0]["code"] == "on_roster"
    clinic.emr.load([group("p1")])
    night(clinic, AS_OF + 4 * DAY)
    night(clinic, AS_OF + 5 * DAY)
    assert len(asked(clinic)) == 2


def test_what_a_person_answered_is_not_asked_again(clinic: Practice) -> None:
    night(clinic, AS_OF + DAY)
    night(clinic, AS_OF + 2 * DAY)
    clinic.edit("Task", TASK, status="completed")
    for days in (3, 4, 40):
        night(clinic, AS_OF + days * DAY)
    assert len(asked(clinic)) == 1 and clinic.held("Task", TASK)["status"] == "completed"


def test_a_roster_in_between_that_cannot_be_read_counts_for_nothing(
    clinic: Practice, database: Database
) -> None:
    night(clinic, AS_OF + DAY)
    clinic.emr.clinician_delete("Group", "panel")
    assert night(clinic, AS_OF + 2 * DAY)["status"] == "partial"
    assert asked(clinic) == []
    with database.read() as connection:
        assert absences.of_emr(connection, "clinic")["p2"].again is False


def test_a_list_that_was_cut_short_makes_nobody_leave_until_a_person_says_so(
    database: Database, tmp_path: Path
) -> None:
    clinic = Limited(database, tmp_path, "nextgen")
    clinic.emr.load([patient(f"q{number:02}") for number in range(25)])
    everybody = [version.id for version in clinic.emr.live("Patient")]
    clinic.roster(everybody)
    clinic.run()
    clinic.roster(everybody[:4])

    def away() -> int:
        with database.read() as connection:
            return len(absences.of_emr(connection, "clinic"))

    told = clinic.run()
    assert (told["status"], told["held_back"], away()) == ("partial", {"roster": 24}, 0)
    assert "was it cut short" in " ".join(told["problems"])
    freshness.approve_deletions(database, told["run"], now=AS_OF)
    assert (clinic.run()["status"], away()) == ("complete", 24)


@pytest.mark.parametrize(
    ("roster", "status", "ids"),
    [
        (RosterReport(origin="list", ids=["p1"]), "complete", {"p1"}),
        (RosterReport(origin="export", ids=["p1"]), "complete", {"p1"}),
        (RosterReport(origin="list", ids=["p1"]), "failed", None),
        (RosterReport(origin="group", ids=[]), "complete", None),
        (RosterReport(origin="patients", ids=["p1"]), "complete", None),
        (RosterReport(origin="store", ids=["p1"], reason="the Group could not be read"), "complete", None),
        (RosterReport(), "complete", None),
    ],
)
def test_only_a_whole_roster_that_somebody_keeps_counts(
    roster: RosterReport, status: str, ids: Json | None
) -> None:
    report = PullReport(
        emr="clinic", types={"Patient": TypeReport(type="Patient", status=status)}, roster=roster
    )
    assert named(report) == ids
