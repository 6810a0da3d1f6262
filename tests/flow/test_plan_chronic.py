"""Two or more chronic conditions: the offer, the draft plan, and what answers to it (rules.md 3.7)."""

from __future__ import annotations

from cm_service.rules.facts import CareTeamFact, ConditionFact, Member
from tests.flow.plan_world import World, context, due, inputs, later, made
from tests.rules.builders import a1c, concept, condition, consent, diagnosis

DM = condition("E11.9", id="dm", recorded="2020-01-01")
BP = condition("I10", id="bp", recorded="2022-01-01")
HF = condition("I50.9", id="hf", recorded="2026-11-25")
LAST = a1c("6.4", "2026-10-01", id="o1")  # diabetes at target, so that only the count speaks


def test_two_conditions_are_an_offer_with_a_draft_plan_that_addresses_them() -> None:
    changes = World().night(DM, BP, LAST)
    assert [c.want.code for c in changes] == ["longitudinal", "enrolment-offer"]
    task, plan = made(changes)["enrolment-offer"], made(changes)["longitudinal"]
    assert task["description"] == (
        "2 chronic conditions (diabetes, hypertension): offer care management by 2026-12-06"
    )
    assert task["focus"] == task["basedOn"][0] == {"reference": f"intent:{changes[0].want.value}"}
    assert task["reasonReference"] == {"reference": "Condition/bp"}, "the newest counted one"
    assert due(task) == "2026-12-06T23:59:59-05:00"
    assert inputs(task, "evidence") == ["Condition/bp: hypertension", "Condition/dm: diabetes"]
    assert plan["addresses"] == [{"reference": "Condition/bp"}, {"reference": "Condition/dm"}]
    assert "goal" not in plan, "goals are the patient's to choose"


def test_the_offer_joins_the_plan_of_the_other_rules() -> None:
    changes = World().night(DM, BP, a1c("8.6", id="o1"))
    plans = [c.want for c in changes if c.want.kind == "CarePlan"]
    assert len(plans) == 1
    link = [{"reference": f"intent:{plans[0].value}"}]
    assert [c.want.resource["basedOn"] for c in changes if c.want.kind == "Task"] == [link, link]


def test_one_more_condition_updates_offer_and_plan() -> None:
    world = World()
    world.night(DM, BP, LAST)
    changes = made(world.night(DM, BP, HF, LAST, as_of=later(4)))
    assert changes["enrolment-offer"]["description"].startswith("3 chronic conditions")
    assert changes["longitudinal"]["addresses"][-1] == {"reference": "Condition/hf"}


def test_a_refuted_condition_withdraws_the_offer_and_the_draft() -> None:
    world = World()
    world.night(DM, BP, LAST)
    refuted = condition("I10", id="bp", verification="refuted")
    changes = made(world.night(DM, refuted, LAST, as_of=later(1)))
    assert changes["enrolment-offer"]["status"] == "cancelled"
    assert changes["longitudinal"]["status"] == "revoked"


def test_a_plan_no_longer_addresses_a_condition_that_was_refuted() -> None:
    world = World()
    world.night(DM, BP, condition("J44.9", id="copd"), LAST)
    refuted = condition("J44.9", id="copd", verification="refuted")
    changes = made(world.night(DM, BP, refuted, LAST, as_of=later(1)))
    assert changes["longitudinal"]["addresses"] == [
        {"reference": "Condition/bp"},
        {"reference": "Condition/dm"},
    ]
    assert changes["enrolment-offer"]["description"].startswith("2 chronic conditions")


def test_a_diagnosis_that_grew_too_old_withdraws_nothing() -> None:
    twice = (
        diagnosis("I10", id="b1", recorded="2025-01-01", clinical=""),
        diagnosis("I10", id="b2", recorded="2025-02-01", clinical=""),
    )
    world = World()
    world.night(DM, *twice, LAST)
    assert "enrolment-offer" in world.open()
    late = a1c("6.4", "2027-03-01", id="o2")
    changes = made(world.night(DM, *twice, LAST, late, as_of=later(130)))
    assert "enrolment-offer" not in changes


def test_who_is_enrolled_gets_no_offer_and_the_plan_learns_of_new_conditions() -> None:
    world = World()
    world.night(DM, BP, LAST)
    world.edit(world.one("enrolment-offer"), status="completed")
    world.edit(world.one("longitudinal"), status="active")
    late = a1c("6.4", "2027-09-01", id="o2")
    changes = world.night(DM, BP, HF, LAST, late, as_of=later(300))
    assert [c.want.code for c in changes] == ["longitudinal"]
    assert changes[0].want.resource["status"] == "active"


def test_where_plans_are_active_at_once_a_completed_offer_enrols() -> None:
    world = World(emr=context(write_mode="auto"))
    world.night(DM, BP, LAST)
    assert world.open() == ["enrolment-offer"]
    world.edit(world.one("enrolment-offer"), status="completed", on="2026-11-25T10:00:00-05:00")
    late = a1c("6.4", "2027-09-01", id="o2")
    assert world.night(DM, BP, LAST, late, as_of=later(300)) == []


def test_a_rejected_offer_is_not_repeated_for_half_a_year() -> None:
    world = World()
    world.night(DM, BP, LAST)
    world.edit(world.one("enrolment-offer"), status="rejected", on="2026-11-25T10:00:00-05:00")
    late = a1c("6.4", "2027-03-01", id="o2")
    assert world.night(DM, BP, LAST, late, as_of=later(150)) == []
    changes = world.night(DM, BP, LAST, late, as_of=later(190))
    assert [c.want.business_key for c in changes] == ["CHR-MULTI|p|-|enrolment-offer|2"]


def test_a_rejection_holds_also_when_a_condition_is_added() -> None:
    world = World()
    world.night(DM, BP, LAST)
    world.edit(world.one("enrolment-offer"), status="rejected", on="2026-11-25T10:00:00-05:00")
    assert "enrolment-offer" not in made(world.night(DM, BP, HF, LAST, as_of=later(30)))


def test_an_offer_that_was_deleted_is_not_made_anew_for_the_same_conditions() -> None:
    world = World()
    world.night(DM, BP, LAST)
    world.delete(world.one("enrolment-offer"))
    late = a1c("6.4", "2027-09-01", id="o2")
    assert "enrolment-offer" not in made(world.night(DM, BP, LAST, late, as_of=later(300)))


def test_a_plan_that_is_active_at_once_is_no_enrolment_yet() -> None:
    world = World(emr=context(write_mode="auto"))
    world.night(DM)
    assert "enrolment-offer" in made(world.night(DM, BP, as_of=later(1)))


def test_the_plan_names_the_care_team_and_keeps_it_while_teams_cannot_be_read() -> None:
    manager = Member((concept("768820003"),), "Practitioner/anna", "Anna")
    team = CareTeamFact(id="t", status="active", members=(manager,))
    world = World()
    plan = made(world.night(DM, BP, LAST, team))["longitudinal"]
    assert plan["careTeam"] == [{"reference": "CareTeam/t"}]
    assert plan["contributor"] == [{"reference": "Practitioner/anna"}]
    assert world.night(DM, BP, LAST, as_of=later(1)) == []


def test_a_revoked_plan_stays_revoked_and_the_next_enrolment_gets_the_next_number() -> None:
    world = World()
    world.night(DM, BP, LAST)
    world.edit(world.one("longitudinal"), status="revoked", on="2026-11-25T10:00:00-05:00")
    world.edit(world.one("enrolment-offer"), status="cancelled", on="2026-11-25T10:00:00-05:00")
    late = a1c("6.4", "2027-03-01", id="o2")
    assert world.night(DM, BP, LAST, late, as_of=later(150)) == []
    changes = world.night(DM, BP, LAST, late, as_of=later(190))
    assert [c.want.business_key for c in changes] == [
        "plan|p|longitudinal|2",
        "CHR-MULTI|p|-|enrolment-offer|2",
    ]


def test_a_denial_ends_an_open_offer() -> None:
    world = World()
    world.night(DM, BP, LAST)
    changes = made(world.night(DM, BP, LAST, consent(date="2026-11-23"), as_of=later(1)))
    assert changes["enrolment-offer"]["statusReason"]["text"] == "GX-03: the patient declined"


def test_one_diagnosis_that_reaches_the_limit_alone_is_to_be_confirmed() -> None:
    one: ConditionFact = condition("I13.0", id="x")
    task = made(World().night(one))["enrolment-offer"]
    assert "rests on one diagnosis alone" in task["description"]
