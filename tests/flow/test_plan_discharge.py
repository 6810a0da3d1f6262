"""Discharges: what is written for a stay, and how an episode ends (rules.md 2.5 to 2.7)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cm_service.flow.intents import identifier_value
from cm_service.rules.facts import EncounterFact
from tests.flow.plan_world import BASE, World, due, inputs, later, made
from tests.rules.builders import ZONE, condition
from tests.rules.stay_helpers import imp, running, snf

FOUR = [
    "discharge-summary-request",
    "medication-reconciliation",
    "post-discharge-contact",
    "post-discharge-visit",
]


def stay(start: str = "11-16 09:00", end: str | None = "11-20 14:00", **changes: Any) -> EncounterFact:
    """Home on Friday 20 November; Thanksgiving is the 26th."""
    return imp(start, end, **{"id": "e9", "provider_name": "Mercy Hospital", **changes})


def on(day: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2026-{day}T15:00").replace(tzinfo=ZONE)


def test_a_discharge_makes_a_transition_plan_a_goal_and_four_tasks() -> None:
    world = World()
    changes = world.night(stay())
    assert [c.want.code for c in changes][:2] == ["no-unplanned-readmission", "transition"]
    assert world.open() == FOUR


def test_the_four_tasks_have_their_priorities_and_due_dates() -> None:
    found = made(World().night(stay()))
    assert {code: (found[code]["priority"], due(found[code])) for code in FOUR} == {
        "post-discharge-contact": ("asap", "2026-11-24T23:59:59-05:00"),
        "medication-reconciliation": ("urgent", "2026-11-27T23:59:59-05:00"),
        "post-discharge-visit": ("urgent", "2026-11-27T23:59:59-05:00"),
        "discharge-summary-request": ("routine", "2026-11-24T23:59:59-05:00"),
    }


def test_the_contact_tells_where_from_and_until_when_and_what_to_cover() -> None:
    task = made(World().night(stay()))["post-discharge-contact"]
    assert task["description"] == "Discharged 2026-11-20 from Mercy Hospital: contact by 2026-11-24"
    assert inputs(task, "regulatory-due") == ["2026-11-24T23:59:59-05:00"]
    assert len(inputs(task, "checklist")) == 7
    codes = [each["code"] for each in task["code"]["coding"]]
    assert codes == ["post-discharge-contact", "386473003"]
    assert task["focus"] == task["encounter"] == task["reasonReference"] == {"reference": "Encounter/e9"}


def test_the_tasks_of_one_stay_share_its_identifier_as_group() -> None:
    found = made(World().night(stay(identifier="urn:mercy|77")), "Task")
    value = identifier_value("stay|p|urn:mercy|77")
    groups = [task["groupIdentifier"] for task in found.values()]
    assert groups == [{"system": f"{BASE}/id/stay", "value": value}] * 4


def test_the_transition_plan_runs_thirty_days_and_names_the_diagnoses() -> None:
    found = made(World().night(stay(diagnoses=("Condition/hf",)), condition("I50.9", id="hf")))
    plan = found["transition"]
    assert plan["period"] == {"start": "2026-11-20", "end": "2026-12-19"}
    assert plan["addresses"] == [{"reference": "Condition/hf"}]
    target = found["no-unplanned-readmission"]["target"]
    assert target == [{"dueDate": "2026-12-20"}]


def test_a_transition_plan_is_part_of_the_longitudinal_one_where_that_exists() -> None:
    world = World()
    conditions = condition("E11.9", id="dm"), condition("I10", id="bp")
    world.night(*conditions)
    changes = world.night(*conditions, stay(), as_of=later(1))
    link = {"reference": f"intent:{world.one('longitudinal').value}"}
    assert made(changes)["transition"]["partOf"] == [link]


def test_a_discharge_heard_of_late_is_due_the_next_business_day_and_says_so() -> None:
    task = made(World().night(stay("11-02 09:00", "11-06 14:00")))["post-discharge-contact"]
    assert due(task) == "2026-11-23T23:59:59-05:00"
    assert inputs(task, "regulatory-due") == ["2026-11-10T23:59:59-05:00"]
    assert inputs(task, "flag") == ["overdue_at_creation"]
    assert "had passed when this was raised" in task["description"]


def test_the_period_passes_and_open_tasks_stay_to_be_done() -> None:
    world = World()
    world.night(stay())
    for days in (5, 20, 29, 31, 45, 90, 400):
        found = [c for c in world.night(stay(), as_of=later(days)) if c.want.rule.startswith("DIS")]
        assert found == [], days
    assert set(FOUR) <= set(world.open())


def test_a_corrected_discharge_date_moves_the_due_dates() -> None:
    world = World()
    world.night(stay())
    changes = made(world.night(stay(end="11-21 09:00"), as_of=later(1)))
    assert changes["transition"]["period"]["start"] == "2026-11-21"
    assert changes["no-unplanned-readmission"]["target"] == [{"dueDate": "2026-12-21"}]
    assert due(changes["post-discharge-visit"]) == "2026-11-28T23:59:59-05:00"
    assert world.open() == FOUR


def test_a_readmission_ends_the_episode_and_asks_for_a_review() -> None:
    world = World()
    world.night(stay())
    back = running(imp("11-24 08:00", id="e10"))
    changes = made(world.night(stay(), back, as_of=on("11-24")))
    assert changes["post-discharge-contact"]["statusReason"]["text"].startswith("readmitted")
    assert changes["transition"]["status"] == "revoked"
    assert changes["no-unplanned-readmission"]["lifecycleStatus"] == "cancelled"
    review = changes["readmission-review"]
    assert review["description"] == "Readmitted 2026-11-24, 4 days after discharge: review by 2026-11-25"
    assert review["focus"] == {"reference": f"intent:{world.one('post-discharge-contact').value}"}
    assert world.open() == ["readmission-review"]


def test_the_next_discharge_opens_the_next_episode() -> None:
    world = World()
    world.night(stay())
    world.night(stay(), running(imp("11-24 08:00", id="e10")), as_of=on("11-24"))
    world.night(stay(), imp("11-24 08:00", "11-28 10:00", id="e10"), as_of=on("11-29"))
    assert world.open() == sorted([*FOUR, "readmission-review"])
    assert world.one("post-discharge-contact").business_key == "DIS-TCM|p|e10|post-discharge-contact|1"


def test_a_stay_that_goes_on_after_all_withdraws_and_its_end_asks_again() -> None:
    world = World()
    first = stay("11-16 09:00", "11-20 09:00")
    world.night(first)
    again = running(imp("11-20 21:00", id="e10"))
    world.night(first, again, as_of=on("11-23"))
    assert world.open() == []
    world.night(first, imp("11-20 21:00", "11-24 10:00", id="e10"), as_of=on("11-24"))
    assert world.open() == FOUR
    assert world.one("post-discharge-contact").business_key == "DIS-TCM|p|e9|post-discharge-contact|2"
    assert [plan.current["status"] for plan in world.all("transition")] == ["draft"]


def test_a_call_before_the_real_discharge_does_not_stand_for_the_one_after_it() -> None:
    world = World()
    first = stay("11-16 09:00", "11-20 09:00")
    world.night(first)
    world.edit(world.one("post-discharge-contact"), status="completed", on="2026-11-22T16:00:00-05:00")
    world.night(first, imp("11-20 21:00", "11-24 10:00", id="e10"), as_of=on("11-25"))
    assert "post-discharge-contact" in world.open()


def test_a_completed_contact_is_not_asked_for_again() -> None:
    world = World()
    world.night(stay())
    world.edit(world.one("post-discharge-contact"), status="completed", on="2026-11-23T16:00:00-05:00")
    assert world.night(stay(), as_of=later(2)) == []


def test_a_discharge_taken_back_withdraws_everything() -> None:
    world = World()
    world.night(stay())
    changes = made(world.night(stay(status="entered-in-error"), as_of=later(1)))
    reasons = {changes[code]["statusReason"]["coding"][0]["code"] for code in FOUR}
    assert reasons == {"source-entered-in-error"}
    assert changes["transition"]["status"] == "revoked"


def test_an_end_that_is_missing_now_leaves_open_tasks_as_they_are() -> None:
    world = World()
    world.night(stay())
    assert world.night(stay(end=None), as_of=later(1)) == []


def test_two_stays_that_prove_to_be_one_keep_the_older_key() -> None:
    world = World()
    second = imp("11-19 09:00", "11-20 14:00", id="e2")
    world.night(imp("11-16 09:00", "11-18 08:00", id="e1"), second)
    assert world.one("post-discharge-contact").subject == "e2"
    world.edit(world.one("post-discharge-contact"), status="completed", on="2026-11-23T10:00:00-05:00")
    world.night(imp("11-16 09:00", "11-19 08:00", id="e1"), second, as_of=on("11-23"))
    assert world.open() == sorted({*FOUR} - {"post-discharge-contact"}), "the call was about this discharge"
    old = world.all("post-discharge-visit")[0].current
    assert old["statusReason"]["coding"][0]["code"] == "merged"
    plans = {plan.business_key: plan.current["status"] for plan in world.all("transition")}
    assert plans == {"plan|p|transition|e2": "revoked", "plan|p|transition|e1": "draft"}


def test_leaving_against_advice_is_a_call_the_next_business_day_without_a_plan() -> None:
    changes = World().night(stay(disposition="aadvice"))
    assert [c.want.code for c in changes] == ["post-discharge-outreach"]
    task = changes[0].want.resource
    assert task["description"] == "Left hospital against advice on 2026-11-20: call by 2026-11-23"
    assert (task["priority"], due(task)) == ("urgent", "2026-11-23T23:59:59-05:00")
    assert "basedOn" not in task


def test_a_call_after_leaving_against_advice_stays_open_when_its_week_is_over() -> None:
    world = World()
    world.night(stay(disposition="aadvice"))
    assert world.night(stay(disposition="aadvice"), as_of=later(10)) == []
    assert world.night(stay(disposition="aadvice"), as_of=later(100)) == []


def test_a_corrected_disposition_turns_one_call_into_the_other() -> None:
    world = World()
    world.night(stay(disposition="aadvice"))
    world.night(stay(disposition="home"), as_of=later(1))
    assert world.open() == FOUR


def test_skilled_nursing_is_watched_every_seven_days_until_it_ends() -> None:
    world = World()
    nursing = running(snf("11-10 10:00", id="s1"))
    task = made(world.night(nursing))["snf-watch"]
    assert task["description"].startswith("In skilled nursing since 2026-11-10")
    assert due(task) == "2026-11-29T23:59:59-05:00"
    assert world.night(nursing, as_of=later(3)) == []
    world.edit(world.one("snf-watch"), status="completed", on="2026-11-28T10:00:00-05:00")
    changes = world.night(nursing, as_of=on("11-28"))
    assert [c.want.business_key for c in changes] == ["DIS-SNF|p|s1|snf-watch|2"]
    assert due(changes[0].want.resource) == "2026-12-05T23:59:59-05:00"


def test_leaving_skilled_nursing_ends_the_watch_and_starts_the_transition() -> None:
    world = World()
    world.night(running(snf("11-10 10:00", id="s1")))
    changes = made(world.night(snf("11-10 10:00", "11-24 10:00", id="s1"), as_of=on("11-24")))
    assert changes["snf-watch"]["statusReason"]["coding"][0]["code"] == "snf_ended"
    assert world.open() == FOUR


def test_a_watch_that_somebody_rejected_does_not_come_back_for_this_stay() -> None:
    world = World()
    nursing = running(snf("11-10 10:00", id="s1"))
    world.night(nursing)
    world.edit(world.one("snf-watch"), status="rejected")
    assert world.night(nursing, as_of=later(30)) == []


def test_an_accepted_longitudinal_plan_takes_the_watch_in_and_a_draft_does_not() -> None:
    conditions = condition("E11.9", id="dm"), condition("I10", id="bp")
    nursing = running(snf("11-10 10:00", id="s1"))
    draft, accepted = World(), World()
    assert "basedOn" not in made(draft.night(*conditions, nursing))["snf-watch"]
    accepted.night(*conditions)
    accepted.edit(accepted.one("longitudinal"), status="active")
    based = made(accepted.night(*conditions, nursing, as_of=later(1)))["snf-watch"]["basedOn"]
    assert based == [{"reference": f"intent:{accepted.one('longitudinal').value}"}]


def test_two_discharges_never_leave_two_open_contacts() -> None:
    world = World()
    world.night(stay("09-01 09:00", "09-05 09:00"), as_of=on("09-06"))
    second = stay("11-16 09:00", "11-20 14:00", id="e10")
    world.night(stay("09-01 09:00", "09-05 09:00"), second)
    assert world.open() == FOUR
    old = world.one("post-discharge-contact", last=False).current
    assert old["statusReason"]["coding"][0]["code"] == "superseded"


def test_a_transition_plan_that_somebody_closed_is_not_opened_again() -> None:
    world = World()
    first = stay("11-16 09:00", "11-20 09:00")
    world.night(first)
    world.edit(world.one("transition"), status="revoked")
    world.night(first, running(imp("11-20 21:00", id="e10")), as_of=on("11-23"))
    changes = world.night(first, imp("11-20 21:00", "11-24 10:00", id="e10"), as_of=on("11-24"))
    assert "transition" not in made(changes)
    assert all("basedOn" not in c.want.resource for c in changes if c.want.kind == "Task")
