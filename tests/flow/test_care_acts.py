"""What care managers do, from the act to what the EMR holds after the next night."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import cases, connections
from cm_service.db.engine import Database
from cm_service.errors import BadInput, Lost, NotNow
from cm_service.flow.care import acts, agreements, contacts, tasks
from cm_service.flow.care.agreements import Agreement
from cm_service.flow.care.contacts import Contact
from cm_service.flow.care.desk import HOLD, Desk, undo
from tests.flow.night_world import AS_OF, BASE, Practice, condition, out_of_range, practice

NOW = AS_OF + dt.timedelta(hours=1)
LATER = AS_OF + dt.timedelta(hours=12)
NURSE = "Practitioner/nurse"
PATIENT = [*out_of_range(), condition("bp", "I10")]


@contextmanager
def desk(clinic: Practice, *, now: dt.datetime = NOW, by: str = NURSE, patient: str = "p1") -> Iterator[Desk]:
    with clinic.database.write() as connection:
        emr = connections.get_emr(connection, "clinic")
        yield Desk(connection, emr, patient, base=BASE, by=by, now=now)


SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def clinic(database: Database, tmp_path: Path) -> Iterator[Practice]:
    with practice(database, tmp_path, [*PATIENT, {"resourceType": "Practitioner", "id": "nurse"}]) as clinic:
        clinic.run()
        yield clinic


def enrol(clinic: Practice) -> None:
    with desk(clinic) as at:
        acts.accept(at, care_manager=NURSE)
    with desk(clinic) as at:
        acts.consent(at, decision="agree", form="verbal", given_by="patient", text_version="1", at=NOW)


def task_id(clinic: Practice, code: str) -> int:
    return int(clinic.row("Task", code).id)


def undo_(clinic: Practice, act: int, *, now: dt.datetime = NOW, by: str = NURSE) -> None:
    with clinic.database.write() as connection:
        undo(connection, act, emr="clinic", by=by, now=now)


def test_accepting_alone_leaves_the_plan_a_draft_and_consent_makes_it_active(clinic: Practice) -> None:
    with desk(clinic) as at:
        acts.accept(at, care_manager=NURSE)
    clinic.run(LATER)
    assert clinic.held("CarePlan")["status"] == "draft"
    assert clinic.held("Task", "a1c-outreach")["status"] == "accepted"
    assert clinic.held("Task", "a1c-outreach")["owner"] == {"reference": NURSE}
    with desk(clinic, now=LATER) as at:
        acts.consent(at, decision="agree", form="verbal", given_by="patient", text_version="1", at=LATER)
    clinic.run(LATER + dt.timedelta(hours=1))
    assert clinic.held("CarePlan")["status"] == "active"
    assert clinic.held("Task", "enrolment-offer")["status"] == "completed"
    assert clinic.held("Consent")["status"] == "active"
    assert clinic.run(LATER + dt.timedelta(hours=2))["written"] == 0


def test_what_is_taken_back_in_time_was_never_sent(clinic: Practice) -> None:
    before = clinic.writes()
    with desk(clinic) as at:
        act = acts.accept(at, care_manager=NURSE)
    soon = NOW + dt.timedelta(minutes=5)
    assert clinic.run(soon)["written"] == 0, "held until it can no longer be undone"
    undo_(clinic, act, now=soon)
    clinic.run(NOW + HOLD)
    assert clinic.writes() == before
    with clinic.database.read() as connection:
        assert cases.open_enrolment(connection, "clinic", "p1") is None


@SQLITE
def test_an_act_is_undone_by_whoever_did_it_and_in_its_minutes_only(clinic: Practice) -> None:
    with desk(clinic) as at:
        act = acts.accept(at, care_manager=NURSE)
    with pytest.raises(Lost):
        undo_(clinic, act, by="Practitioner/other")
    with pytest.raises(NotNow):
        undo_(clinic, act, now=NOW + HOLD)


@SQLITE
def test_a_decline_is_remembered_and_ends_the_offer_in_the_emr(clinic: Practice) -> None:
    with desk(clinic) as at:
        acts.decline(at, reason="not now", days=90)
    clinic.run(LATER)
    assert clinic.held("Task", "enrolment-offer")["status"] == "rejected"
    assert clinic.run(LATER + dt.timedelta(days=2))["intents"] == 0


@SQLITE
def test_a_patient_is_enrolled_once(clinic: Practice) -> None:
    enrol(clinic)
    with desk(clinic) as at, pytest.raises(NotNow):
        acts.accept(at, care_manager=NURSE)


@SQLITE
def test_a_proposed_goal_becomes_active_with_both_scores(clinic: Practice) -> None:
    enrol(clinic)
    with desk(clinic) as at:
        agreements.agree_goal(at, Agreement(goal_id=clinic.row("Goal").id, importance=8, confidence=7))
    clinic.run(LATER)
    goal = clinic.held("Goal")
    assert goal["lifecycleStatus"] == "active"
    scores = {e["url"].rpartition("/")[2]: e.get("valueInteger") for e in goal["extension"]}
    assert (scores["goal-importance"], scores["goal-confidence"]) == (8, 7)


@SQLITE
def test_a_goal_of_the_patients_own_names_what_is_missing_to_be_smart(clinic: Practice) -> None:
    enrol(clinic)
    vague = Agreement(importance=9, confidence=9, text="Walk more", due=dt.date(2027, 1, 1))
    with desk(clinic) as at, pytest.raises(BadInput, match=r"measurable.*relevant"):
        agreements.agree_goal(at, vague)
    whole = Agreement(
        importance=9,
        confidence=5,
        text="Walk 30 minutes on 5 days",
        target_text="5 days a week",
        value=Decimal(5),
        unit="d/wk",
        comparator=">=",
        due=dt.date(2027, 1, 1),
        addresses=("Condition/p1-dm",),
    )
    with desk(clinic) as at:
        agreements.agree_goal(at, whole)
    clinic.run(LATER)
    goal = clinic.held("Goal", "patient-goal")
    assert goal["expressedBy"] == {"reference": "Patient/p1"}
    assert "smaller step" in goal["note"][0]["text"]


def test_a_contact_is_an_encounter_and_an_attempt_is_none(clinic: Practice) -> None:
    enrol(clinic)
    outreach = task_id(clinic, "a1c-outreach")
    tried = Contact(at=NOW, minutes=2, medium="phone", service="outreach", reached=False, task_id=outreach)
    with desk(clinic) as at:
        contacts.log_contact(at, tried)
    spoke = Contact(
        at=NOW,
        minutes=15,
        medium="phone",
        service="outreach",
        reached=True,
        task_id=outreach,
        task_done=True,
        note="Will come on Monday",
        next_contact=dt.date(2026, 12, 1),
    )
    with desk(clinic) as at:
        contacts.log_contact(at, spoke)
    clinic.run(LATER)
    assert clinic.held("Communication")["status"] == "not-done"
    encounter = clinic.held("Encounter")
    assert (encounter["class"]["code"], encounter["length"]["value"]) == ("VR", 15)
    assert clinic.held("Task", "a1c-outreach")["status"] == "completed"
    following = clinic.held("Task", "follow-up-contact")
    assert following["restriction"]["period"]["end"] == "2026-12-01T23:59:59-05:00"
    clinic.run(LATER + dt.timedelta(days=1))
    assert clinic.held("Task", "follow-up-contact")["status"] == "accepted", "no rule withdraws it"
    assert set(clinic.copies().values()) == {1}


@SQLITE
def test_closing_with_goals_met_completes_plan_and_goals_and_tells_the_provider(clinic: Practice) -> None:
    enrol(clinic)
    with desk(clinic) as at:
        agreements.agree_goal(at, Agreement(goal_id=clinic.row("Goal").id, importance=8, confidence=7))
    with desk(clinic) as at:
        acts.close(at, reason="goals-met", note="")
    clinic.run(LATER)
    assert clinic.held("CarePlan")["status"] == "completed"
    assert clinic.held("Goal")["lifecycleStatus"] == "completed"
    assert clinic.held("Communication")["status"] == "completed"
    assert clinic.run(LATER + dt.timedelta(hours=1))["written"] == 0


def test_lost_to_follow_up_needs_failed_attempts_on_three_days(clinic: Practice) -> None:
    enrol(clinic)
    with desk(clinic) as at, pytest.raises(NotNow, match="3 days"):
        acts.close(at, reason="lost-to-follow-up", note="")
    for day in range(3):
        when = NOW + dt.timedelta(days=day)
        tried = Contact(at=when, minutes=1, medium="phone", service="follow-up", reached=False)
        with desk(clinic, now=when) as at:
            contacts.log_contact(at, tried)
    with desk(clinic, now=NOW + dt.timedelta(days=3)) as at:
        acts.close(at, reason="lost-to-follow-up", note="")


@SQLITE
def test_a_task_ends_with_an_outcome_and_only_once(clinic: Practice) -> None:
    enrol(clinic)
    outreach = task_id(clinic, "a1c-outreach")
    with desk(clinic) as at:
        tasks.complete_task(at, task_id=outreach, outcome="not-needed")
    with desk(clinic) as at, pytest.raises(NotNow):
        tasks.complete_task(at, task_id=outreach, outcome="done")


@SQLITE
def test_a_snoozed_patient_comes_back_on_the_day(clinic: Practice) -> None:
    with desk(clinic) as at:
        acts.snooze(at, until=dt.date(2026, 12, 1), reason="on holiday")
    with clinic.database.read() as connection:
        found: Any = cases.snoozed_until(connection, "clinic", "p1")
    assert found == dt.date(2026, 12, 1)
