"""Reading of what must never stop a run nor move a decision: wrong shapes, odd numbers, far dates."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases.fhir_json import (
    a1c,
    below,
    condition,
    consent,
    diabetes,
    encounter,
    goal,
    order,
    patient,
    procedure,
)
from tests.cases.harness import YES, decide, evaluate

Json = dict[str, Any]
WORLD = (patient(), diabetes(), a1c(9.4))


@pytest.mark.parametrize(
    "odd",
    [
        {"valueQuantity": {"value": "7.8", "unit": "%"}},
        {"valueQuantity": {"unit": "%"}},
        {"valueQuantity": "7.8 %"},
        {"valueQuantity": None},
        {"code": "4548-4"},
        {"status": None},
        {"effectiveDateTime": "10.11.2026"},
        {"effectiveDateTime": 20261110},
        {"component": {"code": "x"}},
        {"status": 7},
    ],
)
def test_elements_of_the_wrong_shape_never_make_a_patient_eligible(odd: Json) -> None:
    out = evaluate([patient(), diabetes(), a1c(9.4, status="final") | odd]).patients["p1"]["A1C-OUT"]
    assert out["outcome"] != YES


@pytest.mark.parametrize(
    "odd",
    [
        {"code": "I10"},
        {"clinicalStatus": "active"},
        {"category": {"coding": []}},
        {"verificationStatus": [{"coding": [{"code": "confirmed"}]}]},
        {"onsetDateTime": {"value": "2020"}},
        {"subject": {"reference": 5}},
    ],
)
def test_conditions_of_the_wrong_shape_never_stop_the_run(odd: Json) -> None:
    answer = evaluate([*WORLD, condition("I10") | odd, condition("E78.5")])
    assert answer.patients["p1"]["A1C-OUT"]["outcome"] == YES


@pytest.mark.parametrize(
    "odd",
    [
        {"period": "2026-11-20"},
        {"class": "IMP"},
        {"class": [{"code": "IMP"}]},
        {"hospitalization": []},
        {"status": {}},
        {"type": "inpatient"},
        {"period": {"start": "yesterday", "end": "today"}},
        {"location": [{"location": "ward"}]},
    ],
)
def test_encounters_of_the_wrong_shape_never_stop_the_run(odd: Json) -> None:
    stay = encounter("s", "IMP", "2026-11-17T10:00-05:00", "2026-11-20T10:00-05:00", disposition="home")
    answer = evaluate([*WORLD, stay | odd])
    assert answer.patients["p1"]["A1C-OUT"]["outcome"] == YES


@pytest.mark.parametrize(
    "odd",
    [
        {"birthDate": "1976-13-45"},
        {"birthDate": 1976},
        {"deceasedBoolean": "false"},
        {"link": {"type": "replaced-by"}},
        {"link": [{"type": "replaced-by"}]},
        {"active": "true"},
        {"name": "x"},
    ],
)
def test_patients_of_the_wrong_shape_never_stop_the_run(odd: Json) -> None:
    other = [patient("p2"), condition("E11.9", "d2", subject={"reference": "Patient/p2"})]
    answer = evaluate([patient() | odd, *WORLD[1:], *other])
    assert answer.patients["p2"]["A1C-OUT"]["outcome"] != YES
    decisions = answer.patients.get("p1")
    assert decisions is None or len(decisions) == 10


def test_a_birth_date_that_is_none_leaves_the_age_unknown() -> None:
    out = decide([patient(birthDate="1976-13-45"), *WORLD[1:]])["A1C-OUT"]
    assert "age_unknown" in out["reasons"]


@pytest.mark.parametrize(
    ("text", "value"), [("78e-1", 7.8), ("7.8E0", 7.8), ("7.80000", 7.8), ("0.78e+1", 7.8)]
)
def test_a_number_in_any_json_spelling_is_a_number(text: str, value: float) -> None:
    line = json.dumps(a1c(0)).replace('"value": 0', f'"value": {text}')
    out = evaluate(WORLD[:2], raw_lines={"Observation.ndjson": [line]}).patients["p1"]["A1C-OUT"]
    assert (out["outcome"], out["facts"]["value"]) == (YES, value)


@pytest.mark.parametrize(
    "text", ["1e400", "-1e400", "1e-400", "9" * 400, "0." + "7" * 400, "NaN", "Infinity"]
)
def test_a_number_out_of_all_bounds_never_makes_a_patient_eligible(text: str) -> None:
    line = json.dumps(a1c(0)).replace('"value": 0', f'"value": {text}')
    out = evaluate(WORLD[:2], raw_lines={"Observation.ndjson": [line]}).patients["p1"]["A1C-OUT"]
    assert out["outcome"] != YES


FAR = ("0001-01-01", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0001", "1900-01-01", "9999-12-31")
FAR += ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "9999-12", "9999", "0000-00-00", "2026-02-30")


@pytest.mark.parametrize("zone", ["America/Detroit", "Pacific/Auckland"])
@pytest.mark.parametrize("far", FAR)
def test_a_date_at_the_end_of_time_stops_nothing(far: str, zone: str) -> None:
    at = {"subject": {"reference": "Patient/p2"}}
    odd = [
        patient("p2", birthDate=far[:10], deceasedDateTime=far if far.startswith("9") else None),
        a1c(9.4, far, id="o", **at),
        a1c(9.4, None, id="o2", issued=far, effectivePeriod={"start": far, "end": far}, **at),
        condition("I10", "c", onsetDateTime=far, recordedDate=far, abatementDateTime=far, **at),
        condition("E11.9", "c2", onsetDateTime=far, recordedDate=None, **at),
        encounter("e", "IMP", far, far, disposition="home", **at),
        encounter("e2", "IMP", "2026-11-17", far, disposition="home", **at),
        encounter("e3", "EMER", far, "2026-11-20", **at),
        consent("deny", far, patient={"reference": "Patient/p2"}),
        goal(below(8.0) | {"dueDate": far}, statusDate=far, startDate=far, **at),
        order("385763009", far, "s", **at),
        procedure("302497006", far, "pr", **at),
    ]
    answer = evaluate([*WORLD, *odd], timezone=zone)
    assert answer.patients["p1"]["A1C-OUT"]["outcome"] == YES
    assert len(answer.patients["p2"]) == 10


def test_an_abatement_at_the_end_of_time_is_to_come() -> None:
    world = [patient(), condition("I10"), condition("E11.9", abatementDateTime="9999-12-31")]
    assert decide(world)["CHR-MULTI"]["outcome"] == YES
