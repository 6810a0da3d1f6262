"""Every row of the cases table that belongs to a rule: its sentence, outcome, facts, flags and dates.

Common ground: 2026-11-22 15:00 in Detroit, a living adult of fifty, gates clear, default parameters;
one problem-list E11.9, active and confirmed; results without a date are dated 2026-11-10.
"""

from __future__ import annotations

from typing import Any

from tests.cases.fhir_json import (
    ICD,
    SNOMED,
    THO,
    a1c,
    below,
    concept,
    condition,
    diabetes,
    diagnosis,
    encounter,
    goal,
    patient,
)
from tests.cases.harness import CANNOT_TELL, NO, YES, decide

Json = dict[str, Any]


def told(*resources: Json, people: Json | None = None, dm: bool = True, **options: Any) -> dict[str, Json]:
    world = [people or patient(), *([diabetes()] if dm else []), *resources]
    return decide(world, **options)


def shape(decision: Json) -> tuple[str, set[str], set[str]]:
    return decision["outcome"], set(decision["reasons"]), set(decision["flags"])


def evidence_of(decision: Json, type_: str) -> list[Json]:
    return [item for item in decision["evidence"] if item["type"] == type_]


def test_a01_seven_point_zero_is_at_target_because_the_threshold_is_strict() -> None:
    out = told(a1c(7.0))["A1C-OUT"]
    assert shape(out) == (NO, {"at_target"}, set())
    assert (out["facts"]["value"], out["facts"]["threshold"]) == (7.0, 7.0)


def test_a03_fifty_four_mmol_per_mol_is_seven_point_one_percent_and_out() -> None:
    out = told(a1c(54, code="59261-8", unit="mmol/mol"))["A1C-OUT"]
    assert shape(out) == (YES, {"above_target"}, set())
    assert out["facts"] == {"value": 7.1, "threshold": 7.0, "priority": "routine"}
    item = evidence_of(out, "Observation")[0]
    assert item["raw"].startswith("54")
    assert (item["value"], item["unit"], item["date"]) == ("7.1", "%", "2026-11-10")


def test_a05_a_result_entered_in_error_makes_the_older_one_speak() -> None:
    older = a1c(6.6, "2026-08-01", id="older")
    first = told(a1c(9.4, id="o1"), older)["A1C-OUT"]
    assert shape(first) == (YES, {"above_target"}, set())
    assert first["facts"] == {"value": 9.4, "threshold": 7.0, "priority": "urgent"}
    second = told(a1c(9.4, id="o1", status="entered-in-error"), older)["A1C-OUT"]
    assert shape(second) == (NO, {"at_target"}, set())
    assert second["facts"]["value"] == 6.6


def test_a07_a_lower_bound_above_every_threshold_decides_and_is_recorded_as_it_stands() -> None:
    out = told(a1c(14.0, comparator=">"))["A1C-OUT"]
    assert shape(out) == (YES, {"above_target"}, set())
    assert (out["facts"]["value"], out["facts"]["priority"]) == (14.0, "urgent")
    assert evidence_of(out, "Observation")[0]["raw"].startswith(">14.0")


def test_a09_a_decimal_comma_and_an_embedded_unit_are_read() -> None:
    out = told(a1c(valueString="7,8 %"))["A1C-OUT"]
    assert shape(out) == (YES, {"above_target"}, set())
    assert out["facts"]["value"] == 7.8
    assert evidence_of(out, "Observation")[0]["raw"] == "7,8 %"


def test_a11_a_result_without_a_value_is_no_result_and_no_test() -> None:
    absent = concept(f"{THO}data-absent-reason", "error")
    decisions = told(a1c(on="2026-10-01", dataAbsentReason=absent))
    assert decisions["A1C-OUT"]["outcome"] == CANNOT_TELL
    assert shape(decisions["A1C-OVERDUE"])[:2] == (YES, {"never_tested"})


def test_a13_an_ifcc_percent_is_another_scale() -> None:
    out = told(a1c(6.5, code="59261-8", unit="%"))["A1C-OUT"]
    assert shape(out) == (CANNOT_TELL, {"no_usable_result"}, {"unit_code_conflict"})


def test_a15_a_number_without_a_unit_is_read_as_percent() -> None:
    out = told(a1c(7.6, unit=None))["A1C-OUT"]
    assert shape(out) == (YES, {"above_target"}, {"unit_assumed_percent"})
    assert out["facts"]["value"] == 7.6


def test_a17_an_individual_goal_overrides_the_default() -> None:
    out = told(a1c(7.6), goal(below(8.0)))["A1C-OUT"]
    assert out["outcome"] == NO
    assert {"individual_goal", "at_target"} <= set(out["reasons"])
    assert (out["facts"]["value"], out["facts"]["threshold"]) == (7.6, 8.0)


def test_a19_a_nursing_home_resident_of_82_has_no_numeric_target() -> None:
    home = a1c(id="home", code="71802-3", on="2026-09-01", valueCodeableConcept=concept(SNOMED, "160734000"))
    out = told(a1c(8.9), home, people=patient(birthDate="1944-02-03"))["A1C-OUT"]
    assert shape(out)[:2] == (NO, {"older_adult_very_complex"})
    assert out["facts"]["value"] == 8.9
    assert out["facts"].get("threshold") is None


def test_a21_remission_is_no_counted_diabetes() -> None:
    decisions = told(a1c(7.4), condition("E11.A", "remission"), dm=False)
    nodx = decisions["A1C-NODX"]
    assert nodx["outcome"] == YES
    assert "remission_relapse" in nodx["reasons"]
    assert nodx["facts"]["value"] == 7.4
    assert decisions["CHR-MULTI"]["facts"]["groups"] == []
    assert shape(decisions["A1C-OUT"])[:2] == (NO, {"no_diabetes"})


def test_a23_a_future_result_is_ignored() -> None:
    out = told(a1c(9.9, "2026-12-20", id="future"), a1c(6.7, "2026-08-01", id="earlier"))["A1C-OUT"]
    assert shape(out) == (NO, {"at_target"}, {"future_date"})
    assert out["facts"]["value"] == 6.7


def chronic(*conditions: Json, **options: Any) -> Json:
    return told(*conditions, dm=False, **options)["CHR-MULTI"]


def test_c02_alzheimers_and_its_dementia_code_are_one_disease() -> None:
    multi = chronic(condition("G30.9"), condition("F02.80"))
    assert shape(multi) == (NO, {"too_few_groups"}, set())
    assert multi["facts"]["groups"] == ["dementia"]


def test_c04_an_outpatient_diagnosis_needs_two_dates() -> None:
    visits = [
        encounter("v1", "AMB", "2026-03-02T10:00-05:00", "2026-03-02T10:30-05:00"),
        encounter("v2", "AMB", "2026-05-04T10:00-04:00", "2026-05-04T10:30-04:00"),
    ]
    first = diagnosis("J44.9", "2026-03-02", "copd1", encounter="v1")
    second = diagnosis("J44.9", "2026-05-04", "copd2", encounter="v2")
    once = chronic(*visits, condition("I10"), first)
    assert once["outcome"] == NO
    assert once["facts"]["groups"] == ["hypertension"]
    twice = chronic(*visits, condition("I10"), first, second)
    assert (twice["outcome"], set(twice["facts"]["groups"])) == (YES, {"hypertension", "copd"})
    assert "enough_groups" in twice["reasons"]


def test_c06_abated_wins_over_active() -> None:
    multi = chronic(condition("E11.9"), condition("I10", abatementDateTime="2025-01-01"))
    assert shape(multi)[:2] == (NO, {"too_few_groups"})
    assert "abatement_conflict" in multi["flags"]
    assert multi["facts"]["groups"] == ["diabetes"]


def test_c08_a_provisional_diagnosis_is_possible_and_does_not_count() -> None:
    multi = chronic(condition("E11.9"), condition("I50.9", verification="provisional"))
    assert shape(multi) == (NO, {"too_few_groups"}, {"possible_conditions"})
    assert multi["facts"]["groups"] == ["diabetes"]
    assert multi["facts"]["possible"] == ["heart_failure"]


def test_c10_history_codes_are_not_counted() -> None:
    multi = chronic(condition("C61"), condition("Z85.3"))
    assert shape(multi)[:2] == (NO, {"too_few_groups"})
    assert multi["facts"]["groups"] == ["cancer_prostate"]


def test_c12_code_systems_mix() -> None:
    multi = chronic(condition("59621000", system=SNOMED), condition("E11.9", system=ICD))
    assert shape(multi) == (YES, {"enough_groups"}, set())
    assert set(multi["facts"]["groups"]) == {"hypertension", "diabetes"}


def test_c14_a_conditional_category_needs_twelve_months() -> None:
    world = (condition("D50.9", onsetDateTime="2026-09-01", recordedDate=None), condition("I10"))
    now = chronic(*world)
    assert (now["outcome"], now["facts"]["groups"]) == (NO, ["hypertension"])
    assert chronic(*world, as_of="2027-08-31T15:00-04:00")["outcome"] == NO
    later = chronic(*world, as_of="2027-09-01T15:00-04:00")
    assert (later["outcome"], set(later["facts"]["groups"])) == (YES, {"hypertension", "anemia"})


def test_r09_findings_of_a_merged_patient_move_to_the_survivor() -> None:
    old = patient("old", link=[{"type": "replaced-by", "other": {"reference": "Patient/new"}}])
    at_old = {"subject": {"reference": "Patient/old"}}
    world = [old, patient("new"), diabetes(**at_old), a1c(8.6, **at_old)]
    out = decide(world, patient="new")["A1C-OUT"]
    assert shape(out) == (YES, {"above_target"}, set())
    assert out["facts"]["value"] == 8.6
    left = decide(world, patient="old")["A1C-OUT"]
    assert left["outcome"] == NO
    assert {"GX-01", "merged_into_survivor"} <= set(left["reasons"])


def test_o02_a_persons_edit_of_the_goal_does_not_change_what_the_result_says() -> None:
    edited = goal(
        below(7.0) | {"dueDate": "2027-05-01"}, lifecycleStatus="proposed", description={"text": "Mine"}
    )
    plain, with_edit = told(a1c(8.6))["A1C-OUT"], told(a1c(8.6), edited)["A1C-OUT"]
    assert shape(plain) == shape(with_edit) == (YES, {"above_target"}, set())
    assert plain["facts"] == with_edit["facts"] == {"value": 8.6, "threshold": 7.0, "priority": "routine"}
