"""Codings of one Condition that agree, refine each other or do not (rules.md 3.6)."""

from __future__ import annotations

import pytest

from cm_service.rules.facts import Coding
from tests.rules.builders import ICD10CM, condition, diagnosis
from tests.rules.condition_helpers import counted, found


def test_codings_of_one_category_are_fine():
    assert found(condition("44054006", "E11.9")).flags == ()


def test_a_regular_code_beside_a_conditional_one_of_its_category_counts():
    for codes in (("271737000", "D57.1"), ("D57.1", "271737000")):
        assert list(found(condition(*codes)).counted) == ["anemia"]


def test_a_code_that_refines_another_is_no_conflict_and_the_union_counts():
    result = found(condition("44054006", "E11.22"))
    assert list(result.counted) == ["chronic_kidney_disease", "diabetes"] and result.flags == ()


def test_different_categories_in_one_condition_conflict_and_snomed_speaks_on_the_problem_list():
    result = found(condition("I10", "84114007"))
    assert list(result.counted) == ["heart_failure"] and result.flags == ("coding_conflict",)


def test_icd_speaks_in_an_encounter_diagnosis():
    pair = [diagnosis("84114007", "I10", id=date, recorded=date) for date in ("2026-01-05", "2026-02-05")]
    assert counted(*pair) == ["hypertension"]


def test_a_selected_coding_speaks_first():
    chosen = Coding(ICD10CM, "I10", "", True)
    assert counted(condition("84114007", chosen)) == ["hypertension"]


def test_else_the_first_coding_speaks():
    assert counted(condition("I10", "J44.9")) == ["hypertension"]
    assert counted(condition("J44.9", "I10")) == ["copd"]


def test_a_never_row_beside_a_counting_one_of_the_same_category_is_listed_as_possible():
    result = found(condition("44054006", "E11.A"))
    assert not result.counted and not result.persisting
    assert list(result.possible) == ["diabetes"] and result.flags == ("coding_conflict",)


@pytest.mark.parametrize("other", ["15777000", "H25.9", "Z85.3"])
def test_a_never_row_of_another_category_is_ignored(other: str):
    result = found(condition("E11.9", other))
    assert list(result.counted) == ["diabetes"] and result.flags == ()


def test_extension_categories_count_only_where_switched_on():
    assert counted(condition("E66.9")) == []
    assert counted(condition("E66.9"), chr_extensions=("ext_obesity",)) == ["ext_obesity"]
    assert found(condition("E11.9", "E66.9")).flags == ()
