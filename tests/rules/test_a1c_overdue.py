"""A1C-OVERDUE: the clock runs from the newest test (rules.md 1.3, 1.8)."""

from __future__ import annotations

from typing import Any

import pytest

from cm_service.rules.decision import Finding, Outcome
from cm_service.rules.facts import AnyFact
from cm_service.rules.programs.a1c_overdue import RULE
from tests.rules.builders import a1c, at, concept, condition, goal, patient, target, view

ELIGIBLE, NOT, UNKNOWN = Outcome.ELIGIBLE, Outcome.NOT_ELIGIBLE, Outcome.INSUFFICIENT_DATA
DIABETES = condition("E11.9")
DAY_92, DAY_93 = "2026-08-22", "2026-08-21"
DAY_183, DAY_184 = "2026-05-23", "2026-05-22"


def decide(*facts: AnyFact, as_of: str = "2026-11-22T15:00", **changes: Any) -> Finding:
    return RULE.evaluate(view(DIABETES, *facts, **changes), at(as_of))


def answer(*facts: AnyFact, **changes: Any) -> tuple[Outcome, list[str]]:
    finding = decide(*facts, **changes)
    return finding.outcome, finding.reasons


def test_without_any_test_it_is_due_now():
    finding = decide()
    assert (finding.outcome, finding.reasons, finding.facts) == (ELIGIBLE, ["never_tested"], {})


@pytest.mark.parametrize("text", ["7.0", "<5.0"])
def test_at_target_a_test_lasts_183_days(text: str):
    recent = decide(a1c(text, DAY_183))
    assert (recent.outcome, recent.reasons) == (NOT, ["test_recent"])
    assert recent.facts == {"last_test": DAY_183, "due": "2026-11-23"}
    late = decide(a1c(text, DAY_184))
    assert (late.outcome, late.reasons) == (ELIGIBLE, ["test_overdue"])
    assert late.facts == {"last_test": DAY_184, "due": "2026-11-22"}


@pytest.mark.parametrize("text", ["7.1", ">14.0"])
def test_above_target_a_test_lasts_92_days(text: str):
    recent = decide(a1c(text, DAY_92))
    assert (recent.outcome, recent.facts) == (NOT, {"last_test": DAY_92, "due": "2026-11-23"})
    assert answer(a1c(text, DAY_93)) == (ELIGIBLE, ["test_overdue"])


def test_the_days_are_parameters():
    assert answer(a1c("7.1", "2026-10-20"), a1c_recheck_high=30)[0] is ELIGIBLE
    assert answer(a1c("7.0", "2026-10-20"), a1c_recheck_ok=30)[0] is ELIGIBLE


def test_the_individual_goal_says_what_is_above_target():
    assert answer(a1c("7.6", DAY_93)) == (ELIGIBLE, ["test_overdue"])
    assert answer(a1c("7.6", DAY_93), goal("<8.0")) == (NOT, ["test_recent"])


def test_a_test_older_than_24_months_is_none():
    assert answer(a1c("7.0", "2024-11-22")) == (ELIGIBLE, ["test_overdue"])
    finding = decide(a1c("7.0", "2024-11-21"))
    assert (finding.reasons, finding.facts) == (["never_tested"], {})


@pytest.mark.parametrize("text", ["unit_wrong", "contradictory_value", ">6.0"])
def test_a_test_of_unknown_level_is_recent_then_unclear_then_overdue(text: str):
    word = "comparator_undecided" if text == ">6.0" else "no_usable_result"
    assert answer(a1c(text, DAY_92)) == (NOT, ["test_recent"])
    assert answer(a1c(text, DAY_93)) == (UNKNOWN, [word])
    assert answer(a1c(text, DAY_183)) == (UNKNOWN, [word])
    assert answer(a1c(text, DAY_184)) == (ELIGIBLE, ["test_overdue"])
    assert decide(a1c(text, DAY_93)).facts == {"last_test": DAY_93, "due": "2027-02-21"}


def test_a_newer_unusable_result_is_the_newest_test():
    finding = decide(a1c("7.0", DAY_184), a1c("unit_wrong", DAY_93))
    assert (finding.outcome, finding.reasons) == (UNKNOWN, ["no_usable_result"])
    assert finding.flags == ["newer_unusable_result", "unit_wrong"]
    assert finding.facts["last_test"] == DAY_93


def test_where_nothing_was_measured_there_was_no_test():
    assert answer(a1c("", "2026-10-01")) == (ELIGIBLE, ["never_tested"])
    assert answer(a1c("7.0", DAY_184), a1c("", "2026-10-01")) == (ELIGIBLE, ["test_overdue"])


def test_an_undated_result_is_no_test():
    finding = decide(a1c("7.0", None))
    assert (finding.outcome, finding.reasons, finding.flags) == (ELIGIBLE, ["never_tested"], ["undated"])


def test_a_pending_result_holds_the_reminder_back_through_day_14():
    pending = a1c("", "2026-11-08", status="registered")
    held = decide(pending)
    assert (held.outcome, held.reasons, held.flags) == (NOT, [], ["pending_newer_result"])
    late = decide(pending, as_of="2026-11-23T00:00:00")
    assert (late.outcome, late.reasons, late.flags) == (ELIGIBLE, ["never_tested"], [])


def test_a_pending_result_holds_back_an_unclear_answer_too():
    pending = a1c("", "2026-11-15", status="preliminary")
    assert answer(a1c("unit_wrong", DAY_93), pending) == (NOT, [])
    assert answer(a1c("7.0", "2026-11-01"), pending) == (NOT, ["test_recent"])


def test_a_pending_result_of_a_vague_date_leaves_it_open():
    assert answer(a1c("", "2026-11", status="registered")) == (UNKNOWN, ["never_tested"])


def test_a_vague_date_decides_only_where_all_of_it_does():
    assert answer(a1c("7.0", "2026-06")) == (NOT, ["test_recent"])
    finding = decide(a1c("7.0", "2026-05"))
    assert (finding.outcome, finding.reasons, finding.flags) == (
        UNKNOWN,
        [],
        ["partial_date"],
    )
    assert finding.facts == {"last_test": "2026-05", "due": "2026-12-01"}
    assert decide(a1c(">14.0", "2026-08")).reasons == [], "the bound decides, the date does not"
    assert answer(a1c("7.0", "2026-04")) == (ELIGIBLE, ["test_overdue"])


def test_the_local_day_of_the_test_counts():
    assert decide(a1c("7.0", "2026-05-23T02:00:00Z")).facts["last_test"] == DAY_184


def test_without_diabetes_nothing_is_due():
    finding = RULE.evaluate(view(a1c("7.0", "2026-01-05")), at())
    assert (finding.outcome, finding.reasons) == (NOT, ["no_diabetes"])
    assert finding.facts == {"last_test": "2026-01-05"}


def test_where_no_numeric_target_applies_nothing_is_due():
    codes = ("http://snomed.info/sct|160734000",)
    none = goal(targets=(target(coded=concept("160734000")),))
    assert answer(none, a1c_no_target_codes=codes) == (NOT, ["no_numeric_target"])
    assert answer(condition("102872000", onset="2026-10-01")) == (NOT, ["pregnancy_route_to_provider"])
    old = patient(birth="1940-01-01")
    assert answer(condition("N18.6"), person=old) == (NOT, ["older_adult_very_complex"])


def test_with_an_unknown_age_every_threshold_must_agree():
    nobody = patient(birth=None)
    assert answer(a1c("7.3", DAY_92), person=nobody) == (NOT, ["test_recent"])
    assert answer(a1c("7.3", DAY_93), person=nobody) == (UNKNOWN, ["age_unknown"])
    assert answer(a1c("7.6", DAY_93), person=nobody) == (ELIGIBLE, ["test_overdue"])
    assert answer(a1c("7.3", DAY_184), person=nobody) == (ELIGIBLE, ["test_overdue"])
    assert answer(condition("N18.6"), person=nobody) == (UNKNOWN, ["age_unknown"])
    assert decide(a1c("7.3", DAY_93), person=nobody).facts == {"last_test": DAY_93}


def test_the_rule_names_its_gates_and_inputs():
    assert (RULE.id, RULE.version) == ("A1C-OVERDUE", "1.1")
    assert RULE.gates == ("GX-01", "GX-04", "GX-02", "GX-03")
    assert RULE.inputs == {"Observation", "Condition", "Goal"}
