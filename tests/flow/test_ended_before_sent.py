"""What a person ended before its first delivery reaches the EMR once, as it ended; what the service itself
took back before anybody touched it does not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from cm_service.db.engine import Database
from cm_service.flow.care import acts, agreements, contacts, tasks
from cm_service.flow.care.agreements import Agreement
from cm_service.flow.care.contacts import Contact
from cm_service.flow.care.desk import HOLD
from cm_service.flow.ladder import Rung
from tests.flow.bad_network import DROPPED_AFTER
from tests.flow.night_world import Practice, a1c, far_practice, practice
from tests.flow.personality_world import House
from tests.flow.test_care_acts import LATER, NOW, NURSE, PATIENT, desk, undo_
from tests.flow.test_ladder_nights import texts

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
STAFF = {"resourceType": "Practitioner", "id": "nurse"}
UNSENT = {"max_new": 0}  # planned tonight, and nothing delivered yet


def _visit(clinic: Practice, *steps: Callable[..., int]) -> list[int]:
    """One visit to the page: each step is an act of its own."""
    done = []
    for step in steps:
        with desk(clinic) as at:
            done.append(step(at))
    return done


def _enrolled(clinic: Practice) -> None:
    _visit(
        clinic,
        lambda at: acts.accept(at, care_manager=NURSE),
        lambda at: acts.consent(
            at, decision="agree", form="verbal", given_by="patient", text_version="1", at=NOW
        ),
    )


def _call_about(task_id: int) -> Contact:
    """Reached, and the task is done by it."""
    told = {"medium": "phone", "service": "outreach", "reached": True}
    return Contact(at=NOW, minutes=12, task_id=task_id, task_done=True, **told)


def test_a_task_that_was_done_before_it_was_sent_is_created_completed_once(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [*PATIENT, STAFF]) as clinic:
        clinic.run(**UNSENT)
        assert clinic.writes() == 0
        wanted = clinic.row("Task", "a1c-outreach").id
        _visit(clinic, lambda at: contacts.log_contact(at, _call_about(wanted)))
        clinic.run(NOW + HOLD / 2)
        assert clinic.rows(kind="Task", reference=None), "it can still be undone"
        clinic.run(LATER)
        task = clinic.held("Task", "a1c-outreach")
        assert (task["status"], task["businessStatus"]["text"]) == ("completed", "Reached")
        assert clinic.held("Encounter")["status"] == "finished"
        assert clinic.run(LATER + dt.timedelta(days=1))["written"] == 0
        assert set(clinic.copies().values()) == {1}


@SQLITE
def test_a_case_that_was_closed_before_it_was_sent_stands_closed_in_the_emr(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [*PATIENT, STAFF]) as clinic:
        clinic.run(**UNSENT)
        _enrolled(clinic)
        goal = clinic.row("Goal").id
        _visit(
            clinic,
            lambda at: agreements.agree_goal(at, Agreement(goal_id=goal, importance=8, confidence=7)),
            lambda at: acts.close(at, reason="goals-met", note="all is well"),
        )
        clinic.run(LATER)
        assert clinic.held("CarePlan")["status"] == "completed"
        assert clinic.held("Goal")["lifecycleStatus"] == "completed"
        assert clinic.held("CarePlan")["goal"] == [{"reference": clinic.row("Goal").reference}]
        assert clinic.held("Task", "a1c-outreach")["statusReason"]["text"] == "Goals met"
        assert clinic.held("Consent")["status"] == "active"
        assert clinic.run(LATER + dt.timedelta(days=1))["written"] == 0
        assert set(clinic.copies().values()) == {1}


@SQLITE
def test_an_end_that_was_undone_is_not_sent_as_one(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [*PATIENT, STAFF]) as clinic:
        clinic.run(**UNSENT)
        wanted = clinic.row("Task", "a1c-outreach").id
        (act,) = _visit(clinic, lambda at: contacts.log_contact(at, _call_about(wanted)))
        undo_(clinic, act)
        clinic.run(LATER)
        assert clinic.held("Task", "a1c-outreach")["status"] == "requested"
        assert clinic.rows(kind="Encounter") == []


@SQLITE
def test_what_the_service_takes_back_untouched_is_dropped_and_what_a_person_had_in_hand_is_not(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [*PATIENT, STAFF]) as clinic:
        clinic.run(**UNSENT)
        wanted = clinic.row("Task", "a1c-outreach").id
        _visit(clinic, lambda at: tasks.hand_over(at, task_id=wanted, to=NURSE))
        clinic.emr.load([a1c(6.4, effectiveDateTime="2026-11-20", id_="better")])
        clinic.run(LATER)
        task = clinic.held("Task", "a1c-outreach")
        assert task["status"] == "cancelled" and task["statusReason"]["coding"], "somebody was at work on it"
        goal = clinic.row("Goal")
        assert (goal.state, goal.reference) == ("superseded", None)


@SQLITE
def test_a_lost_answer_to_such_a_create_makes_no_second_copy(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, [*PATIENT, STAFF]) as (clinic, network):
        clinic.run(**UNSENT)
        wanted = clinic.row("Task", "a1c-outreach").id
        _visit(clinic, lambda at: tasks.complete_task(at, task_id=wanted, outcome="done"))
        network.fail("POST Task", DROPPED_AFTER, always=True)
        clinic.run(LATER)
        network.heal()
        clinic.run(LATER + dt.timedelta(days=1))
        clinic.run(LATER + dt.timedelta(days=2))
        assert clinic.held("Task", "a1c-outreach")["status"] == "completed"
        assert set(clinic.copies().values()) == {1}


@SQLITE
def test_where_notes_cannot_be_taken_back_the_end_that_a_person_gave_needs_no_second_word(
    database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path, "epic")
    house.night()
    assert texts(house) == [], "proposals wait for a person"
    (row,) = house.rows(kind="Task", code="post-discharge-contact", rung=Rung.OWN)
    with desk(house, patient=row.patient_id) as at:
        tasks.complete_task(at, task_id=row.id, outcome="done")
    house.night(days=1)
    (text,) = texts(house)
    assert text.startswith("COMPLETED: Care management task") and "Outcome: Done" in text
    assert house.night(days=2)["written"] == 0
