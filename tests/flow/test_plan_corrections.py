"""What a record says now against what it said: corrected grounds are withdrawn, old ones are not
(rules.md 0.9), and what else a second look changes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cm_service.rules.facts import AnyFact
from cm_service.rules.view import Decline
from tests.flow.plan_world import World, due, later, made
from tests.rules.builders import a1c, condition, diagnosis
from tests.rules.stay_helpers import emer, imp

COPD = condition("J44.9", id="a", recorded="2022-01-01")
BP = condition("I10", id="b", recorded="2022-02-01")
DM = condition("E11.9", id="dm", recorded="2020-01-01")
OUT = a1c("9.4", "2026-11-10", id="o1")


def offered() -> World:
    world = World()
    world.night(COPD, BP)
    assert world.open() == ["enrolment-offer"]
    return world


def changed(fact: AnyFact, **elements: Any) -> AnyFact:
    return msgspec.structs.replace(fact, **elements)


def reason(task: dict[str, Any]) -> str:
    return str(task["statusReason"]["coding"][0]["code"])


@pytest.mark.parametrize(
    "now",
    [
        changed(BP, verification="provisional"),
        changed(BP, verification="unconfirmed"),
        changed(BP, verification="differential"),
        changed(BP, clinical="remission"),
        changed(BP, clinical="unknown"),
        condition("R03.0", id="b", recorded="2022-02-01"),
        diagnosis("I10", id="b", recorded="2026-11-01", clinical=""),
        condition("I10", id="b", onset="2027-06-01"),
    ],
)
def test_a_condition_that_counts_no_more_withdraws_the_offer(now: AnyFact) -> None:
    world = offered()
    changes = made(world.night(COPD, now, as_of=later(1)))
    assert reason(changes["enrolment-offer"]) == "source-changed"
    assert changes["longitudinal"]["status"] == "revoked"
    assert world.night(COPD, now, as_of=later(2)) == [], "once"


def test_a_provisional_condition_leaves_the_plan_while_two_others_count() -> None:
    world = World()
    world.night(COPD, BP, DM, a1c("6.4", "2026-11-10", id="o2"))
    changes = made(
        world.night(
            COPD,
            DM,
            a1c("6.4", "2026-11-10", id="o2"),
            changed(BP, verification="provisional"),
            as_of=later(1),
        )
    )
    assert changes["longitudinal"]["addresses"] == [
        {"reference": "Condition/a"},
        {"reference": "Condition/dm"},
    ]


def test_a_diagnosis_that_grew_too_old_leaves_the_offer_as_it_is() -> None:
    twice = [
        diagnosis("I10", id=f"b{n}", recorded=on, clinical="")
        for n, on in enumerate(("2025-01-05", "2026-02-05"))
    ]
    world = World()
    world.night(COPD, *twice)
    assert world.open() == ["enrolment-offer"]
    for days in (30, 60, 120, 400):
        assert world.night(COPD, *twice, as_of=later(days)) == [], days


def test_what_cannot_be_read_tonight_withdraws_nothing() -> None:
    world = offered()
    assert world.night(COPD, as_of=later(1), holes=frozenset({"Condition"})) == []


STAY = imp("11-16 08:00", "11-20 14:00", id="e9")
VISIT = emer("11-19 20:00", "11-19 23:00", id="v1")


@pytest.mark.parametrize(
    ("was", "now", "code"),
    [
        (STAY, imp("09-01 08:00", "09-05 14:00", id="e9"), "post-discharge-contact"),
        (VISIT, emer("10-20 20:00", "10-20 23:00", id="v1"), "ed-followup"),
    ],
)
def test_a_corrected_date_of_discharge_or_visit_ends_the_outreach(
    was: AnyFact, now: AnyFact, code: str
) -> None:
    world = World()
    world.night(was)
    changes = made(world.night(now, as_of=later(1)))
    assert reason(changes[code]) == "source-changed"
    assert world.open() == []


def test_a_period_that_ran_out_ends_nothing() -> None:
    world = World()
    world.night(STAY)
    before = world.open()
    for days in (10, 40, 100):
        assert world.night(STAY, as_of=later(days)) == [], days
    assert world.open() == before


@pytest.mark.parametrize(
    "now",
    [
        changed(OUT, status="unknown"),
        changed(OUT, status="cancelled"),
        a1c("9.4", "2024-01-10", id="o1"),
    ],
)
@pytest.mark.parametrize(("beside", "code"), [((DM,), "a1c-outreach"), ((), "provider-review")])
def test_a_result_that_is_none_any_more_ends_its_task(
    now: AnyFact, beside: tuple[AnyFact, ...], code: str
) -> None:
    world = World()
    world.night(OUT, *beside)
    assert world.open() == [code]
    changes = made(world.night(now, *beside, as_of=later(1)))
    assert reason(changes[code]) == "source-changed"
    assert world.open() == (["a1c-test-due"] if beside else [])


def test_a_result_of_a_year_ago_ends_nothing() -> None:
    world = World()
    world.night(DM, OUT)
    for days in (200, 355, 400):
        world.night(DM, OUT, as_of=later(days))
        assert "a1c-outreach" in world.open(), days


def test_a_decline_that_was_over_long_ago_is_no_correction() -> None:
    world = World()
    world.night(STAY)
    over = Decline(id="d", until=later(2))
    assert world.night(STAY, as_of=later(60), declines=(over,)) == []


@pytest.mark.parametrize("first", ["both", "transition"])
def test_a_transition_is_part_of_the_enrolments_plan_whichever_came_first(first: str) -> None:
    world = World()
    world.night(STAY, *((COPD, BP) if first == "both" else ()))
    world.night(STAY, COPD, BP, as_of=later(1))
    whole, part = world.one("longitudinal"), world.one("transition")
    assert part.current is not None and part.current["partOf"] == [{"reference": whole.reference}]
    assert world.night(STAY, COPD, BP, as_of=later(2)) == []


def test_a_task_that_becomes_urgent_is_due_as_soon_as_a_new_one() -> None:
    world = World()
    world.night(DM, a1c("8.4", "2026-11-10", id="o1"))
    assert due(world.one("a1c-outreach").resource) == "2026-11-29T23:59:59-05:00"
    higher = (DM, a1c("8.4", "2026-11-10", id="o1"), a1c("11.2", "2026-11-22", id="o2"))
    task = made(world.night(*higher, as_of=later(1)))["a1c-outreach"]
    assert (task["priority"], due(task)) == ("urgent", "2026-11-25T23:59:59-05:00")
    assert task["description"].endswith("by 2026-11-25")
    for days in (2, 5, 30):
        assert world.night(*higher, as_of=later(days)) == [], days


def test_a_due_date_that_a_person_set_stays_theirs() -> None:
    world = World()
    world.night(DM, a1c("8.4", "2026-11-10", id="o1"))
    theirs = {"period": {"end": "2026-12-15T12:00:00-05:00"}}
    world.edit(world.one("a1c-outreach"), restriction=theirs)
    task = made(world.night(DM, a1c("11.2", "2026-11-22", id="o2"), as_of=later(1)))["a1c-outreach"]
    assert task["restriction"] == theirs and task["description"].endswith("by 2026-12-15")


def test_a_task_that_becomes_less_urgent_keeps_its_day() -> None:
    world = World()
    world.night(DM, a1c("11.2", "2026-11-10", id="o1"))
    before = due(world.one("a1c-outreach").resource)
    task = made(world.night(DM, a1c("8.4", "2026-11-22", id="o2"), as_of=later(1)))["a1c-outreach"]
    assert (task["priority"], due(task)) == ("routine", before)


def test_an_abatement_of_this_year_leaves_open_whether_it_is_over() -> None:
    world = offered()
    assert world.night(COPD, condition("I10", id="b", abatement="2026"), as_of=later(1)) == []


def test_a_condition_that_ended_since_withdraws_the_offer_whichever_it_is() -> None:
    for over in ("a", "b"):
        world = offered()
        held = [
            condition(code, id=name, recorded="2022-01-01", abatement="2026-11-23" if name == over else None)
            for name, code in (("a", "J44.9"), ("b", "I10"))
        ]
        assert reason(made(world.night(*held, as_of=later(2)))["enrolment-offer"]) == "source-changed", over


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00Z", "2031-01-01T00:00:00Z"])
def test_where_a_person_changed_when_it_was_made_time_has_the_say(when: str) -> None:
    world = World()
    world.night(STAY)
    for task in [each for each in world.known if each.kind == "Task"]:
        world.edit(task, authoredOn=when)
    assert world.night(STAY, as_of=later(60)) == []
