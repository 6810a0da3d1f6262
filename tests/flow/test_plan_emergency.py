"""Emergency visits: follow-up, return within a transition, frequent use (rules.md 2.8, 2.9)."""

from __future__ import annotations

import datetime as dt

from cm_service.rules.facts import EncounterFact
from tests.flow.plan_world import World, due, inputs, later, made
from tests.rules.builders import ZONE, encounter, patient
from tests.rules.stay_helpers import emer, imp, running

VISIT = emer("11-19 20:00", "11-19 23:00", id="v1")


def on(day: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2026-{day}T15:00").replace(tzinfo=ZONE)


def often(*days: str) -> list[EncounterFact]:
    """One visit each, followed up long ago or not at all."""
    return [emer(f"{day} 20:00", f"{day} 23:00", id=f"v{day}") for day in days]


FOUR = often("01-10", "03-10", "05-10", "07-10")


def test_a_visit_is_followed_up_within_two_business_days_and_without_a_plan() -> None:
    changes = World().night(VISIT)
    assert [c.want.business_key for c in changes] == ["ED-FU|p|v1|ed-followup|1"]
    task = changes[0].want.resource
    assert task["description"] == "Emergency visit 2026-11-19: contact by 2026-11-23"
    assert (task["priority"], due(task)) == ("routine", "2026-11-23T23:59:59-05:00")
    assert inputs(task, "regulatory-due") == ["2026-11-23T23:59:59-05:00"]
    assert inputs(task, "visit-due") == ["2026-11-26"]


def test_a_visit_left_against_advice_is_urgent_and_says_so() -> None:
    task = made(World().night(emer("11-19 20:00", "11-19 23:00", id="v1", disposition="aadvice")))
    assert task["ed-followup"]["priority"] == "urgent"
    assert "left against medical advice" in task["ed-followup"]["description"]


def test_being_seen_ends_the_follow_up() -> None:
    world = World()
    world.night(VISIT)
    seen = encounter("AMB", id="a1", start="2026-11-23T10:00:00-05:00", end="2026-11-23T10:30:00-05:00")
    changes = made(world.night(VISIT, seen, as_of=on("11-23")))
    assert changes["ed-followup"]["statusReason"]["coding"][0]["code"] == "followed_up"


def test_the_week_passes_and_an_open_follow_up_stays_to_be_done() -> None:
    world = World()
    world.night(VISIT)
    for days in (3, 6, 8, 30, 300):
        assert world.night(VISIT, as_of=later(days)) == [], days
    assert world.open() == ["ed-followup"]


def test_a_visit_that_flows_into_a_stay_needs_no_follow_up() -> None:
    world = World()
    world.night(VISIT)
    stay = running(imp("11-20 10:00", id="s1"))
    changes = made(world.night(VISIT, stay, as_of=on("11-23")))
    assert changes["ed-followup"]["status"] == "cancelled"


def test_a_newer_visit_takes_the_place_of_the_open_one() -> None:
    world = World()
    world.night(VISIT)
    second = emer("11-21 20:00", "11-21 23:00", id="v2")
    world.night(VISIT, second, as_of=on("11-23"))
    assert world.open() == ["ed-followup"]
    assert world.one("ed-followup").business_key == "ED-FU|p|v2|ed-followup|1"
    world.edit(world.one("ed-followup"), status="completed", on="2026-11-23T18:00:00-05:00")
    assert world.night(VISIT, second, as_of=on("11-24")) == [], "one call for both"


def test_a_visit_within_a_transition_is_a_return_on_that_episode() -> None:
    world = World()
    stay = imp("11-10 09:00", "11-16 14:00", id="s1")
    world.night(stay, as_of=on("11-17"))
    changes = world.night(stay, VISIT)
    assert [c.want.code for c in changes] == ["ed-return"]
    task = changes[0].want.resource
    assert task["priority"] == "urgent"
    assert task["description"] == (
        "Emergency visit 2026-11-19, in the transition after the discharge on 2026-11-16: call by 2026-11-23"
    )
    assert task["groupIdentifier"] == world.one("post-discharge-contact").resource["groupIdentifier"]


def test_a_return_stays_open_when_its_transition_is_over_and_ends_with_a_readmission() -> None:
    world = World()
    stay = imp("11-10 09:00", "11-16 14:00", id="s1")
    world.night(stay, VISIT)
    for days in (1, 3, 5, 10, 40, 200):
        assert world.night(stay, VISIT, as_of=later(days)) == [], days
    back = running(imp("11-23 08:00", id="s2"))
    world.night(stay, VISIT, back, as_of=on("11-23"))
    assert "ed-return" not in world.open()


def test_who_died_or_could_not_be_read_wholly_gets_no_call_for_a_return() -> None:
    stay = imp("11-10 09:00", "11-16 14:00", id="s1")
    assert World().night(stay, VISIT, person=patient(deceased=True)) == []
    unread = World().night(stay, VISIT, unread=frozenset({"Encounter"}))
    assert "ed-return" not in made(unread)


def test_frequent_use_makes_a_goal_a_plan_and_a_call() -> None:
    changes = World().night(*FOUR)
    assert [c.want.code for c in changes] == ["ed-visits", "longitudinal", "ed-overuse-outreach"]
    task, goal = made(changes)["ed-overuse-outreach"], made(changes)["ed-visits"]
    assert task["description"] == "4 emergency visits in 12 months, last 2026-07-10: call by 2026-11-29"
    assert task["focus"] == task["basedOn"][0]
    assert task["reasonReference"] == {"reference": "Encounter/v07-10"}
    target = goal["target"][0]
    assert target["measure"]["coding"][0]["code"] == "ed-visits"
    assert (int(target["detailQuantity"]["value"]), target["dueDate"]) == (1, "2027-05-24")
    assert made(changes)["longitudinal"]["supportingInfo"] == [{"reference": "Encounter/v07-10"}]


def test_visits_that_grow_too_old_change_nothing() -> None:
    world = World()
    five = often("01-10", "03-10", "05-10", "07-10", "09-10")
    world.night(*five)
    for days in (40, 60, 100, 120, 300):
        assert world.night(*five, as_of=later(days)) == [], days


def test_one_more_visit_updates_the_open_call() -> None:
    world = World()
    world.night(*FOUR)
    changes = made(world.night(*FOUR, *often("11-24"), as_of=on("11-26")))
    assert changes["ed-overuse-outreach"]["description"].startswith("5 emergency visits in 12 months")
    assert "ed-followup" in changes


def test_a_visit_that_was_a_mistake_withdraws_the_call_and_its_goal() -> None:
    world = World()
    world.night(*FOUR)
    wrong = emer("05-10 20:00", "05-10 23:00", id="v05-10", status="entered-in-error")
    changes = made(world.night(FOUR[0], FOUR[1], wrong, FOUR[3], as_of=later(1)))
    assert changes["ed-overuse-outreach"]["status"] == "cancelled"
    assert changes["ed-visits"]["lifecycleStatus"] == "cancelled"
    assert changes["longitudinal"]["status"] == "revoked"


def test_a_call_speaks_for_half_a_year() -> None:
    world = World()
    visits = often("09-10", "09-20", "10-10", "10-20")
    world.night(*visits)
    world.edit(world.one("ed-overuse-outreach"), status="completed", on="2026-11-25T10:00:00-05:00")
    assert world.night(*visits, as_of=later(150)) == []
    assert "ed-overuse-outreach" in made(world.night(*visits, as_of=later(190)))
