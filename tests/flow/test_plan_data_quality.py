"""Findings about the record: Tasks only with dq.tasks=on (rules.md 0.3)."""

from __future__ import annotations

from tests.flow.plan_world import World, context, due, later, made
from tests.rules.builders import a1c, condition, diagnosis, patient
from tests.rules.stay_helpers import imp

DM = condition("E11.9", id="dm")
ODD = a1c("unit_wrong", "2026-11-10", id="o9")
NO_END = imp("11-16 09:00", None, id="e9")
OLD = [diagnosis(code, id=code, onset="2019-01-01", recorded="2019-01-01") for code in ("I10", "J44.9")]


def wanted() -> World:
    return World(emr=context(dq_tasks=True))


def test_without_the_practices_wish_nothing_about_the_record_becomes_a_task() -> None:
    assert World().night(NO_END, *OLD, ODD) == []


def test_a_stay_without_an_end_asks_whether_the_patient_went_home() -> None:
    world = wanted()
    task = made(world.night(NO_END))["discharge-review"]
    assert task["description"] == (
        "Stay since 2026-11-16 without a usable end: has the patient gone home? Find out by 2026-11-23"
    )
    assert (task["priority"], due(task)) == ("urgent", "2026-11-23T23:59:59-05:00")
    world.night(imp("11-16 09:00", "11-20 14:00", id="e9"), as_of=later(1))
    assert "discharge-review" not in world.open() and "post-discharge-contact" in world.open()


def test_a_review_stays_open_when_only_time_passed() -> None:
    world = wanted()
    world.night(NO_END)
    for days in (10, 40, 70, 200):
        world.night(NO_END, as_of=later(days))
        assert "discharge-review" in world.open(), days


def test_old_diagnoses_are_to_be_confirmed_by_the_provider() -> None:
    world = wanted()
    task = made(world.night(*OLD))["confirm-problem-list"]
    assert task["description"] == (
        "Old diagnoses without a problem-list entry (copd, hypertension): confirm or close by 2026-12-22"
    )
    assert world.night(*OLD, as_of=later(10)) == []
    world.night(*(condition(each.id, id=each.id) for each in OLD), as_of=later(11))
    assert world.open() == ["enrolment-offer"]


def test_a_result_that_cannot_be_used_is_told_unless_the_overdue_test_carries_the_action() -> None:
    recent = a1c("6.4", "2026-09-01", id="o1")
    task = made(wanted().night(DM, recent, ODD))["data-quality"]
    assert task["description"].startswith("A newer HbA1c result cannot be used: Observation/o1")
    overdue = wanted()
    overdue.night(DM, a1c("unit_wrong", "2026-03-01", id="o9"))
    assert overdue.open() == ["a1c-test-due"]


def test_one_for_a_patient_and_rule_in_thirty_days() -> None:
    world = wanted()
    recent = a1c("6.4", "2026-09-01", id="o1")
    world.night(DM, recent, ODD)
    world.edit(world.one("data-quality"), status="completed", on="2026-11-23T10:00:00-05:00")
    assert world.night(DM, recent, ODD, as_of=later(20)) == []
    assert "data-quality" in made(world.night(DM, recent, ODD, as_of=later(40)))


def test_a_fault_that_several_rules_see_is_one_task() -> None:
    world, unborn = wanted(), patient(birth=None)
    facts = DM, condition("I10", id="bp"), a1c("8.6", "2026-11-10", id="o1")
    world.night(*facts, person=unborn)
    assert world.open() == ["data-quality"]
    world.edit(world.one("data-quality"), status="completed")
    assert world.night(*facts, person=unborn, as_of=later(1)) == []


def test_who_died_needs_no_better_record() -> None:
    world = wanted()
    world.night(NO_END, *OLD)
    world.night(NO_END, *OLD, person=patient(deceased=True), as_of=later(1))
    assert world.open() == []
