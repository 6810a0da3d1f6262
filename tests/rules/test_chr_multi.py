"""CHR-MULTI: two or more counting groups (rules.md 3.5, 3.7)."""

from __future__ import annotations

from typing import Any

from cm_service.rules.decision import Finding, Outcome
from cm_service.rules.facts import AnyFact
from cm_service.rules.programs.chr_multi import RULE
from tests.rules.builders import at, condition, diagnosis, encounter, view

ELIGIBLE, NOT, UNKNOWN = Outcome.ELIGIBLE, Outcome.NOT_ELIGIBLE, Outcome.INSUFFICIENT_DATA


def decide(*facts: AnyFact, as_of: str = "2026-11-22T15:00", **changes: Any) -> Finding:
    return RULE.evaluate(view(*facts, **changes), at(as_of))


def answer(finding: Finding) -> tuple[Outcome, list[str], list[str]]:
    return finding.outcome, finding.reasons, finding.facts["groups"]


def test_two_groups_are_enough():
    finding = decide(condition("59621000"), condition("E11.9"))
    assert answer(finding) == (ELIGIBLE, ["enough_groups"], ["diabetes", "hypertension"])
    assert finding.facts["conditions"] == {"diabetes": ["E11.9"], "hypertension": ["59621000"]}
    assert finding.facts["possible"] == [] and finding.flags == []
    assert [(e.type, e.id, e.value) for e in finding.evidence] == [
        ("Condition", "E11.9", "diabetes"),
        ("Condition", "59621000", "hypertension"),
    ]


def test_one_group_is_too_few_and_still_shown():
    assert answer(decide(condition("E11.9"))) == (NOT, ["too_few_groups"], ["diabetes"])


def test_no_condition_at_all_is_too_few():
    assert answer(decide()) == (NOT, ["too_few_groups"], [])


def test_two_codes_of_one_disease_are_one_group():
    finding = decide(condition("G30.9"), condition("F02.80"))
    assert answer(finding) == (NOT, ["too_few_groups"], ["dementia"])
    assert finding.facts["conditions"] == {"dementia": ["F02.80", "G30.9"]}


def test_heart_attack_and_coronary_disease_are_one_group_and_so_is_all_arthritis():
    ischemic = decide(condition("I25.10"), condition("I21.4", onset="2024-01-01"))
    assert answer(ischemic)[2] == ["ischemic_heart_disease"]
    assert answer(decide(condition("M06.9"), condition("M17.0")))[2] == ["arthritis"]


def test_the_limit_is_a_parameter():
    pair = condition("E11.9"), condition("I10")
    assert answer(decide(*pair, chr_min_groups=3))[:2] == (NOT, ["too_few_groups"])
    assert answer(decide(*pair, condition("J44.9"), chr_min_groups=3))[0] is ELIGIBLE
    assert answer(decide(pair[0], chr_min_groups=1))[0] is ELIGIBLE


def test_an_unconfirmed_condition_is_listed_and_does_not_count():
    finding = decide(condition("E11.9"), condition("I50.9", verification="provisional"))
    assert answer(finding) == (NOT, ["too_few_groups"], ["diabetes"])
    assert finding.facts["possible"] == ["heart_failure"] and finding.flags == ["possible_conditions"]
    assert "I50.9" in [e.id for e in finding.evidence]


def test_a_group_that_counts_is_not_listed_as_possible_too():
    finding = decide(condition("E11.9"), condition("E11.65", verification="provisional"))
    assert finding.facts["possible"] == [] and finding.flags == []


def test_an_outpatient_diagnosis_becomes_a_group_with_its_second_date():
    first = diagnosis("J44.9", recorded="2026-03-02", onset="2026-03-02", encounter="Encounter/e")
    visit = encounter("AMB", start="2026-03-02T09:00:00-05:00")
    assert answer(decide(condition("I10"), first, visit))[:2] == (NOT, ["too_few_groups"])
    second = diagnosis("J44.9", id="second", recorded="2026-05-02", onset="2026-03-02")
    assert answer(decide(condition("I10"), first, second, visit))[0] is ELIGIBLE


def test_old_single_diagnoses_that_would_reach_the_limit_ask_for_confirmation():
    finding = decide(condition("I10"), diagnosis("J44.9", onset="2019-01-01"))
    assert answer(finding) == (UNKNOWN, ["unconfirmed_conditions"], ["hypertension"])
    assert finding.facts["possible"] == ["copd"]
    assert set(finding.flags) == {"possible_conditions", "persisting_encounter_diagnosis"}


def test_two_persisting_groups_alone_would_reach_it_too():
    pair = diagnosis("I10", onset="2019-01-01"), diagnosis("J44.9", onset="2019-01-01")
    assert answer(decide(*pair)) == (UNKNOWN, ["unconfirmed_conditions"], [])


def test_persisting_groups_that_would_not_reach_it_change_nothing():
    finding = decide(diagnosis("J44.9", onset="2019-01-01"))
    assert answer(finding) == (NOT, ["too_few_groups"], []) and finding.flags == ["possible_conditions"]


def test_persisting_groups_beside_enough_others_change_nothing():
    finding = decide(condition("I10"), condition("E11.9"), diagnosis("J44.9", onset="2019-01-01"))
    assert answer(finding) == (ELIGIBLE, ["enough_groups"], ["diabetes", "hypertension"])
    assert finding.flags == ["possible_conditions"]


def test_a_practice_may_count_persisting_groups():
    facts = condition("I10"), diagnosis("J44.9", onset="2019-01-01")
    finding = decide(*facts, chr_persisting_encounter_dx="count")
    assert answer(finding) == (ELIGIBLE, ["enough_groups"], ["copd", "hypertension"])
    assert finding.flags == ["persisting_encounter_diagnosis"]


def test_a_practice_may_ignore_persisting_groups():
    facts = condition("I10"), diagnosis("J44.9", onset="2019-01-01")
    finding = decide(*facts, chr_persisting_encounter_dx="ignore")
    assert answer(finding) == (NOT, ["too_few_groups"], ["hypertension"])
    assert finding.facts["possible"] == ["copd"]


def test_one_condition_that_alone_reaches_the_limit_is_to_be_confirmed():
    finding = decide(condition("E11.22"))
    assert answer(finding) == (ELIGIBLE, ["enough_groups"], ["chronic_kidney_disease", "diabetes"])
    assert finding.flags == ["single_code_multi_category"]


def test_a_second_condition_of_either_disease_confirms_it():
    assert decide(condition("E11.22"), condition("E11.9")).flags == []
    assert decide(condition("E11.22"), condition("N18.31")).flags == []
    assert decide(condition("E11.22"), condition("J44.9")).flags == []


def test_with_a_limit_of_three_a_second_condition_of_one_disease_does_not_confirm():
    triple = condition("I13.2")
    assert decide(triple, chr_min_groups=3).flags == ["single_code_multi_category"]
    assert decide(triple, condition("I10"), chr_min_groups=3).flags == ["single_code_multi_category"]
    assert decide(triple, condition("I10"), condition("I50.9"), chr_min_groups=3).flags == []


def test_with_a_limit_of_one_a_single_condition_is_what_was_asked_for():
    assert decide(condition("E11.22"), chr_min_groups=1).flags == []


def test_the_flags_of_the_conditions_are_carried():
    finding = decide(condition("E11.9"), condition("I10", abatement="2025-01-01"))
    assert answer(finding) == (NOT, ["too_few_groups"], ["diabetes"])
    assert finding.flags == ["abatement_conflict"]


def test_the_rule_reads_conditions_and_the_encounters_that_date_them():
    assert RULE.inputs == {"Condition", "Encounter"}
    assert RULE.gates == ("GX-01", "GX-04", "GX-02", "GX-03")
