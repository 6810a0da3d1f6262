"""What no longer holds is taken back (rules.md 0.9; cases A05, D11, R09)."""

from __future__ import annotations

import pytest

from tests.flow.plan_world import World, context, later, made
from tests.rules.builders import a1c, condition, encounter, goal, patient, procedure, view
from tests.rules.stay_helpers import imp

DM = condition("E11.9", id="dm")
OUT = a1c("9.4", "2026-11-10", id="o1")
OLDER = a1c("6.6", "2026-08-01", id="o0")
WRONG = a1c("9.4", "2026-11-10", id="o1", status="entered-in-error")
HOSPICE = encounter("HH", id="h", status="in-progress", type="305336008", start="2026-11-01")


def started(**changes: object) -> World:
    world = World(emr=context(**changes))
    world.night(DM, OUT, OLDER)
    return world


def test_a_result_entered_in_error_withdraws_task_and_proposed_goal() -> None:
    world = started()
    changes = made(world.night(DM, WRONG, OLDER, as_of=later(1)))
    task, target = changes["a1c-outreach"], changes["4548-4"]
    assert task["status"] == "cancelled"
    assert task["statusReason"]["text"].startswith("source-entered-in-error")
    assert target["lifecycleStatus"] == "cancelled"
    assert changes["longitudinal"]["status"] == "revoked"
    assert world.night(DM, WRONG, OLDER, as_of=later(2)) == [], "once"


def test_it_is_withdrawn_also_where_nothing_else_is_left_to_judge_by() -> None:
    world = started()
    assert made(world.night(DM, WRONG, as_of=later(1)))["a1c-outreach"]["status"] == "cancelled"


def test_a_result_that_vanished_withdraws_but_not_while_results_could_not_all_be_read() -> None:
    world = started()
    unread = frozenset({"Observation"})
    assert world.night(DM, as_of=later(1), unread=unread) == []
    changes = made(world.night(DM, OLDER, as_of=later(1)))
    assert changes["a1c-outreach"]["statusReason"]["coding"][0]["code"] == "source-gone"


def test_a_result_that_cannot_be_used_any_more_leaves_the_task_as_it_is() -> None:
    world = started()
    unusable = a1c("unit_wrong", "2026-11-10", id="o1")
    assert world.night(DM, unusable, as_of=later(1)) == []


def test_a_corrected_result_withdraws_as_changed() -> None:
    world = started()
    corrected = a1c("6.4", "2026-11-10", id="o1", status="corrected")
    changes = made(world.night(DM, corrected, OLDER, as_of=later(1)))
    assert changes["a1c-outreach"]["statusReason"]["coding"][0]["code"] == "source-changed"


def test_a_newer_result_at_target_ends_the_task_and_the_proposal() -> None:
    world = started()
    changes = made(world.night(DM, OUT, a1c("6.8", "2026-11-24", id="o2"), as_of=later(3)))
    assert changes["a1c-outreach"]["statusReason"]["coding"][0]["code"] == "at_target"
    assert changes["4548-4"]["lifecycleStatus"] == "cancelled"


def test_a_goal_that_a_person_accepted_is_reviewed_and_not_cancelled() -> None:
    world = started()
    world.edit(world.one("4548-4"), lifecycleStatus="active")
    changes = made(world.night(DM, WRONG, OLDER, as_of=later(1)))
    assert "4548-4" not in changes
    review = changes["goal-review"]
    assert review["description"].startswith('Goal "HbA1c at or below 7.0 %": source-entered-in-error')
    assert review["focus"] == {"reference": f"intent:{world.one('4548-4').value}"}
    assert world.night(DM, WRONG, OLDER, as_of=later(2)) == []
    world.edit(world.one("goal-review"), status="completed")
    assert world.night(DM, WRONG, OLDER, as_of=later(3)) == []


def test_a_goal_that_was_reached_needs_no_review() -> None:
    world = started()
    world.edit(world.one("4548-4"), lifecycleStatus="active")
    changes = made(world.night(DM, OUT, a1c("6.8", "2026-11-24", id="o2"), as_of=later(3)))
    assert "goal-review" not in changes


def test_a_finding_that_comes_back_takes_its_goal_up_again_and_makes_the_next_task() -> None:
    world = started()
    world.night(DM, WRONG, OLDER, as_of=later(1))
    world.night(DM, WRONG, OLDER, a1c("8.8", "2026-11-25", id="o3"), as_of=later(4))
    assert world.open() == ["a1c-outreach"]
    assert world.open("Goal") == ["4548-4"]
    assert world.open("CarePlan") == ["longitudinal"]
    assert world.one("longitudinal").business_key == "plan|p|longitudinal|2"


def test_a_task_somebody_works_on_is_withdrawn_all_the_same() -> None:
    world = started()
    world.edit(world.one("a1c-outreach"), status="in-progress")
    world.night(DM, WRONG, OLDER, as_of=later(1))
    assert world.open() == []
    assert world.night(DM, WRONG, OLDER, as_of=later(2)) == []


def test_a_withdrawn_task_that_somebody_opens_again_is_theirs() -> None:
    world = started()
    world.night(DM, WRONG, OLDER, as_of=later(1))
    world.edit(world.one("a1c-outreach"), status="requested")
    assert world.night(DM, WRONG, OLDER, as_of=later(2)) == []
    assert world.open() == ["a1c-outreach"]


def test_a_person_who_ended_a_task_before_our_word_arrived_has_ended_it() -> None:
    world = started()
    world.plan(view(DM, WRONG, OLDER), as_of=later(1), deliver=False)
    world.edit(world.one("a1c-outreach"), status="completed", on="2026-11-23T17:00:00-05:00")
    world.night(DM, OUT, OLDER, as_of=later(2))
    assert world.one("a1c-outreach").current["status"] == "completed"
    assert world.open() == [], "the call was made"


def test_a_withdrawal_on_its_way_is_not_taken_back_by_somebody_who_could_not_know() -> None:
    world = started()
    world.plan(view(DM, WRONG, OLDER), as_of=later(1), deliver=False)
    world.edit(world.one("a1c-outreach"), status="accepted")
    world.night(DM, OUT, OLDER, as_of=later(2))
    assert [each.current["status"] for each in world.all("a1c-outreach")] == ["cancelled", "requested"]


def test_a_review_of_a_goal_ends_with_the_patient() -> None:
    world = started()
    world.edit(world.one("4548-4"), lifecycleStatus="active")
    world.night(DM, WRONG, OLDER, as_of=later(1))
    assert world.open() == ["goal-review"]
    world.night(DM, WRONG, OLDER, person=patient(deceased=True), as_of=later(2))
    assert world.open() == []


@pytest.mark.parametrize(
    "person", [patient(deceased=True), patient(deceased_at="2026-11-23"), patient(active=False)]
)
def test_who_died_or_left_the_practice_has_no_open_tasks_goals_or_drafts(person: object) -> None:
    world = World(emr=context(dq_tasks=True))
    facts = DM, OUT, imp("11-16 09:00", "11-20 14:00", id="s"), condition("I10", id="bp")
    world.night(*facts)
    world.night(*facts, person=person, as_of=later(2))
    assert world.open() == world.open("Goal") == world.open("CarePlan") == []
    assert world.night(*facts, person=person, as_of=later(3)) == []


def test_a_stay_that_ended_in_death_cancels_open_tasks() -> None:
    world = started()
    died = imp("11-21 09:00", "11-22 20:00", id="s", disposition="exp")
    changes = made(world.night(DM, OUT, died, as_of=later(1)))
    assert changes["a1c-outreach"]["statusReason"]["coding"][0]["code"] == "GX-01"
    assert "post-discharge-contact" not in changes


def test_hospice_cancels_open_tasks_but_not_the_review_of_a_readmission() -> None:
    world = started()
    changes = made(world.night(DM, OUT, HOSPICE, procedure("385763009"), as_of=later(1)))
    assert changes["a1c-outreach"]["statusReason"]["coding"][0]["code"] == "GX-02"
    assert world.open() == []


def test_no_numeric_target_or_a_looser_goal_ends_the_call() -> None:
    world = started()
    changes = made(world.night(DM, OUT, OLDER, goal("<10", id="g"), as_of=later(1)))
    assert changes["a1c-outreach"]["statusReason"]["coding"][0]["code"] == "at_target"


def test_a_merged_patient_hands_the_finding_over_once() -> None:
    old = World(patient_id="old")
    old.night(DM, OUT, person=patient(id="old"))
    gone = patient(id="old", replaced_by="p")
    changes = made(old.night(DM, OUT, person=gone, as_of=later(1)))
    assert changes["a1c-outreach"]["statusReason"]["coding"][0]["code"] == "merged"
    assert old.open() == []
    new = World()
    first = new.night(DM, OUT, as_of=later(1))
    assert [c.want.business_key for c in first if c.want.kind == "Task"] == ["A1C-OUT|p|-|a1c-outreach|1"]


def test_a_survivor_whose_ledger_holds_the_old_tasks_closes_them_and_makes_them_once() -> None:
    world = World(patient_id="old")
    world.night(DM, OUT, person=patient(id="old"))
    world.patient_id = "p"
    world.night(DM, OUT, as_of=later(1))
    assert world.open() == ["a1c-outreach"]
    assert world.one("a1c-outreach").business_key == "A1C-OUT|p|-|a1c-outreach|1"
    assert world.one("a1c-outreach", last=False).current["statusReason"]["coding"][0]["code"] == "merged"
    assert world.night(DM, OUT, as_of=later(2)) == []


def test_what_was_done_for_the_old_patient_counts_for_the_survivor() -> None:
    world = World(patient_id="old")
    world.night(DM, OUT, person=patient(id="old"))
    world.edit(world.one("a1c-outreach"), status="completed")
    world.patient_id = "p"
    world.night(DM, OUT, as_of=later(1))
    assert world.open() == []
