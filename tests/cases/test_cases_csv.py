"""Every row of the cases table that belongs to a rule: its sentence, outcome, facts, flags and dates.

Common ground: 2026-11-22 15:00 in Detroit, a living adult of fifty, gates clear, default parameters;
one problem-list E11.9, active and confirmed; results without a date are dated 2026-11-10.
"""

from __future__ import annotations

from typing import Any

import pytest

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


def tcm_dates(decision: Json) -> Json:
    names = (
        "discharge_date",
        "contact_due",
        "visit_due_high",
        "visit_due_moderate",
        "period_end",
        "priority",
    )
    return {name: decision["facts"].get(name) for name in names}


def test_d01_the_discharge_day_is_day_0_and_business_days_exclude_the_weekend() -> None:
    stay = encounter("e1", "IMP", "2026-11-17T09:00-05:00", "2026-11-20T14:00-05:00", disposition="home")
    decisions = told(stay)
    assert shape(decisions["DIS-TCM"]) == (YES, {"community_discharge"}, set())
    assert tcm_dates(decisions["DIS-TCM"]) == {
        "discharge_date": "2026-11-20",
        "contact_due": "2026-11-24T23:59:59-05:00",
        "visit_due_high": "2026-11-27",
        "visit_due_moderate": "2026-12-04",
        "period_end": "2026-12-19",
        "priority": "asap",
    }
    assert {decisions[rule]["outcome"] for rule in ("DIS-AMA", "DIS-SNF", "DIS-READMIT", "ED-FU")} == {NO}


def test_d03_the_end_is_converted_to_the_practice_zone_first() -> None:
    stay = encounter("e1", "IMP", "2026-11-20T15:00:00Z", "2026-11-24T03:00:00Z", disposition="home")
    tcm = told(stay, as_of="2026-11-24T12:00-05:00")["DIS-TCM"]
    assert shape(tcm) == (YES, {"community_discharge"}, set())
    assert tcm["facts"]["discharge_date"] == "2026-11-23"
    assert tcm["facts"]["contact_due"] == "2026-11-25T23:59:59-05:00"


def test_d05_ed_and_observation_flow_into_the_admission() -> None:
    decisions = told(
        encounter("ed", "EMER", "2026-11-15T20:00-05:00", "2026-11-15T23:30-05:00"),
        encounter("obs", "OBSENC", "2026-11-15T23:30-05:00", "2026-11-16T10:00-05:00"),
        encounter("imp", "IMP", "2026-11-16T10:00-05:00", "2026-11-18T15:00-05:00", disposition="home"),
    )
    tcm = decisions["DIS-TCM"]
    assert shape(tcm) == (YES, {"community_discharge"}, set())
    assert tcm_dates(tcm) == {
        "discharge_date": "2026-11-18",
        "contact_due": "2026-11-20T23:59:59-05:00",
        "visit_due_high": "2026-11-25",
        "visit_due_moderate": "2026-12-02",
        "period_end": "2026-12-17",
        "priority": "asap",
    }
    assert len(tcm["facts"].get("episodes", [tcm])) == 1
    assert decisions["ED-FU"]["outcome"] == NO
    assert (decisions["ED-OVERUSE"]["outcome"], decisions["ED-OVERUSE"]["facts"]["value"]) == (NO, 0)
    assert decisions["DIS-READMIT"]["outcome"] == NO


def test_d07_a_one_digit_nubc_code_of_a_legacy_system_is_home() -> None:
    home = {"dischargeDisposition": concept("http://www.nubc.org/patient-discharge", "1")}
    stay = encounter("e1", "IMP", "2026-11-17T09:00-05:00", "2026-11-20T14:00-05:00", hospitalization=home)
    tcm = told(stay)["DIS-TCM"]
    assert shape(tcm) == (YES, {"community_discharge"}, set())
    assert tcm["facts"]["discharge_date"] == "2026-11-20"


def test_d09_only_finished_closes_a_stay() -> None:
    stay = encounter(
        "e1", "IMP", "2026-11-14T09:00-05:00", "2026-11-18", disposition="home", status="in-progress"
    )
    tcm = told(stay)["DIS-TCM"]
    assert tcm["outcome"] == CANNOT_TELL
    assert "status_stale" in {*tcm["reasons"], *tcm["flags"]}
    assert "contact_due" not in tcm["facts"]


@pytest.mark.parametrize(
    "died",
    [
        concept(f"{THO}discharge-disposition", "exp"),
        concept("https://www.nubc.org/CodeSystem/PatDischargeStatus", "20"),
    ],
)
def test_d11_a_stay_that_ended_in_death_stops_every_rule(died: Json) -> None:
    stay = encounter(
        "e1",
        "IMP",
        "2026-11-17T09:00-05:00",
        "2026-11-20T14:00-05:00",
        hospitalization={"dischargeDisposition": died},
    )
    decisions = told(stay, a1c(9.5), condition("I10"), condition("J44.9"))
    assert {d["outcome"] for d in decisions.values()} == {NO}
    assert all("GX-01" in d["reasons"] for d in decisions.values())


def test_d13_a_same_day_return_is_one_stay_and_no_readmission() -> None:
    decisions = told(
        encounter("a", "IMP", "2026-11-09T10:00-05:00", "2026-11-12T09:00-05:00", disposition="home"),
        encounter("b", "IMP", "2026-11-12T21:00-05:00", "2026-11-15T11:00-05:00", disposition="home"),
    )
    assert shape(decisions["DIS-TCM"]) == (YES, {"community_discharge"}, set())
    assert tcm_dates(decisions["DIS-TCM"]) == {
        "discharge_date": "2026-11-15",
        "contact_due": "2026-11-17T23:59:59-05:00",
        "visit_due_high": "2026-11-22",
        "visit_due_moderate": "2026-11-29",
        "period_end": "2026-12-14",
        "priority": "asap",
    }
    assert decisions["DIS-READMIT"]["outcome"] == NO


def test_d15_ed_visits_of_one_day_count_once() -> None:
    starts = (
        "2026-01-10T08:00",
        "2026-03-10T08:00",
        "2026-06-10T08:00",
        "2026-06-10T20:00",
        "2026-09-10T08:00",
    )
    visits = [encounter(f"ed{n}", "EMER", f"{s}-05:00", f"{s[:14]}30-05:00") for n, s in enumerate(starts)]
    overuse = told(*visits)["ED-OVERUSE"]
    assert (overuse["outcome"], overuse["facts"]["value"]) == (YES, 4)
    assert "ed_watch" not in overuse["flags"]


def test_d17_a_missing_disposition_is_read_as_community() -> None:
    tcm = told(encounter("e1", "IMP", "2026-11-17T09:00-05:00", "2026-11-20T14:00-05:00"))["DIS-TCM"]
    assert shape(tcm) == (YES, {"community_discharge"}, {"disposition_missing"})
    assert tcm_dates(tcm)["contact_due"] == "2026-11-24T23:59:59-05:00"


def test_d19_two_high_risk_conditions_make_an_ed_follow_up_urgent() -> None:
    visit = encounter("ed", "EMER", "2026-11-21T07:00-05:00", "2026-11-21T10:00-05:00", disposition="home")
    follow_up = told(visit, condition("J44.9"), condition("I50.9"))["ED-FU"]
    assert follow_up["outcome"] == YES
    assert set(follow_up["flags"]) == {"multiple_chronic_conditions"}
    names = ("visit_date", "contact_due", "visit_due", "priority")
    assert {name: follow_up["facts"][name] for name in names} == {
        "visit_date": "2026-11-21",
        "contact_due": "2026-11-24T23:59:59-05:00",
        "visit_due": "2026-11-28",
        "priority": "urgent",
    }


def test_d21_a_home_discharge_and_an_admission_next_day_is_a_readmission() -> None:
    decisions = told(
        encounter("a", "IMP", "2026-11-14T10:00-05:00", "2026-11-17T20:00-05:00", disposition="home"),
        encounter("b", "IMP", "2026-11-18T15:00-05:00", "2026-11-20T11:00-05:00", disposition="home"),
    )
    tcm, readmission = decisions["DIS-TCM"], decisions["DIS-READMIT"]
    assert tcm["outcome"] == YES
    assert tcm["facts"]["discharge_date"] == "2026-11-20"
    episodes = {e["discharge_date"]: e for e in tcm["facts"]["episodes"]}
    assert {day: e["outcome"] for day, e in episodes.items()} == {"2026-11-17": NO, "2026-11-20": YES}
    assert "readmitted" in str(episodes["2026-11-17"])
    assert readmission["outcome"] == YES
    assert readmission["facts"]["index_discharge_date"] == "2026-11-17"
    assert readmission["facts"]["readmission_date"] == "2026-11-18"
    assert readmission["facts"]["priority"] == "urgent"


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
