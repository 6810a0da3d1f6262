"""How much evidence makes a counting group, and what persists (rules.md 3.2, 3.4)."""

from __future__ import annotations

import pytest

from cm_service.rules.facts import Coding, Concept, PlaceFact
from tests.rules.builders import SNOMED, condition, diagnosis, encounter
from tests.rules.condition_helpers import COPD, anemia, copd, counted, found, stay

# Evidence strength of an encounter diagnosis (3.4)


def test_one_outpatient_diagnosis_is_not_enough_and_possible():
    result = found(copd("2026-03-02"))
    assert not result.counted and not result.persisting and list(result.possible) == ["copd"]


def test_two_on_different_local_dates_within_24_months_are_enough():
    result = found(copd("2024-11-22"), copd("2026-03-02"))
    assert [fact.id for fact in result.counted["copd"]] == ["2024-11-22", "2026-03-02"]


def test_a_date_before_the_24_months_is_no_evidence():
    assert counted(copd("2024-11-21"), copd("2026-03-02")) == []


def test_two_on_one_local_date_are_one():
    assert counted(copd("2026-03-02"), copd("2026-03-02", id="other")) == []


def test_the_local_date_is_that_of_the_practice():
    late = copd("2026-03-03T03:00:00Z", id="late")
    assert counted(copd("2026-03-02"), late) == []
    assert counted(copd("2026-03-03"), late) == ["copd"]


def test_a_diagnosis_without_any_category_counts_like_an_encounter_diagnosis():
    assert counted(copd("2026-03-02", categories=()), copd("2026-04-02", categories=())) == ["copd"]


def test_two_categories_of_one_counting_group_make_two_dates():
    first = diagnosis("G30.9", recorded="2026-01-05")
    assert counted(first, diagnosis("F02.80", recorded="2026-02-05")) == ["dementia"]


def test_both_dates_of_a_disease_with_a_period_of_12_months_lie_in_it():
    """Sequelae of stroke are a Y code of a category with 12 months."""
    old, new = (
        diagnosis("I69.351", id=date, recorded=date, clinical="") for date in ("2025-11-21", "2026-05-01")
    )
    edge = diagnosis("I69.351", id="edge", recorded="2025-11-22", clinical="")
    assert counted(old, new) == []
    assert counted(edge, new) == ["stroke_tia"]


@pytest.mark.parametrize("word", ["IMP", "ACUTE", "NONAC", "HH"])
def test_one_diagnosis_from_a_stay_or_a_home_health_visit_is_enough(word: str):
    assert counted(copd("2026-03-02", encounter="Encounter/stay"), stay(word)) == ["copd"]


@pytest.mark.parametrize("word", ["OBSENC", "AMB", "VR", "EMER", "FLD", "PRENC"])
def test_observation_and_outpatient_need_two(word: str):
    one = copd("2026-03-02", encounter="Encounter/stay")
    assert counted(one, stay(word)) == []
    assert counted(one, stay(word), copd("2026-04-02")) == ["copd"]


def test_a_home_health_encounter_whose_type_is_hospice_is_no_visit():
    assert counted(copd("2026-03-02", encounter="Encounter/stay"), stay("HH", type="305336008")) == []


def test_a_skilled_nursing_stay_is_a_stay():
    snf = PlaceFact(id="snf", types=(Concept((Coding(SNOMED, "45618002"),)),))
    held = {"places": {"Organization/snf": snf}}
    one = copd("2026-03-02", encounter="Encounter/stay")
    assert counted(one, stay("IMP", provider="Organization/snf"), **held) == ["copd"]


def test_a_diagnosis_of_the_emergency_room_that_flowed_into_an_admission_is_of_a_stay():
    visit = encounter("EMER", id="er", start="2026-03-01T02:00:00-05:00", end="2026-03-01T08:00:00-05:00")
    assert counted(copd("2026-03-01", encounter="Encounter/er"), visit, stay()) == ["copd"]


@pytest.mark.parametrize("status", ["planned", "cancelled", "entered-in-error", "unknown"])
def test_an_encounter_that_did_not_happen_is_no_stay(status: str):
    assert counted(copd("2026-03-02", encounter="Encounter/stay"), stay(status=status)) == []


def test_a_stay_that_lists_the_diagnosis_is_its_encounter():
    assert counted(copd("2026-03-02", id="c"), stay(diagnoses=("Condition/c",))) == ["copd"]


def test_what_bears_the_id_of_the_stay_or_of_the_diagnosis_and_is_another_type_is_neither():
    assert counted(copd("2026-03-02", encounter="EpisodeOfCare/stay"), stay()) == []
    assert counted(copd("2026-03-02", id="c"), stay(diagnoses=("Procedure/c",))) == []


def test_the_one_diagnosis_of_a_stay_must_lie_in_the_reference_period_too():
    long_ago = stay(start="2024-11-01T08:00:00-05:00", end="2024-11-20T08:00:00-05:00")
    assert counted(copd("2024-11-21", encounter="Encounter/stay"), long_ago) == []
    assert counted(copd("2024-11-22", encounter="Encounter/stay"), long_ago) == ["copd"]


def test_recorded_on_is_recorded_date_else_the_start_of_the_encounter():
    visit = encounter("AMB", start="2026-02-01T09:00:00-05:00")
    undated = diagnosis(COPD, id="undated", clinical="", encounter="Encounter/e")
    assert counted(undated, visit, copd("2026-03-02")) == ["copd"]
    assert counted(undated, visit, copd("2026-02-01")) == []


# Persisting (3.4)


def test_an_explicit_active_diagnosis_of_twelve_months_ago_persists():
    result = found(diagnosis(COPD, onset="2025-11-22"))
    assert not result.counted and list(result.persisting) == ["copd"] and list(result.possible) == ["copd"]


def test_a_day_younger_it_does_not_persist():
    result = found(diagnosis(COPD, onset="2025-11-23"))
    assert not result.persisting and list(result.possible) == ["copd"]


@pytest.mark.parametrize("status", ["active", "recurrence", "relapse"])
def test_three_statuses_persist(status: str):
    assert list(found(diagnosis(COPD, onset="2020-01-01", clinical=status)).persisting) == ["copd"]


def test_without_an_explicit_status_nothing_persists():
    assert not found(diagnosis(COPD, onset="2020-01-01", recorded="2026-03-02", clinical="")).persisting


def test_since_when_is_onset_else_recorded_date_else_the_start_of_the_encounter():
    visit = encounter("AMB", start="2020-02-01T09:00:00-05:00")
    assert not found(diagnosis(COPD, onset="2026-05-01", recorded="2020-01-01")).persisting
    assert found(diagnosis(COPD, recorded="2020-01-01")).persisting
    assert found(diagnosis(COPD, encounter="Encounter/e"), visit).persisting


def test_what_has_enough_evidence_counts_and_does_not_persist():
    result = found(
        diagnosis(COPD, id="a", onset="2020-01-01", recorded="2026-01-01"),
        diagnosis(COPD, id="b", onset="2020-01-01", recorded="2026-02-01"),
    )
    assert list(result.counted) == ["copd"] and not result.persisting and not result.possible


def test_a_problem_list_entry_without_clinical_status_persists():
    result = found(condition("E11.9", clinical="", onset="2026-10-01"))
    assert not result.counted and list(result.persisting) == ["diabetes"]


def test_an_encounter_diagnosis_without_clinical_status_is_allowed_as_evidence():
    assert counted(copd("2026-03-02"), copd("2026-04-02")) == ["copd"]


def test_a_diagnosis_that_nobody_dated_is_only_possible():
    result = found(diagnosis(COPD))
    assert not result.persisting and list(result.possible) == ["copd"]


@pytest.mark.parametrize("start", ["2025", "2025-11"])
def test_an_onset_too_vague_to_decide_persists(start: str):
    result = found(diagnosis(COPD, onset=start))
    assert list(result.persisting) == ["copd"] and result.flags == ("partial_date",)


def test_a_date_too_vague_to_be_another_day_persists():
    result = found(copd("2026-03"), copd("2026-03-10"))
    assert not result.counted and list(result.persisting) == ["copd"]
    assert counted(copd("2026-03"), copd("2026-04-01")) == ["copd"]


def test_a_stay_diagnosis_on_the_edge_of_the_period_by_its_month_persists():
    one = copd("2024-11", encounter="Encounter/stay")
    result = found(one, stay(start="2024-11-01", end="2024-11-30"))
    assert not result.counted and list(result.persisting) == ["copd"]


def test_what_is_both_a_listed_problem_and_a_diagnosis_but_has_no_status_is_a_diagnosis():
    both = {"categories": ("problem-list-item", "encounter-diagnosis")}
    assert counted(copd("2026-03-02", **both)) == []
    assert counted(copd("2026-03-02", **both), copd("2026-04-02")) == ["copd"]


# Conditional categories (3.2)


def test_a_conditional_entry_of_the_problem_list_counts_after_twelve_months():
    entry = anemia(onset="2026-09-01")
    assert counted(entry) == [] and list(found(entry).possible) == ["anemia"]
    assert counted(entry, as_of="2027-08-31T23:59") == []
    assert counted(entry, as_of="2027-09-01T00:00") == ["anemia"]


def test_onset_goes_before_recorded_date():
    assert counted(anemia(onset="2026-09-01", recorded="2020-01-01")) == []
    assert counted(anemia(recorded="2020-01-01")) == ["anemia"]


def test_a_conditional_category_never_persists():
    old = diagnosis("D50.9", onset="2020-01-01")
    vague = anemia(clinical="", onset="2020-01-01")
    assert not found(old, vague).persisting and list(found(old, vague).possible) == ["anemia"]


def test_a_conditional_entry_of_the_problem_list_without_any_date_does_not_count():
    assert counted(anemia()) == []


@pytest.mark.parametrize(("second", "counts"), [("2026-03-31", False), ("2026-04-01", True)])
def test_a_conditional_category_counts_from_two_dates_30_days_apart(second: str, counts: bool):
    pair = [diagnosis("D50.9", id=date, recorded=date) for date in ("2026-03-02", second)]
    assert bool(counted(*pair)) is counts


def test_both_conditional_dates_lie_within_24_months():
    late = diagnosis("D50.9", id="late", recorded="2026-03-02")
    assert counted(diagnosis("D50.9", recorded="2024-11-21"), late) == []
    assert counted(diagnosis("D50.9", recorded="2024-11-22"), late) == ["anemia"]


def test_the_two_conditional_dates_may_be_of_any_category():
    entry = anemia(id="list", onset="2026-03-02", recorded="2026-03-02")
    assert counted(entry, diagnosis("D50.9", recorded="2026-05-02")) == ["anemia"]


def test_a_conditional_diagnosis_is_not_one_of_the_two_dates_of_a_regular_one():
    regular = diagnosis(COPD, recorded="2026-01-02", clinical="")
    conditional = diagnosis("J40", recorded="2026-05-02", clinical="")
    assert counted(regular, conditional) == []


def test_a_conditional_stay_diagnosis_is_not_enough():
    assert counted(diagnosis("D50.9", recorded="2026-03-02", encounter="Encounter/stay"), stay()) == []


@pytest.mark.parametrize(("code", "group"), [("I21.4", "ischemic_heart_disease"), ("I63.9", "stroke_tia")])
def test_infarction_and_stroke_count_from_one_diagnosis_of_a_stay(code: str, group: str):
    event = diagnosis(code, recorded="2026-03-02", encounter="Encounter/stay")
    assert counted(event, stay()) == [group]
    assert counted(event, stay("AMB")) == []
    assert counted(event, stay(), as_of="2027-03-02T12:00") == [group]
    assert counted(event, stay(), as_of="2027-03-03T12:00") == []


@pytest.mark.parametrize("code", ["J18.9", "H25.9", "S72.001A", "F05"])
def test_a_category_that_never_counts_is_not_even_possible(code: str):
    assert found(condition(code)) == found()
