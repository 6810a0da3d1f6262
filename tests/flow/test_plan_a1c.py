"""HbA1c: what is written for it, and how that follows new results (rules.md 1.9)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from cm_service.flow.intents import identifier_value
from cm_service.rules.decision import Decision
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.facts import AnyFact, AppointmentFact, CareTeamFact, Member, ObservationFact
from tests.flow.plan_world import BASE, World, context, due, inputs, later, made
from tests.rules.builders import ZONE, a1c, concept, condition, goal, order, patient, view, when

DM = condition("E11.9", id="dm")


def result(text: str = "8.6", on: str = "2026-11-10", **changes: Any) -> ObservationFact:
    return a1c(text, on, **{"id": "o1", **changes})


def test_a_result_above_target_makes_a_goal_a_draft_plan_and_one_task() -> None:
    changes = World().night(DM, result())
    assert [change.want.kind for change in changes] == ["Goal", "CarePlan", "Task"]
    assert [change.want.code for change in changes] == ["4548-4", "longitudinal", "a1c-outreach"]


def test_the_outreach_tells_value_date_target_and_due() -> None:
    task = made(World().night(DM, result()))["a1c-outreach"]
    assert task["description"] == "HbA1c 8.6 % on 2026-11-10, target 7.0 %: call by 2026-11-29"
    assert (task["status"], task["intent"], task["priority"]) == ("requested", "order", "routine")
    assert due(task) == "2026-11-29T23:59:59-05:00"
    assert task["authoredOn"] == "2026-11-22T15:00:00-05:00"
    assert inputs(task, "evidence") == ["Observation/o1: 8.6 % on 2026-11-10"]
    assert task["reasonReference"] == {"reference": "Observation/o1"}
    assert task["for"] == {"reference": "Patient/p"}
    assert task["requester"]["identifier"]["value"] == "cm-service"


def test_a_result_above_nine_is_urgent_and_due_in_two_business_days() -> None:
    task = made(World().night(DM, result("9.4")))["a1c-outreach"]
    assert task["priority"] == "urgent"
    assert due(task) == "2026-11-24T23:59:59-05:00"  # Sunday: Monday and Tuesday


def test_links_go_one_way_from_the_task_to_plan_and_goal() -> None:
    changes = {change.want.code: change.want for change in World().night(DM, result())}
    task, plan = changes["a1c-outreach"].resource, changes["longitudinal"].resource
    goal_link = {"reference": f"intent:{changes['4548-4'].value}"}
    assert task["basedOn"] == [{"reference": f"intent:{changes['longitudinal'].value}"}]
    assert task["focus"] == goal_link
    assert plan["goal"] == [goal_link]
    assert "activity" not in plan


def test_identifiers_can_be_computed_again_by_anyone() -> None:
    changes = {change.want.code: change.want for change in World().night(DM, result())}
    keys = {code: want.business_key for code, want in changes.items()}
    assert keys == {
        "4548-4": "goal|p|4548-4|1",
        "longitudinal": "plan|p|longitudinal|1",
        "a1c-outreach": "A1C-OUT|p|-|a1c-outreach|1",
    }
    for want in changes.values():
        word = {"CarePlan": "plan"}.get(want.kind, want.kind.lower())
        first = {"system": f"{BASE}/id/{word}", "value": identifier_value(want.business_key)}
        assert want.resource["identifier"][0] == first
        assert len(want.value) == 32


def test_the_goal_is_measurable_dated_and_only_proposed() -> None:
    found = made(World().night(DM, result()))["4548-4"]
    target = found["target"][0]
    assert found["lifecycleStatus"] == "proposed"
    assert (target["detailQuantity"]["comparator"], str(target["detailQuantity"]["value"])) == ("<=", "7.0")
    assert target["dueDate"] == "2027-02-22"
    assert found["addresses"] == [{"reference": "Condition/dm"}]


def test_the_plan_names_conditions_inputs_categories_and_has_a_text() -> None:
    plan = made(World().night(DM, result()))["longitudinal"]
    codes = [each["coding"][0]["code"] for each in plan["category"]]
    assert codes == ["assess-plan", "734163000"]
    assert (plan["status"], plan["intent"], plan["period"]) == ("draft", "plan", {"start": "2026-11-22"})
    assert plan["addresses"] == [{"reference": "Condition/dm"}]
    assert plan["supportingInfo"] == [{"reference": "Observation/o1"}]
    assert plan["text"]["status"] == "generated" and "HbA1c at or below 7.0 %" in plan["text"]["div"]


def test_in_auto_mode_everything_is_active_at_once() -> None:
    found = made(World(emr=context(write_mode="auto")).night(DM, result()))
    assert found["a1c-outreach"]["status"] == "accepted"
    assert found["longitudinal"]["status"] == "active"
    assert found["4548-4"]["lifecycleStatus"] == "active"


def test_a_new_result_updates_the_open_task_and_adds_none() -> None:
    world = World()
    world.night(DM, result())
    newer = a1c("9.8", "2026-11-24", id="o2")
    changes = world.night(DM, result(), newer, as_of=later(3))
    task = made(changes)["a1c-outreach"]
    assert task["description"] == "HbA1c 9.8 % on 2026-11-24, target 7.0 %: call by 2026-11-29"
    assert task["priority"] == "urgent"
    assert due(task) == "2026-11-29T23:59:59-05:00", "the due date was given with the Task and stays"
    assert world.open() == ["a1c-outreach"]
    assert made(changes)["longitudinal"]["supportingInfo"] == [{"reference": "Observation/o2"}]


def test_a_touched_observation_that_says_the_same_is_no_news() -> None:
    world = World()
    world.night(DM, result())
    assert world.night(DM, result(version="2"), as_of=later(1)) == []


def test_another_target_updates_goal_and_task() -> None:
    world = World()
    world.night(DM, result())
    changes = made(world.night(DM, result(), goal("<7.5", id="g"), as_of=later(1)))
    assert str(changes["4548-4"]["target"][0]["detailQuantity"]["value"]) == "7.5"
    assert changes["4548-4"]["target"][0]["dueDate"] == "2027-02-22"
    assert "target 7.5 %" in changes["a1c-outreach"]["description"]


def test_an_overdue_test_asks_for_it_with_the_last_value() -> None:
    changes = World().night(DM, result("6.5", "2026-03-01"))
    task = made(changes)["a1c-test-due"]
    assert task["description"] == "HbA1c test due: last 2026-03-01 (6.5 %): arrange by 2026-12-06"
    assert task["focus"] == {"reference": "Observation/o1"}
    assert "4548-4" not in made(changes)


def test_a_patient_never_tested_is_told_so_by_the_condition() -> None:
    task = made(World().night(DM))["a1c-test-due"]
    assert task["description"] == "HbA1c test due: none on record in 24 months: arrange by 2026-12-06"
    assert task["reasonReference"] == task["focus"] == {"reference": "Condition/dm"}


def test_out_of_range_goes_before_overdue() -> None:
    world = World()
    world.night(DM, result("8.6", "2026-05-01"))
    assert world.open() == ["a1c-outreach"]


def test_an_open_reminder_gives_way_to_an_out_of_range_result() -> None:
    world = World()
    world.night(DM, result("6.5", "2026-03-01"))
    changes = world.night(DM, result("6.5", "2026-03-01"), a1c("8.8", "2026-11-24", id="o2"), as_of=later(3))
    assert made(changes)["a1c-test-due"]["status"] == "cancelled"
    assert world.open() == ["a1c-outreach"]


def test_an_open_outreach_is_not_replaced_by_a_reminder_when_its_result_grows_old() -> None:
    world = World()
    world.night(DM, result("8.6", "2025-12-01"))
    assert world.open() == ["a1c-outreach"]
    assert world.night(DM, result("8.6", "2025-12-01"), as_of=later(60)) == []


def test_the_test_was_done_so_the_reminder_ends() -> None:
    world = World()
    world.night(DM, result("6.5", "2026-03-01"))
    newer = a1c("6.4", "2026-11-24", id="o2")
    changes = made(world.night(DM, result("6.5", "2026-03-01"), newer, as_of=later(3)))
    assert changes["a1c-test-due"]["statusReason"]["text"] == "test_recent: the test has been done"
    assert changes["longitudinal"]["status"] == "revoked", "nothing is left in the draft"


def test_a_pending_result_leaves_an_open_reminder_alone() -> None:
    world = World()
    world.night(DM, result("6.5", "2026-03-01"))
    pending = a1c("6.5", "2026-11-23", id="o2", status="registered")
    assert world.night(DM, result("6.5", "2026-03-01"), pending, as_of=later(2)) == []


def test_a_test_that_is_ordered_or_booked_needs_no_reminder() -> None:
    old = result("6.5", "2026-03-01")
    ordered = order("4548-4", authored="2026-11-01")
    booked = AppointmentFact(id="a", status="booked", start=when("2026-11-30"), types=(concept("4548-4"),))
    assert World().night(DM, old, ordered) == []
    assert World().night(DM, old, booked) == []


@pytest.mark.parametrize(
    "forgotten",
    [
        order("4548-4", authored="2026-11-01", status="completed"),
        order("4548-4", authored="2026-11-01", intent="proposal"),
        order("4548-4", authored="2026-02-01"),  # before the last test
        order("4548-4"),
        AppointmentFact(id="a", status="booked", start=when("2026-11-20"), types=(concept("4548-4"),)),
        AppointmentFact(id="a", status="booked", start=when("2026-11-30"), types=(concept("80146002"),)),
    ],
)
def test_what_is_no_order_for_the_next_test_holds_no_reminder_back(forgotten: AnyFact) -> None:
    assert "a1c-test-due" in made(World().night(DM, result("6.5", "2026-03-01"), forgotten))


def test_an_order_holds_an_open_reminder_open() -> None:
    world = World()
    world.night(DM, result("6.5", "2026-03-01"))
    ordered = order("4548-4", authored="2026-11-23")
    assert world.night(DM, result("6.5", "2026-03-01"), ordered, as_of=later(2)) == []


@pytest.mark.parametrize(("days", "written"), [(89, False), (91, True)])
def test_a_completed_outreach_speaks_for_its_result_for_ninety_days(days: int, written: bool) -> None:
    world = World()
    world.night(DM, result())
    world.edit(world.one("a1c-outreach"), status="completed", on="2026-11-25T10:00:00-05:00")
    as_of = dt.datetime(2026, 11, 25, 15, tzinfo=ZONE) + dt.timedelta(days=days)
    out = [d for d in _decisions(DM, result(), as_of=as_of) if d.rule == "A1C-OUT"]
    changes = world.plan(view(DM, result()), decisions=out, as_of=as_of)
    assert ([c.want.business_key for c in changes] == ["A1C-OUT|p|-|a1c-outreach|2"]) is written


def test_after_a_completed_outreach_a_new_result_makes_the_next_task() -> None:
    world = World()
    world.night(DM, result())
    world.edit(world.one("a1c-outreach"), status="completed")
    changes = world.night(DM, result(), a1c("8.9", "2026-11-24", id="o2"), as_of=later(3))
    keys = [change.want.business_key for change in changes if change.want.kind == "Task"]
    assert keys == ["A1C-OUT|p|-|a1c-outreach|2"]
    assert world.one("a1c-outreach", last=False).current["status"] == "completed"


def test_diabetic_range_without_diabetes_goes_to_the_provider_and_opens_no_plan() -> None:
    person = patient(practitioners=("Practitioner/pcp",))
    changes = World().night(result("6.9"), person=person)
    task = made(changes)["provider-review"]
    assert len(changes) == 1
    assert task["description"] == (
        "HbA1c 6.9 % on 2026-11-10, no diabetes on record: please review by 2026-12-06"
    )
    assert task["owner"] == {"reference": "Practitioner/pcp"}
    assert "basedOn" not in task
    assert changes[0].want.business_key == "A1C-NODX|p|o1|provider-review|1"


def test_one_review_per_observation_and_the_next_observation_takes_its_place() -> None:
    world = World()
    world.night(result("6.9"))
    world.edit(world.one("provider-review"), status="completed")
    assert world.night(result("6.9"), as_of=later(200)) == []
    changes = world.night(result("6.9"), a1c("7.0", "2027-01-05", id="o2"), as_of=later(60))
    assert [c.want.business_key for c in changes] == ["A1C-NODX|p|o2|provider-review|1"]


def test_a_diagnosis_ends_the_providers_review() -> None:
    world = World()
    world.night(result("6.9"))
    world.night(result("6.9"), condition("E11.9", id="dm"), as_of=later(1))
    assert "provider-review" not in world.open()


def test_an_old_result_does_not_end_a_review_that_is_still_to_be_done() -> None:
    world = World()
    world.night(result("6.9"))
    assert world.night(result("6.9"), as_of=later(400)) == []


def test_the_owner_is_the_care_manager_else_the_pool_else_the_practice_and_never_nobody() -> None:
    manager = Member((concept("768832004"),), "Practitioner/anna", "Anna")
    team = CareTeamFact(id="t", status="active", members=(manager,))
    owner = made(World().night(DM, result(), team))["a1c-outreach"]["owner"]
    assert owner == {"reference": "Practitioner/anna", "display": "Anna"}
    pool = World(emr=context(owner="CareTeam/pool"))
    assert made(pool.night(DM, result()))["a1c-outreach"]["owner"] == {"reference": "CareTeam/pool"}
    assert made(World().night(DM, result()))["a1c-outreach"]["owner"] == {
        "reference": "Organization/practice"
    }
    nobody = World(emr=context(practice=""))
    assert made(nobody.night(DM, result()))["a1c-outreach"]["owner"]["display"] == "Care management"


def test_what_was_not_read_from_this_emr_is_named_by_identifier_or_left_out() -> None:
    world = World(emr=context(readable=lambda reference: False))
    found = made(world.night(DM, result()))
    reason = found["a1c-outreach"]["reasonReference"]
    assert "reference" not in reason and reason["identifier"]["value"] == "Observation/o1"
    assert "addresses" not in found["longitudinal"] and "supportingInfo" not in found["longitudinal"]
    assert world.night(DM, result(), as_of=later(1)) == []


def test_a_gate_that_could_not_be_read_is_told_to_the_person() -> None:
    found = made(World().night(DM, result(), refused=frozenset({"Consent"})))
    assert "cannot be read from this EMR" in found["a1c-outreach"]["description"]


def _decisions(*facts: AnyFact, as_of: dt.datetime) -> list[Decision]:
    return evaluate_patient(view(*facts), as_of=as_of, zone=ZONE)
