"""Which Conditions count, persist, or are only possible (rules.md 3.2 to 3.6)."""

from __future__ import annotations

from typing import Any

import pytest

from cm_service.rules.clock import Clock
from cm_service.rules.conditions import Assessment, Diabetes, assess, diabetes
from cm_service.rules.facts import AnyFact, Coding, Concept, EncounterFact, PlaceFact
from tests.rules.builders import ICD10CM, SNOMED, at, condition, diagnosis, encounter, view

COPD, GERD = "J44.9", "K21.9"


def found(*facts: AnyFact, as_of: str = "2026-11-22T15:00", **changes: Any) -> Assessment:
    return assess(view(*facts, **changes), at(as_of))


def counted(*facts: AnyFact, as_of: str = "2026-11-22T15:00", **changes: Any) -> list[str]:
    return list(found(*facts, as_of=as_of, **changes).counted)


def test_a_problem_list_entry_is_enough():
    assert counted(condition("E11.9")) == ["diabetes"]


def test_a_health_concern_has_the_strength_of_the_problem_list():
    assert counted(condition("E11.9", categories=("health-concern",))) == ["diabetes"]


def test_a_condition_that_names_nothing_chronic_is_not_looked_at():
    result = found(condition(GERD), condition("Z56.0", onset="2031"), condition("160903007"))
    assert result == Assessment({}, {}, {}, (), {})


@pytest.mark.parametrize("status", ["active", "recurrence", "relapse"])
def test_active_recurrence_and_relapse_count(status: str):
    assert counted(condition("E11.9", clinical=status)) == ["diabetes"]


@pytest.mark.parametrize("status", ["resolved", "inactive", "remission"])
def test_what_is_over_neither_counts_nor_is_listed(status: str):
    result = found(condition("E11.9", clinical=status))
    assert not result.counted and not result.possible and not result.persisting


def test_the_newer_status_unknown_does_not_count_and_is_listed_as_possible():
    result = found(condition("I10", clinical="unknown"))
    assert not result.counted and list(result.possible) == ["hypertension"] and not result.persisting


def test_remission_counts_for_a_cancer():
    assert counted(condition("C61", clinical="remission")) == ["cancer_prostate"]


@pytest.mark.parametrize("status", ["confirmed", ""])
def test_confirmed_or_missing_verification_counts(status: str):
    assert counted(condition("E11.9", verification=status)) == ["diabetes"]


@pytest.mark.parametrize("status", ["unconfirmed", "provisional", "differential"])
def test_an_unconfirmed_condition_is_possible_only(status: str):
    result = found(condition("I50.9", verification=status))
    assert not result.counted and not result.persisting and list(result.possible) == ["heart_failure"]


@pytest.mark.parametrize("status", ["refuted", "entered-in-error"])
def test_a_refuted_or_mistaken_condition_is_ignored(status: str):
    assert found(condition("E11.9", verification=status)) == found()


def test_a_history_code_does_not_count():
    assert counted(condition("C61"), condition("Z85.3")) == ["cancer_prostate"]


def test_an_unknown_category_of_the_resource_makes_it_possible_only():
    result = found(condition("E11.9", categories=("medical-history",)))
    assert not result.counted and list(result.possible) == ["diabetes"]


# Evidence strength of an encounter diagnosis (3.4)


def copd(date: str, **changes: Any) -> Any:
    """An encounter diagnosis that says nothing of its clinical status, so it never persists."""
    return diagnosis(COPD, **{"id": date, "recorded": date, "clinical": "", **changes})


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


def stay(word: str = "IMP", **changes: Any) -> EncounterFact:
    dates = {"start": "2026-03-01T08:00:00-05:00", "end": "2026-03-05T10:00:00-05:00"}
    return encounter(word, **{"id": "stay", **dates, **changes})


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


# Abatement (3.3)


def test_an_abatement_in_the_past_wins_over_active():
    result = found(condition("I10", abatement="2025-01-01"))
    assert not result.counted and not result.possible and result.flags == ("abatement_conflict",)


@pytest.mark.parametrize(
    ("abatement", "counts"),
    [
        ("2026-11-21", False),
        ("2026-11-22", False),
        ("2026-11-23", True),
        ("2026-11-22T14:59:59-05:00", False),
        ("2026-11-22T15:00:01-05:00", True),
        ("2026-10", False),
        ("2025", False),
        ("2026-12", True),
        ("2027", True),
    ],
)
def test_an_abatement_counts_unless_it_lies_in_the_future(abatement: str, counts: bool):
    assert bool(counted(condition("I10", abatement=abatement))) is counts


@pytest.mark.parametrize("abatement", ["2026-11", "2026"])
def test_a_partial_abatement_that_overlaps_today_persists(abatement: str):
    result = found(condition("I10", abatement=abatement))
    assert not result.counted and list(result.persisting) == ["hypertension"]
    assert result.flags == ("partial_date",)


def test_a_month_of_abatement_is_over_on_its_last_day():
    assert found(condition("I10", abatement="2026-11"), as_of="2026-11-30T12:00").persisting == {}


def test_an_abatement_that_is_no_date_says_over():
    assert found(condition("I10", abated=True)).flags == ("abatement_conflict",)


@pytest.mark.parametrize("status", ["", "resolved", "inactive"])
def test_an_abatement_contradicts_an_active_status_alone(status: str):
    assert found(diagnosis("I10", clinical=status, abatement="2025-01-01")).flags == ()


# Conditional categories (3.2)


def anemia(**changes: Any) -> Any:
    return condition("D50.9", **changes)


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


# Conflicting codings (3.6)


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


# Dates to come, and shapes of dates (0.2)


@pytest.mark.parametrize("field", ["onset", "recorded"])
def test_a_condition_dated_more_than_24_hours_ahead_is_ignored(field: str):
    ahead = found(condition("E11.9", **{field: "2026-11-23T15:00:01-05:00"}))
    assert not ahead.counted and not ahead.possible and ahead.flags == ("future_date",)
    assert counted(condition("E11.9", **{field: "2026-11-23T15:00:00-05:00"})) == ["diabetes"]


def test_a_time_without_offset_is_local_and_flagged():
    assert found(condition("E11.9", recorded="2026-03-02T10:00:00")).flags == ("dq_no_offset",)


def test_flags_of_the_resource_are_carried_where_it_was_looked_at():
    assert found(condition("E11.9", flags=("duplicate_version",))).flags == ("duplicate_version",)
    assert found(condition(GERD, flags=("duplicate_version",))).flags == ()


# Diabetes for the HbA1c rules


def ask(*facts: AnyFact) -> Diabetes:
    return diabetes(view(*facts), at())


def test_a_counted_diabetes_is_diabetes():
    answer = ask(condition("E11.9", version="3", recorded="2026-01-01"))
    assert answer.has and not answer.persisting and not answer.remission_only and answer.flags == ()
    (shown,) = answer.evidence
    assert (shown.type, shown.id, shown.version, shown.date) == ("Condition", "E11.9", "3", "2026-01-01")


def test_a_persisting_diabetes_is_diabetes_with_a_flag():
    answer = ask(diagnosis("E11.9", onset="2020-01-01"))
    assert answer.has and answer.persisting and answer.flags == ("persisting_encounter_diagnosis",)


def test_a_possible_diabetes_is_none():
    assert not ask(condition("E11.9", verification="provisional")).has


@pytest.mark.parametrize(
    "entry", [condition("E11.A"), condition("E11.9", clinical="remission"), diagnosis("e11a")]
)
def test_remission_alone_is_no_diabetes_but_known(entry: AnyFact):
    answer = ask(entry)
    assert not answer.has and answer.remission_only and len(answer.evidence) == 1


def test_remission_beside_a_counted_diabetes_is_not_the_only_word():
    answer = ask(condition("E11.A"), condition("E11.9"))
    assert answer.has and not answer.remission_only


def test_remission_beside_a_possible_diabetes_is_not_the_only_word_either():
    answer = ask(condition("E11.A"), condition("E11.9", verification="provisional"))
    assert not answer.has and not answer.remission_only


def test_conflicts_that_concern_the_chronic_count_alone_are_not_carried():
    assert ask(condition("E11.9", abatement="2025-01-01")).flags == ()


@pytest.mark.parametrize(
    "entry",
    [
        condition("E10.A0"),
        condition("E11.A", verification="refuted"),
        condition("E11.A", recorded="2027-01-01"),
        condition("R73.03"),
    ],
)
def test_what_is_no_remission(entry: AnyFact):
    answer = ask(entry)
    assert not answer.has and not answer.remission_only


def test_a_clock_learns_when_the_assessment_will_change():
    clock: Clock = at()
    assess(view(anemia(onset="2026-09-01")), clock)
    assert clock.until == at("2027-09-01T00:00").as_of
