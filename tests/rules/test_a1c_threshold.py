"""From which value on an HbA1c is out: comparators (rules.md 1.5) and thresholds (1.7)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cm_service.rules.a1c_threshold import Thresholds, exceeds, exceeds_native, thresholds
from cm_service.rules.facts import AnyFact
from tests.rules.builders import (
    at,
    concept,
    condition,
    diagnosis,
    encounter,
    goal,
    patient,
    reading,
    target,
    view,
)

PREGNANT = "102872000"


def limits(*facts: AnyFact, as_of: str = "2026-11-22T15:00", **changes: Any) -> Thresholds:
    return thresholds(view(*facts, **changes), at(as_of))


def shown(answer: Thresholds) -> list[tuple[str, str]]:
    return [(str(one.value or ""), one.reason) for one in answer.options]


def flags(answer: Thresholds) -> set[str]:
    return {*answer.flags, *(flag for one in answer.options for flag in one.flags)}


@pytest.mark.parametrize(
    ("text", "out_above", "out_at_or_above"),
    [
        ("6.9", False, False),
        ("7.0", False, True),
        ("7.1", True, True),
        (">6.9", None, None),
        (">7.0", True, True),
        (">7.1", True, True),
        (">=6.9", None, None),
        (">=7.0", None, True),
        (">=7.1", True, True),
        ("<6.9", False, False),
        ("<7.0", False, False),
        ("<7.1", None, None),
        ("<=6.9", False, False),
        ("<=7.0", False, None),
        ("<=7.1", None, None),
    ],
)
def test_a_bound_decides_only_where_it_can(text: str, out_above: bool | None, out_at_or_above: bool | None):
    assert exceeds(reading(text), Decimal("7.0")) is out_above
    assert exceeds(reading(text), Decimal("7.0"), inclusive=True) is out_at_or_above


def test_a_value_that_cannot_be_used_is_never_compared():
    with pytest.raises(ValueError, match="without a value"):
        exceeds(reading("unit_wrong"), Decimal("7.0"))


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("47 mmol/mol", False),
        ("48 mmol/mol", True),
        (">47 mmol/mol", None),
        (">=48 mmol/mol", True),
        ("6.5", True),
    ],
)
def test_a_native_value_is_compared_as_it_was_measured(text: str, reached: bool | None):
    """47 mmol/mol rounds to 6.5 % and is below 48 all the same."""
    assert exceeds_native(reading(text), Decimal("6.5"), Decimal(48)) is reached


def test_the_default_is_seven_and_a_parameter():
    assert shown(limits()) == [("7.0", "")]
    assert shown(limits(a1c_target=Decimal("8.5"))) == [("8.5", "")]


@pytest.mark.parametrize(
    ("text", "value", "inclusive"),
    [("<8.0", "8.0", True), ("<=8.0", "8.0", False), ("8.0", "8.0", False), ("<53 mmol/mol", "7.0", True)],
)
def test_an_active_goal_sets_the_limit(text: str, value: str, inclusive: bool):
    answer = limits(goal(text))
    assert shown(answer) == [(value, "individual_goal")]
    assert answer.options[0].inclusive is inclusive
    assert [(e.type, e.id) for e in answer.options[0].evidence] == [("Goal", f"goal {text}")]


def test_an_accepted_goal_counts_as_an_active_one():
    assert shown(limits(goal(lifecycle="accepted"))) == [("8.0", "individual_goal")]


@pytest.mark.parametrize(
    "lifecycle", ["proposed", "planned", "on-hold", "completed", "cancelled", "rejected", ""]
)
def test_any_other_goal_is_ignored(lifecycle: str):
    answer = limits(goal(">9.0", lifecycle=lifecycle))
    assert shown(answer) == [("7.0", "")] and flags(answer) == set()


def test_a_goal_for_another_measure_is_ignored():
    answer = limits(goal(targets=(target(measure=concept("8480-6"), quantity=reading("<8.0")),)))
    assert shown(answer) == [("7.0", "")] and flags(answer) == set()


def test_a_range_limits_from_above_and_keeps_its_lower_bound():
    answer = limits(goal(targets=(target(is_range=True, low=reading("6.5"), high=reading("7.5")),)))
    option = answer.options[0]
    assert (option.value, option.inclusive, option.low) == (Decimal("7.5"), False, Decimal("6.5"))


@pytest.mark.parametrize(
    "asks",
    [
        {"quantity": reading(">8.0")},
        {"quantity": reading(">=8.0")},
        {"quantity": reading("implausible")},
        {"quantity": reading("unit_wrong")},
        {"is_range": True, "low": reading("6.5")},
        {"is_range": True, "high": reading("implausible")},
        {"text": "as low as possible"},
        {"coded": concept("160734000")},
        {},
    ],
)
def test_a_goal_that_is_no_upper_limit_is_unusable_and_the_next_rule_decides(asks: dict[str, Any]):
    answer = limits(goal(targets=(target(**asks),)))
    assert shown(answer) == [("7.0", "")] and flags(answer) == {"goal_unusable"}


def test_an_older_usable_goal_stands_in_for_a_newer_unusable_one():
    answer = limits(goal("<8.0", start="2026-01-01"), goal(">9.0", start="2026-06-01"))
    assert shown(answer) == [("8.0", "individual_goal")] and flags(answer) == {"goal_unusable"}


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ({"status_date": "2026-03-02", "start": "2020-01-01"}, {"status_date": "2026-03-01"}),
        ({"start": "2026-03-02"}, {"status_date": "2026-03-01", "start": "2026-03-05"}),
        ({"updated": "2026-03-02T08:00:00Z"}, {"start": "2026-03-01", "updated": "2026-04-01T08:00:00Z"}),
        ({"updated": "2026-03-02T08:00:01Z"}, {"updated": "2026-03-02T08:00:00Z"}),
        ({"start": "2026-03-01"}, {}),
        ({"start": "2026-03-01"}, {"start": "2026-03"}),
    ],
)
def test_of_several_goals_the_newest_by_its_first_date_decides(newer: dict[str, str], older: dict[str, str]):
    new, old = goal("<8.0", **newer), goal("<7.9", **older)
    assert shown(limits(new, old)) == shown(limits(old, new)) == [("8.0", "individual_goal")]


def test_goals_more_than_two_tenths_apart_are_in_conflict():
    assert "goal_conflict" not in flags(limits(goal("<8.0"), goal("<7.8")))
    assert "goal_conflict" in flags(limits(goal("<8.0"), goal("<7.7")))


def test_a_goal_past_its_due_date_is_still_valid_and_flagged():
    due_today = goal(targets=(target(quantity=reading("<8.0"), due="2026-11-22"),))
    assert flags(limits(due_today)) == set()
    late = limits(due_today, as_of="2026-11-23T00:00:00")
    assert shown(late) == [("8.0", "individual_goal")] and flags(late) == {"goal_past_due"}


@pytest.mark.parametrize("asks", [{"coded": concept("160734000")}, {"text": "no number, please"}])
def test_the_practices_own_code_says_that_there_is_no_number(asks: dict[str, Any]):
    words = ("http://snomed.info/sct|160734000", "no number, please")
    answer = limits(goal(targets=(target(**asks),)), a1c_no_target_codes=words)
    assert shown(answer) == [("", "no_numeric_target")] and flags(answer) == set()


def test_a_goal_goes_before_pregnancy_and_age():
    person = patient(birth="1940-01-01")
    answer = limits(goal(), condition(PREGNANT, onset="2026-10-01"), person=person)
    assert shown(answer) == [("8.0", "individual_goal")]


def test_pregnancy_is_the_providers_matter_through_day_300():
    pregnant = condition(PREGNANT, onset="2026-01-26")
    answer = limits(pregnant)
    assert shown(answer) == [("", "pregnancy_route_to_provider")] and flags(answer) == set()
    assert [e.id for e in answer.options[0].evidence] == [PREGNANT]
    stale = limits(pregnant, as_of="2026-11-23T00:00:00")
    assert shown(stale) == [("7.0", "")] and flags(stale) == {"pregnancy_stale"}


def test_pregnancy_is_dated_by_onset_before_the_day_of_recording():
    old = condition(PREGNANT, onset="2025-01-26", recorded="2026-10-01")
    assert flags(limits(old)) == {"pregnancy_stale"}
    assert shown(limits(condition(PREGNANT, recorded="2026-10-01"))) == [("", "pregnancy_route_to_provider")]


def test_an_expected_delivery_ahead_keeps_an_old_pregnancy_alive():
    one = condition(PREGNANT, onset="2026-01-01", expected_delivery="2026-11-22")
    assert shown(limits(one)) == [("", "pregnancy_route_to_provider")]
    assert shown(limits(one, as_of="2026-11-23T00:00:00")) == [("7.0", "")]


@pytest.mark.parametrize(
    "changes",
    [
        {"clinical": "resolved"},
        {"clinical": "inactive"},
        {"clinical": "remission"},
        {"abatement": "2026-11-01"},
        {"verification": "refuted"},
        {"verification": "entered-in-error"},
        {"verification": "provisional"},
    ],
)
def test_a_pregnancy_that_is_over_or_not_certain_does_not_count(changes: dict[str, str]):
    answer = limits(condition(PREGNANT, onset="2026-10-01", **changes))
    assert shown(answer) == [("7.0", "")]
    assert "pregnancy_stale" not in flags(answer)


def test_a_pregnancy_that_begins_later_is_ignored_and_flagged():
    answer = limits(condition(PREGNANT, onset="2026-12-24"))
    assert shown(answer) == [("7.0", "")] and flags(answer) == {"future_date"}


def test_a_pregnancy_of_unknown_age_leaves_both_answers_open():
    for one in (condition(PREGNANT), condition(PREGNANT, onset="2026"), diagnosis(PREGNANT, onset="2026-01")):
        answer = limits(one)
        assert shown(answer) == [("", "pregnancy_route_to_provider"), ("7.0", "")]
        assert answer.doubt == "pregnancy_route_to_provider"


def test_a_pregnancy_without_dates_is_dated_by_its_encounter():
    one = diagnosis(PREGNANT, encounter="Encounter/e")
    assert shown(limits(one, encounter(start="2026-10-01"))) == [("", "pregnancy_route_to_provider")]


@pytest.mark.parametrize(("birth", "limit"), [("1961-11-22", "7.5"), ("1961-11-23", "7.0")])
def test_at_65_the_limit_of_the_healthy_older_adult_begins(birth: str, limit: str):
    assert shown(limits(person=patient(birth=birth))) == [(limit, "")]


def test_the_older_adult_mode_can_be_switched_off():
    answer = limits(person=patient(birth="1940-01-01"), a1c_older_adult_mode="off")
    assert shown(answer) == [("7.0", "")] and flags(answer) == set()


def test_a_healthy_older_adult_is_flagged_and_so_is_a_record_that_says_nothing():
    person = patient(birth="1940-01-01")
    unassessed = limits(condition("E11.9"), condition("E11.A"), person=person)
    assert flags(unassessed) == {"older_adult_healthy", "complexity_not_assessed"}
    assert flags(limits(condition("E11.9"), condition("59621000"), person=person)) == {"older_adult_healthy"}


def test_a_missing_birth_date_leaves_the_default_and_the_older_limit_open():
    answer = limits(person=patient(birth=None))
    assert shown(answer) == [("7.0", ""), ("7.5", "")] and answer.doubt == "age_unknown"


def test_a_birth_year_may_or_may_not_leave_the_age_open():
    answer = limits(person=patient(birth="1961"))
    assert shown(answer) == [("7.0", ""), ("7.5", "")] and answer.doubt == "age_unknown"
    assert "partial_date" in flags(answer)
    assert shown(limits(person=patient(birth="1960"))) == [("7.5", "")]
    assert shown(limits(person=patient(birth="1962"))) == [("7.0", "")]
