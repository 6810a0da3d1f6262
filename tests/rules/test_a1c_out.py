"""A1C-OUT: the newest HbA1c is out of range (rules.md 1.5 to 1.8), with the published cases."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cm_service.rules.decision import Finding, Outcome
from cm_service.rules.facts import AnyFact
from cm_service.rules.programs.a1c_out import RULE
from tests.rules.builders import (
    a1c,
    at,
    concept,
    condition,
    diagnosis,
    encounter,
    goal,
    observation,
    patient,
    procedure,
    reading,
    target,
    view,
)

ELIGIBLE, NOT, UNKNOWN = Outcome.ELIGIBLE, Outcome.NOT_ELIGIBLE, Outcome.INSUFFICIENT_DATA
DIABETES = condition("E11.9")
PREGNANT = condition("102872000", onset="2026-10-01")
OLD = patient(birth="1944-05-05")


def decide(*facts: AnyFact, as_of: str = "2026-11-22T15:00", **changes: Any) -> Finding:
    return RULE.evaluate(view(DIABETES, *facts, **changes), at(as_of))


def answer(*facts: AnyFact, **changes: Any) -> tuple[Outcome, list[str]]:
    finding = decide(*facts, **changes)
    return finding.outcome, finding.reasons


def test_seven_is_at_target():
    finding = decide(a1c("7.0"))
    assert (finding.outcome, finding.reasons, finding.flags) == (NOT, ["at_target"], [])
    assert finding.facts == {"value": Decimal("7.0"), "threshold": Decimal("7.0")}


def test_above_seven_is_eligible_with_the_result_as_first_evidence():
    finding = decide(a1c("54 mmol/mol", code="59261-8"))
    assert (finding.outcome, finding.reasons) == (ELIGIBLE, ["above_target"])
    assert finding.facts == {"value": Decimal("7.1"), "threshold": Decimal("7.0"), "priority": "routine"}
    first, second = finding.evidence
    assert (first.type, first.raw, first.value, first.unit) == ("Observation", "54 mmol/mol", "7.1", "%")
    assert (first.date, first.path) == ("2026-11-10", "Observation.valueQuantity")
    assert (second.type, second.value) == ("Condition", "diabetes")


@pytest.mark.parametrize(
    ("text", "priority"), [("9.0", "routine"), ("9.1", "urgent"), (">14.0", "urgent"), (">=9.0", "routine")]
)
def test_above_nine_is_urgent(text: str, priority: str):
    assert decide(a1c(text)).facts["priority"] == priority


def test_the_limit_of_urgency_is_a_parameter():
    assert decide(a1c("8.5"), a1c_poor=Decimal("8.0")).facts["priority"] == "urgent"


def test_a_bound_is_shown_with_its_comparator():
    finding = decide(a1c(">14.0"))
    assert finding.outcome is ELIGIBLE and finding.evidence[0].value == ">14.0"
    assert finding.facts["value"] == Decimal("14.0")


@pytest.mark.parametrize("text", [">6.0", ">=7.0", "<7.5", "<=8.0"])
def test_a_bound_that_does_not_decide_leaves_the_answer_open(text: str):
    older = a1c("9.9", "2026-11-01")
    finding = decide(a1c(text), older)
    assert (finding.outcome, finding.reasons) == (UNKNOWN, ["comparator_undecided"])
    assert "priority" not in finding.facts and finding.facts["threshold"] == Decimal("7.0")


def test_an_entered_in_error_result_hands_over_to_the_older_one():
    assert answer(a1c("9.4", status="entered-in-error"), a1c("6.6", "2026-09-01")) == (NOT, ["at_target"])


def test_a_missing_value_is_no_recent_result():
    assert answer(a1c("", "2026-10-01")) == (UNKNOWN, ["no_recent_result"])


@pytest.mark.parametrize(
    "word", ["unit_code_conflict", "unit_wrong", "unit_missing", "non_numeric", "implausible"]
)
def test_an_unusable_result_alone_is_no_usable_result_and_says_why(word: str):
    finding = decide(a1c(word))
    assert (finding.outcome, finding.reasons, finding.flags) == (UNKNOWN, ["no_usable_result"], [word])
    assert finding.evidence[0].id == f"{word} of 2026-11-10" and finding.evidence[0].value == ""


def test_an_undated_result_is_a_result_that_cannot_be_used():
    finding = decide(a1c("9.9", None))
    assert (finding.outcome, finding.reasons, finding.flags) == (UNKNOWN, ["no_usable_result"], ["undated"])
    assert finding.evidence[0].id == "9.9 of None"


def test_a_result_of_365_days_ago_decides_and_one_a_day_older_does_not():
    assert answer(a1c("8.0", "2025-11-22")) == (ELIGIBLE, ["above_target"])
    finding = decide(a1c("8.0", "2025-11-21"))
    assert (finding.outcome, finding.reasons) == (UNKNOWN, ["no_recent_result"])
    assert finding.facts["value"] == Decimal("8.0")


def test_an_old_usable_result_does_not_hide_a_recent_unusable_one():
    assert answer(a1c("8.0", "2025-11-21"), a1c("unit_wrong")) == (UNKNOWN, ["no_usable_result"])
    assert answer(a1c("unit_wrong", "2025-11-20")) == (UNKNOWN, ["no_recent_result"])


def test_a_month_that_reaches_out_of_the_window_is_not_recent():
    finding = decide(a1c("8.0", "2025-11"))
    assert (finding.outcome, finding.reasons, finding.flags) == (
        UNKNOWN,
        ["no_recent_result"],
        ["partial_date"],
    )
    assert answer(a1c("8.0", "2025-12")) == (ELIGIBLE, ["above_target"])


def test_flags_of_the_deciding_result_are_carried():
    finding = decide(a1c("7.6", flags=("unit_assumed_percent",)))
    assert (finding.outcome, finding.flags) == (ELIGIBLE, ["unit_assumed_percent"])


def test_a_future_result_is_ignored_and_flagged():
    finding = decide(a1c("9.9", "2026-12-20"), a1c("6.7"))
    assert (finding.outcome, finding.flags) == (NOT, ["future_date"])


def test_a_pending_or_unusable_newer_result_is_shown_and_does_not_decide():
    finding = decide(
        a1c("7.6", "2026-11-01"), a1c("5.0", status="preliminary"), a1c("unit_wrong", "2026-11-05")
    )
    assert finding.outcome is ELIGIBLE
    assert finding.flags == ["newer_unusable_result", "pending_newer_result", "unit_wrong"]
    assert [e.id for e in finding.evidence[:3]] == [
        "7.6 of 2026-11-01",
        "unit_wrong of 2026-11-05",
        "5.0 of 2026-11-10",
    ]


def test_without_diabetes_no_result_matters():
    finding = RULE.evaluate(view(a1c("9.9"), condition("I10")), at())
    assert (finding.outcome, finding.reasons) == (NOT, ["no_diabetes"])
    assert finding.facts == {"value": Decimal("9.9")}


def test_diabetes_in_remission_is_not_counted():
    finding = RULE.evaluate(view(a1c("9.9"), condition("E11.A")), at())
    assert (finding.outcome, finding.reasons) == (NOT, ["no_diabetes"])


def test_persisting_diabetes_is_diabetes_here():
    old = diagnosis("44054006", onset="2015-01-01", recorded="2015-01-01")
    finding = RULE.evaluate(view(a1c("9.9"), old), at())
    assert (finding.outcome, finding.flags) == (ELIGIBLE, ["persisting_encounter_diagnosis"])


def test_an_unread_encounter_might_be_the_one_that_makes_a_diagnosis_count():
    once = diagnosis("E11.9", recorded="2026-10-01", encounter="Encounter/e")
    finding = RULE.evaluate(view(a1c("9.9"), once, holes=frozenset({"Encounter"})), at())
    assert (finding.outcome, finding.reasons) == (UNKNOWN, ["input_incomplete", "no_diabetes"])
    seen = encounter("IMP", start="2026-10-01", end="2026-10-03")
    assert RULE.evaluate(view(a1c("9.9"), once, seen), at()).outcome is ELIGIBLE
    assert RULE.evaluate(view(a1c("9.9"), holes=frozenset({"Encounter"})), at()).outcome is NOT


def test_an_individual_goal_overrides_the_default():
    finding = decide(a1c("7.6"), goal("<8.0"))
    assert (finding.outcome, finding.reasons) == (NOT, ["at_target", "individual_goal"])
    assert finding.facts["threshold"] == Decimal("8.0")
    assert [e.type for e in finding.evidence] == ["Observation", "Goal", "Condition"]


@pytest.mark.parametrize(("text", "outcome"), [("<8.0", ELIGIBLE), ("<=8.0", NOT), ("8.0", NOT)])
def test_below_means_that_the_limit_itself_is_out(text: str, outcome: Outcome):
    assert answer(a1c("8.0"), goal(text))[0] is outcome


@pytest.mark.parametrize(
    ("text", "outcome", "flags"),
    [
        ("7.6", ELIGIBLE, []),
        ("7.5", NOT, []),
        ("6.5", NOT, []),
        ("6.4", NOT, ["below_goal_range"]),
        ("<6.5", NOT, ["below_goal_range"]),
    ],
)
def test_a_value_below_the_goals_range_is_only_flagged(text: str, outcome: Outcome, flags: list[str]):
    wanted = goal(targets=(target(is_range=True, low=reading("6.5"), high=reading("7.5")),))
    finding = decide(a1c(text), wanted)
    assert (finding.outcome, finding.flags) == (outcome, flags)


def test_no_numeric_target_pregnancy_and_very_complex_health_decide_without_a_result():
    none = goal(targets=(target(coded=concept("160734000")),))
    codes = ("http://snomed.info/sct|160734000",)
    assert answer(none, a1c_no_target_codes=codes) == (NOT, ["no_numeric_target"])
    assert answer(PREGNANT) == (NOT, ["pregnancy_route_to_provider"])
    assert answer(condition("N18.6"), person=OLD) == (NOT, ["older_adult_very_complex"])


def test_a_nursing_home_resident_has_no_numeric_target():
    home = observation("71802-3", id="home", effective="2026-06-01", value=concept("160734000"))
    finding = decide(a1c("8.9"), home, person=OLD)
    assert (finding.outcome, finding.reasons) == (NOT, ["older_adult_very_complex"])
    assert finding.facts == {"value": Decimal("8.9")}


@pytest.mark.parametrize(("text", "outcome"), [("7.5", NOT), ("7.6", ELIGIBLE)])
def test_a_healthy_older_adult_is_out_above_seven_and_a_half(text: str, outcome: Outcome):
    finding = decide(a1c(text), condition("59621000"), person=OLD)
    assert (finding.outcome, finding.flags) == (outcome, ["older_adult_healthy"])
    assert finding.facts["threshold"] == Decimal("7.5")


@pytest.mark.parametrize(("text", "outcome"), [("8.0", NOT), ("8.1", ELIGIBLE)])
def test_a_complex_older_adult_is_out_above_eight(text: str, outcome: Outcome):
    finding = decide(a1c(text), condition("52448006"), person=OLD)
    assert (finding.outcome, finding.flags) == (outcome, ["older_adult_complex"])


@pytest.mark.parametrize(
    ("text", "outcome", "reasons", "threshold"),
    [
        ("7.0", NOT, ["at_target"], "7.0"),
        ("7.3", UNKNOWN, ["age_unknown"], None),
        ("7.6", ELIGIBLE, ["above_target"], "7.5"),
        (">7.2", UNKNOWN, ["age_unknown"], None),
        (">6.9", UNKNOWN, ["comparator_undecided"], "7.0"),
    ],
)
def test_with_an_unknown_age_every_threshold_must_agree(
    text: str, outcome: Outcome, reasons: list[str], threshold: str | None
):
    finding = decide(a1c(text), person=patient(birth=None))
    assert (finding.outcome, finding.reasons) == (outcome, reasons)
    assert finding.facts.get("threshold") == (Decimal(threshold) if threshold else None)
    assert "older_adult_healthy" not in finding.flags
    assert ("priority" in finding.facts) is (outcome is ELIGIBLE)


def test_with_an_unknown_age_very_complex_health_leaves_it_open():
    assert answer(a1c("9.9"), condition("N18.6"), person=patient(birth=None)) == (UNKNOWN, ["age_unknown"])
    assert answer(a1c("6.0"), condition("N18.6"), person=patient(birth=None)) == (NOT, ["at_target"])


def test_a_pregnancy_of_unknown_age_never_makes_eligible_and_never_clears():
    vague = condition("102872000")
    assert answer(a1c("9.9"), vague) == (UNKNOWN, ["pregnancy_route_to_provider"])
    assert answer(a1c("6.0"), vague) == (NOT, ["at_target"])


@pytest.mark.parametrize(
    "fact",
    [
        condition("N18.6"),
        condition("Z99.2", recorded="2026-10-01"),
        condition("D59.10"),
        condition("D57.1"),
        procedure("71493000", start="2026-07-25"),
        goal(),
    ],
)
def test_what_makes_an_hba1c_unreliable_is_shown_and_never_decides(fact: AnyFact):
    finding = decide(a1c("9.9"), fact)
    assert finding.outcome is ELIGIBLE
    assert ("unreliable_a1c" in finding.flags) is (fact != goal())


def test_pregnancy_makes_an_hba1c_unreliable_even_where_a_goal_decides():
    assert "unreliable_a1c" in decide(a1c("9.9"), goal(), PREGNANT).flags


@pytest.mark.parametrize(
    "fact",
    [
        condition("D59.10", clinical="resolved"),
        condition("D57.1", verification="refuted"),
        procedure("71493000", start="2026-07-24"),
        procedure("71493000", start="2026-11-01", status="not-done"),
        procedure("180208003", start="2026-11-01"),
    ],
)
def test_what_is_over_or_did_not_happen_is_not_shown(fact: AnyFact):
    assert decide(a1c("9.9"), fact).flags == []


def test_the_rule_names_its_gates_and_inputs():
    assert (RULE.id, RULE.version) == ("A1C-OUT", "1.1")
    assert RULE.gates == ("GX-01", "GX-04", "GX-02", "GX-03")
    assert RULE.inputs == {"Observation", "Condition", "Goal"}
