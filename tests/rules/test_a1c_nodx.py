"""A1C-NODX: a value in the diabetic range and no diabetes on record (rules.md 1.8)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cm_service.rules.decision import Finding, Outcome
from cm_service.rules.facts import AnyFact
from cm_service.rules.programs.a1c_nodx import RULE
from tests.rules.builders import a1c, at, condition, diagnosis, patient, view

ELIGIBLE, NOT, UNKNOWN = Outcome.ELIGIBLE, Outcome.NOT_ELIGIBLE, Outcome.INSUFFICIENT_DATA
FOUND = ["diabetic_range_without_diagnosis"]


def decide(*facts: AnyFact, **changes: Any) -> Finding:
    return RULE.evaluate(view(*facts, **changes), at())


def answer(*facts: AnyFact, **changes: Any) -> tuple[Outcome, list[str]]:
    finding = decide(*facts, **changes)
    return finding.outcome, finding.reasons


@pytest.mark.parametrize(
    ("text", "outcome", "reasons"),
    [
        ("6.5", ELIGIBLE, FOUND),
        ("6.4", NOT, []),
        ("48 mmol/mol", ELIGIBLE, FOUND),
        ("47 mmol/mol", NOT, []),
        (">14.0", ELIGIBLE, FOUND),
        (">=6.5", ELIGIBLE, FOUND),
        ("<6.5", NOT, []),
        ("<=6.5", UNKNOWN, ["comparator_undecided"]),
        (">6.0", UNKNOWN, ["comparator_undecided"]),
        ("<7.0", UNKNOWN, ["comparator_undecided"]),
    ],
)
def test_the_diabetic_range_begins_at_six_and_a_half(text: str, outcome: Outcome, reasons: list[str]):
    assert answer(a1c(text)) == (outcome, reasons)


def test_the_observation_is_the_first_evidence_and_the_value_a_fact():
    finding = decide(a1c("7.4"))
    assert finding.facts == {"value": Decimal("7.4")}
    assert [(e.type, e.id) for e in finding.evidence] == [("Observation", "7.4 of 2026-11-10")]


def test_the_range_is_a_parameter_in_both_units():
    assert answer(a1c("6.4"), a1c_dx=Decimal("6.0"))[0] is ELIGIBLE
    assert answer(a1c("42 mmol/mol"), a1c_dx=Decimal("6.0"))[0] is NOT
    assert answer(a1c("43 mmol/mol"), a1c_dx=Decimal("6.0"))[0] is ELIGIBLE


def test_diabetes_in_remission_is_a_relapse():
    finding = decide(a1c("7.4"), condition("E11.A"))
    assert (finding.outcome, finding.reasons) == (ELIGIBLE, ["remission_relapse"])
    assert [e.id for e in finding.evidence] == ["7.4 of 2026-11-10", "E11.A"]


@pytest.mark.parametrize("known", [condition("E11.9"), diagnosis("44054006", onset="2015-01-01")])
def test_known_diabetes_needs_no_review(known: AnyFact):
    finding = decide(a1c("7.4"), known)
    assert (finding.outcome, finding.reasons, finding.facts) == (NOT, [], {"value": Decimal("7.4")})


def test_diabetes_that_nobody_confirmed_does_not_count():
    assert answer(a1c("7.4"), condition("E11.9", verification="provisional")) == (ELIGIBLE, FOUND)


def test_a_result_of_365_days_ago_counts_and_one_a_day_older_does_not():
    assert answer(a1c("7.4", "2025-11-22")) == (ELIGIBLE, FOUND)
    assert answer(a1c("7.4", "2025-11-21")) == (NOT, ["no_recent_result"])


def test_a_vague_date_leaves_a_high_value_open_and_a_low_one_not():
    assert answer(a1c("7.4", "2025-11")) == (UNKNOWN, ["no_recent_result"])
    assert answer(a1c("6.0", "2025-11")) == (NOT, [])


def test_unusable_results_alone_are_shown_and_decide_nothing():
    finding = decide(a1c("unit_wrong"))
    assert (finding.outcome, finding.reasons, finding.flags) == (NOT, ["no_usable_result"], ["unit_wrong"])


def test_without_any_result_there_is_nothing_to_review():
    assert answer() == (NOT, ["no_recent_result"])


def test_pregnancy_and_very_complex_health_do_not_stop_it():
    pregnant = decide(a1c("7.4"), condition("102872000", onset="2026-10-01"))
    assert (pregnant.outcome, pregnant.flags) == (ELIGIBLE, ["unreliable_a1c"])
    assert answer(a1c("7.4"), condition("N18.6"), person=patient(birth="1940-01-01")) == (ELIGIBLE, FOUND)


def test_a_pending_or_unusable_newer_result_is_flagged():
    finding = decide(a1c("7.4", "2026-11-01"), a1c("unit_wrong"), a1c("", "2026-11-12", status="registered"))
    assert finding.flags == ["newer_unusable_result", "pending_newer_result", "unit_wrong"]
    assert finding.outcome is ELIGIBLE


def test_the_rule_names_its_gates_and_inputs():
    assert (RULE.id, RULE.version) == ("A1C-NODX", "1.1")
    assert RULE.gates == ("GX-01", "GX-04", "GX-02")
    assert RULE.inputs == {"Observation", "Condition"}
