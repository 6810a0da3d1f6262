"""Every row of the cases table about discharges and emergency visits: facts, flags and dates in full.

Common ground: 2026-11-22 15:00 in Detroit, a living adult of fifty with diabetes on the problem list,
no other encounters; disposition home where none is stated.
"""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import THO, Json, a1c, concept, condition, encounter
from tests.cases.harness import CANNOT_TELL, NO, YES
from tests.cases.test_cases_csv import shape, told


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
