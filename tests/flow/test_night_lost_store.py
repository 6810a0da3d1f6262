"""The data folder is gone: the next night finds what was written, takes it as it is, and writes nothing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import care, connections
from cm_service.db.engine import Database
from cm_service.errors import Misconfigured
from tests.flow.bad_network import answers, empty
from tests.flow.night_world import (
    AS_OF,
    BASE,
    Json,
    a1c,
    condition,
    diabetes,
    far_practice,
    out_of_range,
    patient,
    practice,
    stay,
)

DAY = dt.timedelta(days=1)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
OUTREACH, OFFER = "a1c-outreach", "enrolment-offer"
NEWER = a1c(9.8, id_="newer", effectiveDateTime="2026-11-19")
TWO_CONDITIONS = [patient(), diabetes(), condition("htn", "I10")]


def test_everything_is_adopted_and_nothing_written(database: Database, tmp_path: Path) -> None:
    world = [*out_of_range(), *out_of_range("p2"), stay(who="p2"), condition("htn", "I10", "p2")]
    with practice(database, tmp_path, world) as clinic:
        clinic.run()
        before = {row.value: (row.kind, row.code, row.rule, row.subject) for row in clinic.rows()}
        writes = clinic.writes()
        clinic.lose_store()
        report = clinic.run(AS_OF + DAY)
        assert (report["status"], report["written"], report["adopted"]) == ("complete", 0, len(before))
        assert {row.value: (row.kind, row.code, row.rule, row.subject) for row in clinic.rows()} == before
        for days in (2, 30):
            assert clinic.run(AS_OF + days * DAY)["adopted"] == 0
        assert clinic.writes() == writes
        assert set(clinic.copies().values()) == {1}


def test_what_a_person_changed_before_the_loss_is_kept(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.edit("Task", OUTREACH, description="Ask for Ana", owner={"display": "Anna"})
        clinic.lose_store()
        assert clinic.run(AS_OF + DAY)["written"] == 0
        clinic.emr.load([NEWER])
        clinic.run(AS_OF + 2 * DAY)
        task = clinic.held("Task", OUTREACH)
        assert (task["owner"], task["priority"]) == ({"display": "Anna"}, "urgent")


def test_what_a_person_changes_after_the_loss_is_kept(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.lose_store()
        clinic.run(AS_OF + DAY)
        clinic.edit("Task", OUTREACH, description="Ask for Ana")
        clinic.emr.load([NEWER])
        clinic.run(AS_OF + 2 * DAY)
        task = clinic.held("Task", OUTREACH)
        assert (task["description"], task["priority"]) == ("Ask for Ana", "urgent")


@SQLITE
def test_nights_that_only_look_leave_it_to_the_first_real_one_to_respect_what_was_found(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.edit("Task", OUTREACH, description="Ask for Ana")
        clinic.lose_store()
        clinic.run(dry_run=True)
        clinic.edit("Task", OUTREACH, owner={"display": "Anna"})
        clinic.run(dry_run=True)
        clinic.emr.load([NEWER])
        clinic.run(AS_OF + DAY)
        task = clinic.held("Task", OUTREACH)
        assert (task["description"], task["owner"]) == ("Ask for Ana", {"display": "Anna"})


@SQLITE
@pytest.mark.parametrize("status", ["completed", "rejected", "cancelled"])
def test_a_task_that_a_person_closed_is_not_opened_or_made_again(
    status: str, database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.edit("Task", OUTREACH, status=status)
        clinic.lose_store()
        for days in (0, 1, 5):
            assert clinic.run(AS_OF + days * DAY)["written"] == 0
        assert clinic.held("Task", OUTREACH)["status"] == status


@SQLITE
def test_a_rejected_offer_is_still_a_decline_from_the_day_on_which_it_was_rejected(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, TWO_CONDITIONS) as clinic:
        clinic.run()
        clinic.edit("Task", OFFER, status="rejected", lastModified="2026-11-21T09:00:00-05:00")
        clinic.lose_store()
        assert clinic.run(AS_OF + 100 * DAY)["declined"] == 1
        with database.read() as connection:
            (decline,) = care.declines_of(connection, "clinic", ["p1"])["p1"]
        assert decline[1] == dt.datetime.fromisoformat("2026-11-21T09:00:00-05:00") + 180 * DAY


@SQLITE
def test_a_second_enrolment_is_known_again(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, TWO_CONDITIONS) as clinic:
        clinic.run()
        clinic.edit("CarePlan", status="completed")
        clinic.edit("Task", OFFER, status="completed", executionPeriod={"end": AS_OF.isoformat()})
        clinic.emr.load([a1c(9.4)])
        clinic.run(AS_OF + DAY)
        plans = {row.business_key for row in clinic.rows(kind="CarePlan")}
        assert plans == {"plan|p1|longitudinal|1", "plan|p1|longitudinal|2"}
        clinic.lose_store()
        assert clinic.run(AS_OF + 2 * DAY)["written"] == 0
        assert {row.business_key for row in clinic.rows(kind="CarePlan")} == plans
        assert set(clinic.copies().values()) == {1}


@SQLITE
def test_what_no_longer_holds_is_withdrawn_by_the_first_night_after_the_loss(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.lose_store()
        clinic.emr.clinician_edit("Patient", "p1", lambda found: found.update(deceasedBoolean=True))
        clinic.run(AS_OF + DAY)
        assert clinic.held("Task", OUTREACH)["status"] == "cancelled"
        assert clinic.held("Goal")["lifecycleStatus"] == "cancelled"


@SQLITE
def test_an_emr_that_dropped_our_second_identifier_is_recognised_by_the_value(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        for kind in ("Goal", "CarePlan", "Task"):
            for version in clinic.emr.live(kind):
                clinic.emr.clinician_edit(kind, version.id, lambda found: found["identifier"].pop())
        clinic.lose_store()
        for days in (0, 1):
            assert clinic.run(AS_OF + days * DAY)["written"] == 0
        assert set(clinic.copies().values()) == {1}


@SQLITE
def test_an_emr_that_escapes_its_slashes_is_recognised(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.lose_store()
        folder = tmp_path / "dump"
        folder.mkdir()
        for kind in ("Patient", "Condition", "Observation", "Goal", "CarePlan", "Task"):
            lines = [version.body.replace(b"/", b"\\/") for version in clinic.emr.live(kind)]
            (folder / f"{kind}.ndjson").write_bytes(b"\n".join(lines) + b"\n")
        report = clinic.run(AS_OF + DAY, source=folder)
        assert (report["adopted"], report["written"]) == (3, 0)


@SQLITE
@pytest.mark.parametrize("plain", [False, True], ids=["If-None-Exist", "search first"])
def test_a_folder_without_our_resources_leads_to_no_second_copy(
    plain: bool, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.plain = plain
        clinic.run()
        clinic.edit("Task", OUTREACH, status="completed", owner={"display": "Anna"})
        clinic.lose_store()
        folder = tmp_path / "dump"
        folder.mkdir()
        for kind in ("Patient", "Condition", "Observation"):
            lines = [version.body for version in clinic.emr.live(kind)]
            (folder / f"{kind}.ndjson").write_bytes(b"\n".join(lines) + b"\n")
        report = clinic.run(AS_OF + DAY, source=folder)
        assert (report["status"], report["written"]) == ("complete", 0)
        assert set(clinic.copies().values()) == {1}
        assert {"owner", "status"} <= set(clinic.row("Task", OUTREACH).human)
        task = clinic.held("Task", OUTREACH)
        assert (task["status"], task["owner"]) == ("completed", {"display": "Anna"})
        assert clinic.run(AS_OF + 2 * DAY)["written"] == 0


@SQLITE
@pytest.mark.parametrize("fault", [answers(403), answers(500), empty()], ids=["403", "500", "empty"])
def test_a_night_that_cannot_read_our_tasks_makes_no_second_ones(
    fault: Any, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        clinic.run()
        clinic.lose_store()
        network.fail("GET Task?_count", fault, always=True)
        clinic.run()
        assert set(clinic.copies().values()) == {1}


@SQLITE
def test_somebody_elses_resource_under_our_system_is_left_alone(database: Database, tmp_path: Path) -> None:
    odd: Json = {
        "resourceType": "Task",
        "id": "odd",
        "identifier": [{"system": f"{BASE}/id/task", "value": "hand-made " * 60}],
        "status": "requested",
        "intent": "order",
        "for": {"reference": "Patient/p1"},
    }
    with practice(database, tmp_path, [*out_of_range(), odd]) as clinic:
        assert clinic.run()["adopted"] == 0
        assert clinic.emr.current("Task", "odd").number == 1  # type: ignore[union-attr]


def test_another_identifier_base_is_a_clear_error(database: Database, tmp_path: Path) -> None:
    with database.write() as connection:
        connections.fix_identifier_base(connection, BASE)
    with database.write() as connection, pytest.raises(Misconfigured, match="this installation began with"):
        connections.fix_identifier_base(connection, "https://other.example")
