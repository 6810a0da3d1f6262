"""What people do in the EMR to what we wrote: theirs stays theirs, and the rest is still ours."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import sync
from cm_service.db.engine import Database
from tests.flow.bad_network import answers
from tests.flow.night_world import (
    AS_OF,
    Json,
    Practice,
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


def id_of(clinic: Practice, kind: str, code: str | None = None) -> str:
    return str(clinic.row(kind, code).reference.partition("/")[2])


def test_a_goals_due_date_and_words_are_kept_and_its_target_of_the_day_is_not_forced_on_it(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        mine = [{**clinic.held("Goal")["target"][0], "dueDate": "2027-09-01"}]
        clinic.edit("Goal", "4548-4", target=mine, description={"text": "To 8 by the wedding"})
        clinic.emr.load([NEWER])
        assert clinic.run(AS_OF + DAY)["changed"] == 1
        clinic.run(AS_OF + 2 * DAY)
        goal = clinic.held("Goal", "4548-4")
        assert (goal["target"], goal["description"]) == (mine, {"text": "To 8 by the wedding"})
        assert clinic.row("Goal", "4548-4").human == ["description", "target"]


def test_an_accepted_task_keeps_status_and_owner_and_is_updated_with_the_version_that_we_saw(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        note = [{"text": "left a message"}]
        clinic.edit("Task", OUTREACH, status="in-progress", owner={"display": "Anna"}, note=note)
        clinic.emr.load([NEWER])
        assert clinic.run(AS_OF + DAY)["status"] == "complete"
        task = clinic.held("Task", OUTREACH)
        assert (task["status"], task["owner"], task["note"]) == ("in-progress", {"display": "Anna"}, note)
        assert (task["priority"], task["reasonReference"]) == ("urgent", {"reference": "Observation/newer"})
        assert clinic.run(AS_OF + 2 * DAY)["written"] == 0


def test_an_accepted_plan_stays_active(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [*out_of_range(), condition("htn", "I10")]) as clinic:
        clinic.run()
        clinic.edit("CarePlan", status="active", title="Plan of Mrs. Miller")
        clinic.emr.load([condition("copd", "J44.9")])
        clinic.run(AS_OF + DAY)
        plan = clinic.held("CarePlan")
        assert (plan["status"], plan["title"]) == ("active", "Plan of Mrs. Miller")
        assert {each["reference"] for each in plan["addresses"]} >= {"Condition/copd"}, "the rest is ours"


@SQLITE
@pytest.mark.parametrize(("kind", "code"), [("Task", OUTREACH), ("Goal", "4548-4"), ("CarePlan", None)])
@pytest.mark.parametrize("plain", [False, True], ids=["If-None-Exist", "search first"])
def test_what_was_deleted_is_never_created_anew(
    kind: str, code: str | None, plain: bool, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.plain = plain
        clinic.run()
        row = clinic.row(kind, code)
        clinic.emr.clinician_delete(kind, id_of(clinic, kind, code))
        clinic.emr.load([NEWER])
        for days in (0, 1, 30, 120):
            clinic.run(AS_OF + days * DAY)
        assert clinic.emr.count_identifier(kind, row.system, row.value) == 0
        assert clinic.copies_of(row) == 1


def test_what_was_deleted_and_restored_is_ours_again(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        task = clinic.held("Task", OUTREACH)
        clinic.emr.clinician_delete("Task", task["id"])
        assert clinic.run()["deleted"] == 1
        clinic.emr.load([task])
        clinic.run()
        assert not clinic.row("Task", OUTREACH).deleted
        clinic.emr.load([NEWER])
        clinic.run(AS_OF + DAY)
        assert clinic.held("Task", OUTREACH)["priority"] == "urgent"


def test_a_hidden_task_is_not_taken_for_deleted(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        clinic.run()
        task = clinic.held("Task", OUTREACH)
        clinic.emr.clinician_delete("Task", task["id"])
        network.fail("GET Task/", answers(403))
        assert clinic.run()["deleted"] == 0
        network.fail("GET Task/", answers(500), always=True)
        assert clinic.run()["deleted"] == 0
        assert not clinic.row("Task", OUTREACH).deleted


@SQLITE
def test_a_copy_that_somebody_made_of_our_task_is_theirs(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [*out_of_range(), patient("p2")]) as clinic:
        clinic.run()
        copy = clinic.held("Task", OUTREACH) | {"id": "copy", "for": {"reference": "Patient/p2"}}
        clinic.emr.load([copy])
        clinic.emr.load([NEWER])
        for days in (1, 2):
            clinic.run(AS_OF + days * DAY)
        assert clinic.held("Task", OUTREACH)["priority"] == "urgent"
        assert clinic.emr.current("Task", "copy").number == 1  # type: ignore[union-attr]
        assert clinic.row("Task", OUTREACH).human == []
        assert clinic.run(AS_OF + 2 * DAY)["changed"] == 0


@SQLITE
@pytest.mark.parametrize(
    ("parts", "hidden"),
    [
        ({"modifierExtension": [{"url": "https://emr.example/negated", "valueBoolean": True}]}, ()),
        ({"meta": {"tag": [{"code": "SUBSETTED"}]}}, ("description", "owner")),
    ],
    ids=["modifierExtension", "SUBSETTED"],
)
def test_what_we_do_not_see_or_understand_is_never_written_over(
    parts: Json, hidden: tuple[str, ...], database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.edit("Task", OUTREACH, **parts)
        for name in hidden:
            clinic.emr.clinician_edit(
                "Task", id_of(clinic, "Task", OUTREACH), lambda task, name=name: task.pop(name, None)
            )
        clinic.emr.load([NEWER])
        before = clinic.emr.current("Task", id_of(clinic, "Task", OUTREACH))
        clinic.run(AS_OF + DAY)
        assert clinic.emr.current("Task", id_of(clinic, "Task", OUTREACH)) is before
        assert clinic.row("Task", OUTREACH).human == []


@SQLITE
def test_a_parked_update_goes_out_when_the_obstacle_is_gone(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.edit("Task", OUTREACH, modifierExtension=[{"url": "https://emr.example/x", "valueCode": "y"}])
        clinic.emr.load([NEWER])
        assert clinic.run(AS_OF + DAY)["parked"] == 1
        clinic.emr.clinician_edit(
            "Task", id_of(clinic, "Task", OUTREACH), lambda task: task.pop("modifierExtension")
        )
        report = clinic.run(AS_OF + 2 * DAY)
        assert (report["parked"], clinic.held("Task", OUTREACH)["priority"]) == (0, "urgent")


def test_a_rejected_offer_holds_for_180_days_and_not_longer(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [patient(), diabetes(), condition("htn", "I10")]) as clinic:
        clinic.run()
        clinic.edit("Task", OFFER, status="rejected")
        assert clinic.run(AS_OF + DAY)["declined"] == 1
        assert clinic.run(AS_OF + 2 * DAY)["declined"] == 0
        for days in (30, 179):
            assert clinic.run(AS_OF + days * DAY)["written"] == 0, days
        clinic.run(AS_OF + 183 * DAY)
        offers = clinic.rows(kind="Task", code=OFFER)
        assert [row.business_key.rpartition("|")[2] for row in offers] == ["1", "2"]


def test_a_declined_patient_is_still_called_after_a_discharge(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [patient(), diabetes(), condition("htn", "I10")]) as clinic:
        clinic.run()
        clinic.edit("Task", OFFER, status="rejected")
        clinic.emr.load([stay(), a1c(9.4)])
        clinic.run(AS_OF + DAY)
        codes = {row.code for row in clinic.rows(kind="Task", state="written")}
        assert "post-discharge-contact" in codes
        assert OUTREACH not in codes


@SQLITE
def test_a_task_that_somebody_completed_is_made_again_when_its_time_has_come(
    database: Database, tmp_path: Path
) -> None:
    """Time alone brings it back: no record changes, and no decision does."""
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        done = {"end": (AS_OF + DAY).isoformat()}
        clinic.edit("Task", OUTREACH, status="completed", executionPeriod=done)
        for days in (2, 30, 119):
            clinic.run(AS_OF + days * DAY)
        assert len(clinic.rows(kind="Task", code=OUTREACH)) == 2


def test_a_newer_result_updates_the_one_task(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.emr.load([NEWER])
        clinic.run(AS_OF + DAY)
        assert len(clinic.emr.live("Task")) == len(clinic.rows(kind="Task"))
        assert len(clinic.rows(kind="Task", code=OUTREACH)) == 1
        assert "9.8" in clinic.held("Task", OUTREACH)["description"]


def test_a_readmission_closes_the_transition_and_the_next_discharge_opens_its_own(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [patient(), stay()]) as clinic:
        clinic.run()
        back = {"start": "2026-11-21T08:00:00-05:00"}
        inside = stay("again", status="in-progress", period=back, hospitalization=None)
        clinic.emr.load([{k: v for k, v in inside.items() if v is not None}])
        clinic.run(AS_OF + DAY)
        assert clinic.held("Task", "post-discharge-contact")["status"] == "cancelled"
        clinic.emr.load([stay("again", period={**back, "end": "2026-11-24T10:00:00-05:00"})])
        clinic.run(AS_OF + 5 * DAY)
        contacts = clinic.rows(kind="Task", code="post-discharge-contact")
        assert len({row.business_key for row in contacts}) == len(contacts) == 2
        assert set(clinic.copies().values()) == {1}


def test_who_died_in_hospital_gets_no_call(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [patient(), stay()]) as clinic:
        clinic.run()
        clinic.edit("Task", "post-discharge-contact", status="accepted", owner={"display": "Anna"})
        disposition = {"coding": [{"system": _DISPOSITION, "code": "exp"}]}
        clinic.emr.clinician_edit(
            "Encounter",
            "stay",
            lambda found: found.update(hospitalization={"dischargeDisposition": disposition}),
        )
        clinic.run(AS_OF + DAY)
        tasks = [version.resource for version in clinic.emr.live("Task")]
        assert {task["status"] for task in tasks if task} == {"cancelled"}
        assert clinic.held("Task", "post-discharge-contact")["owner"] == {"display": "Anna"}


_DISPOSITION = "http://terminology.hl7.org/CodeSystem/discharge-disposition"


def merge(clinic: Practice, old: str, new: str) -> None:
    link = [{"other": {"reference": f"Patient/{new}"}, "type": "replaced-by"}]
    clinic.emr.clinician_edit("Patient", old, lambda found: found.update(link=link, active=False))


def unmerge(clinic: Practice, old: str) -> None:
    def apart(found: Json) -> None:
        found.pop("link")
        found["active"] = True

    clinic.emr.clinician_edit("Patient", old, apart)


def open_tasks(clinic: Practice) -> dict[str, int]:
    counts: dict[str, int] = {}
    for version in clinic.emr.live("Task"):
        task: Any = version.resource
        if task["status"] in ("requested", "accepted", "in-progress"):
            who = task["for"]["reference"].partition("/")[2]
            counts[who] = counts.get(who, 0) + 1
    return counts


def test_a_merge_moves_the_work_and_an_unmerge_moves_it_back(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [*out_of_range("old"), patient("new")]) as clinic:
        clinic.run()
        assert open_tasks(clinic) == {"old": 1}
        merge(clinic, "old", "new")
        report = clinic.run(AS_OF + DAY)
        assert report["intents"] == report["written"], "each thing is closed once"
        assert open_tasks(clinic) == {"new": 1}
        (old,) = [row for row in clinic.rows(kind="Task") if row.patient_id == "old"]
        task = clinic.emr.current("Task", old.reference.partition("/")[2])
        assert task is not None and task.resource is not None
        assert task.resource["statusReason"]["coding"][0]["code"] == "merged"
        assert clinic.run(AS_OF + DAY)["written"] == 0
        unmerge(clinic, "old")
        clinic.run(AS_OF + 2 * DAY)
        assert open_tasks(clinic) == {"old": 1}
        assert clinic.run(AS_OF + 2 * DAY)["written"] == 0
        assert set(clinic.copies().values()) == {1}


@SQLITE
def test_a_record_that_was_merged_into_nobody_known_is_closed_until_it_is_unmerged(
    database: Database, tmp_path: Path
) -> None:
    def nameless(found: Json) -> None:
        found["link"] = [{"type": "replaced-by", "other": {"display": "Somebody"}}]

    with practice(database, tmp_path, [*out_of_range("old"), *out_of_range("other")]) as clinic:
        clinic.run()
        for who in ("old", "other"):
            clinic.emr.clinician_edit("Patient", who, nameless)
        clinic.run(AS_OF + DAY)
        assert open_tasks(clinic) == {}
        with database.read() as connection:
            held = sync.held_records(connection, "clinic")
        assert {who: each.survivor for who, each in held.items()} == {"old": "old", "other": "other"}
        unmerge(clinic, "old")
        clinic.run(AS_OF + 2 * DAY)
        assert open_tasks(clinic) == {"old": 1}


@SQLITE
def test_what_was_done_for_the_replaced_patient_counts_for_the_survivor(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [*out_of_range("old"), patient("new")]) as clinic:
        clinic.run()
        clinic.edit("Task", OUTREACH, status="completed", executionPeriod={"end": AS_OF.isoformat()})
        merge(clinic, "old", "new")
        clinic.run(AS_OF + DAY)
        assert open_tasks(clinic) == {}


@SQLITE
def test_an_edit_to_a_replaced_patients_task_makes_the_survivor_due(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [*out_of_range("old"), patient("new")]) as clinic:
        clinic.run()
        merge(clinic, "old", "new")
        clinic.run(AS_OF + DAY)
        row = next(row for row in clinic.rows(kind="Task") if row.patient_id == "old")
        clinic.emr.clinician_edit(
            "Task", row.reference.partition("/")[2], lambda task: task.update(note=[{"text": "x"}])
        )
        assert clinic.run(AS_OF + DAY)["evaluated"] >= 2


@SQLITE
def test_a_task_that_the_emr_moved_to_the_surviving_patient_goes_on_there(
    database: Database, tmp_path: Path
) -> None:
    """Some EMRs point every resource to the survivor and delete the other Patient."""
    with practice(database, tmp_path, [*out_of_range("old"), patient("new")]) as clinic:
        clinic.run()
        for kind, element in (("Condition", "subject"), ("Observation", "subject"), ("Task", "for")):
            for version in clinic.emr.of_patient(kind, "Patient/old"):
                clinic.emr.clinician_edit(kind, version.id, _to_new(element))
        for kind in ("Goal", "CarePlan"):
            for version in clinic.emr.of_patient(kind, "Patient/old"):
                clinic.emr.clinician_edit(kind, version.id, _to_new("subject"))
        clinic.emr.clinician_delete("Patient", "old")
        clinic.run(AS_OF + DAY)
        assert open_tasks(clinic) == {"new": 1}
        assert {row.patient_id for row in clinic.rows()} == {"new"}
        assert clinic.run(AS_OF + 2 * DAY)["written"] == 0


def _to_new(element: str) -> Any:
    return lambda found: found.update({element: {"reference": "Patient/new"}})


def test_an_observation_that_changes_its_subject_moves(database: Database, tmp_path: Path) -> None:
    world = [*out_of_range("p1"), patient("p2"), diabetes("p2")]
    with practice(database, tmp_path, world) as clinic:
        clinic.run()
        assert open_tasks(clinic) == {"p1": 1, "p2": 1}, "one above target, one without a test"
        clinic.emr.clinician_edit(
            "Observation", "p1-a1c", lambda found: found.update(subject={"reference": "Patient/p2"})
        )
        report = clinic.run(AS_OF + DAY)
        assert (report["status"], report["removed"]) == ("complete", 0)
        codes = {(row.patient_id, row.code): row for row in clinic.rows(kind="Task")}
        assert ("p2", OUTREACH) in codes
        with database.read() as connection:
            owners = sync.owners(connection, "clinic", ["Observation/p1-a1c"])
        assert owners == {"Observation/p1-a1c": "p2"}
        task = clinic.emr.current("Task", codes["p1", OUTREACH].reference.partition("/")[2])
        assert task is not None and task.resource is not None
        assert task.resource["status"] == "cancelled"
