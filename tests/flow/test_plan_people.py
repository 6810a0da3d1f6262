"""What people do in the EMR is respected: edits, decisions, deletions (case O02)."""

from __future__ import annotations

import pytest

from tests.flow.plan_world import World, context, later, made
from tests.rules.builders import a1c, condition, goal

DM = condition("E11.9", id="dm")
OUT = a1c("8.6", "2026-11-10", id="o1")
NEWER = a1c("9.8", "2026-11-24", id="o2")


def started() -> World:
    world = World()
    world.night(DM, OUT)
    return world


def test_an_unchanged_world_asks_for_nothing_more() -> None:
    world = started()
    for days in (0, 0.01, 1, 7, 30, 89, 200, 364, 800):
        assert world.night(DM, OUT, as_of=later(days)) == [], days


def test_a_changed_due_date_and_description_of_a_goal_are_kept() -> None:
    world = started()
    mine = [{**world.one("4548-4").current["target"][0], "dueDate": "2027-06-01"}]
    world.edit(world.one("4548-4"), target=mine, description={"text": "Get to 8 by summer"})
    assert world.night(DM, OUT, as_of=later(1)) == []
    changes = world.night(DM, OUT, goal("<7.5", id="g"), as_of=later(2))
    assert "4548-4" not in made(changes), "all that would change is a person's"


def test_a_changed_description_of_a_task_is_kept_while_its_other_elements_follow() -> None:
    world = started()
    world.edit(world.one("a1c-outreach"), description="Call the daughter, not the patient")
    changes = made(world.night(DM, OUT, NEWER, as_of=later(3)))
    assert changes["a1c-outreach"]["description"] == "Call the daughter, not the patient"
    assert changes["a1c-outreach"]["priority"] == "urgent"


def test_a_new_due_date_given_by_a_person_stands_in_the_next_description() -> None:
    world = started()
    mine = {"period": {"end": "2026-12-15T23:59:59-05:00"}}
    world.edit(world.one("a1c-outreach"), restriction=mine)
    assert world.night(DM, OUT, as_of=later(1)) == []
    task = made(world.night(DM, OUT, NEWER, as_of=later(3)))["a1c-outreach"]
    assert task["restriction"] == mine
    assert task["description"].endswith("call by 2026-12-15")


def test_an_accepted_task_is_still_updated_and_keeps_its_status_and_owner() -> None:
    world = started()
    world.edit(world.one("a1c-outreach"), status="in-progress", owner={"display": "Anna"})
    changes = made(world.night(DM, OUT, NEWER, as_of=later(3)))
    assert changes["a1c-outreach"]["status"] == "in-progress"
    assert changes["a1c-outreach"]["owner"] == {"display": "Anna"}


@pytest.mark.parametrize("status", ["completed", "rejected", "cancelled", "failed"])
def test_a_task_that_a_person_ended_stays_as_it_is(status: str) -> None:
    world = started()
    world.edit(world.one("a1c-outreach"), status=status)
    assert world.night(DM, OUT, as_of=later(1)) == []
    world.night(DM, OUT, NEWER, as_of=later(3))
    assert world.one("a1c-outreach", last=False).current["status"] == status
    assert world.one("a1c-outreach").business_key.endswith("|2")


@pytest.mark.parametrize("code", ["a1c-outreach", "4548-4", "longitudinal"])
def test_what_somebody_deleted_is_never_made_anew(code: str) -> None:
    world = started()
    world.delete(world.one(code))
    for days in (1, 100, 250):
        assert code not in made(world.night(DM, OUT, as_of=later(days))), days


def test_when_everything_was_deleted_nothing_comes_back() -> None:
    world = started()
    for each in list(world.known):
        world.delete(each)
    for days in (1, 30, 80):  # then the test is overdue, which is another matter
        assert world.night(DM, OUT, as_of=later(days)) == [], days


def test_a_plan_does_not_link_to_a_goal_that_somebody_deleted() -> None:
    world = started()
    world.delete(world.one("4548-4"))
    assert "goal" not in made(world.night(DM, OUT, as_of=later(1)))["longitudinal"]


def test_a_task_after_a_deleted_goal_speaks_of_the_result_instead() -> None:
    world = started()
    world.delete(world.one("4548-4"))
    world.edit(world.one("a1c-outreach"), status="completed")
    task = made(world.night(DM, OUT, NEWER, as_of=later(3)))["a1c-outreach"]
    assert task["focus"] == {"reference": "Observation/o2"}


def test_an_active_plan_stays_active_when_its_content_changes() -> None:
    world = started()
    world.edit(world.one("longitudinal"), status="active", title="Mrs. Miller's plan")
    plan = made(world.night(DM, OUT, NEWER, as_of=later(3)))["longitudinal"]
    assert (plan["status"], plan["title"]) == ("active", "Mrs. Miller's plan")


def test_a_plan_that_a_person_closed_is_not_opened_again_for_an_old_task() -> None:
    world = started()
    world.edit(world.one("longitudinal"), status="revoked")
    assert world.night(DM, OUT, as_of=later(1)) == []
    assert "longitudinal" not in made(world.night(DM, OUT, NEWER, as_of=later(3)))


def test_a_new_task_after_a_closed_plan_opens_the_next_enrolment() -> None:
    world = started()
    world.edit(world.one("longitudinal"), status="completed")
    world.edit(world.one("a1c-outreach"), status="completed")
    keys = [c.want.business_key for c in world.night(DM, OUT, NEWER, as_of=later(3))]
    assert keys == ["goal|p|4548-4|2", "plan|p|longitudinal|2", "A1C-OUT|p|-|a1c-outreach|2"]


def test_changing_the_write_mode_moves_nothing_that_stands() -> None:
    world = started()
    world.emr = context(write_mode="auto")
    assert world.night(DM, OUT, as_of=later(1)) == []
