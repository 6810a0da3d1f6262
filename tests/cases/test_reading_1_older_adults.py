"""Reading of rule 1.7.3: what number applies to people of 65 and older, and to whom none does."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import (
    HCPCS,
    LOINC,
    SNOMED,
    a1c,
    concept,
    condition,
    diabetes,
    diagnosis,
    encounter,
    patient,
    procedure,
)
from tests.cases.harness import CANNOT_TELL, NO, YES, ByRule, decide
from tests.cases.tables import Case, Json, case, check, decide_together

OLD = (patient(birthDate="1950-02-03"), diabetes())
THREE = (condition("I10"), condition("E78.5"), condition("M17.0"))


def band(
    threshold: float, *resources: Json, people: tuple[Json, ...] = OLD, flags: str | None = None
) -> Case:
    """One tenth above the threshold is out, and the threshold is told."""
    value = round(threshold + 0.1, 1)
    return case("A1C-OUT", YES, *people, a1c(value), *resources, threshold=threshold, flags=flags)


def no_number(*resources: Json, people: tuple[Json, ...] = OLD) -> Case:
    return case("A1C-OUT", NO, *people, a1c(9.4), *resources, reasons="older_adult_very_complex")


def at(age: int) -> tuple[Json, Json]:
    """`age` years old since 22 November 2026."""
    return patient(birthDate=f"{2026 - age}-11-22"), diabetes()


def housing(code: str | None, on: str, id: str = "home", **more: object) -> Json:
    value = {} if code is None else {"valueCodeableConcept": concept(SNOMED, code)}
    return a1c(None, on, id=id, code="71802-3", **value, **more)  # type: ignore[arg-type]


BANDS = {
    "64 on the last day has 7.0": band(7.0, people=(patient(birthDate="1961-11-23"), diabetes())),
    "65 from today has 7.5": band(7.5, people=at(65)),
    "7.5 is not out for a healthy older adult": case("A1C-OUT", NO, *OLD, a1c(7.5), reasons="at_target"),
    "without any data on complexity 7.5 holds and that is said": band(
        7.5, flags="complexity_not_assessed older_adult_healthy"
    ),
    "two other groups are healthy": band(7.5, *THREE[:2], flags="older_adult_healthy"),
    "three other groups are complex": band(8.0, *THREE, flags="older_adult_complex"),
    "8.0 is not out for a complex older adult": case(
        "A1C-OUT", NO, *OLD, a1c(8.0), *THREE, reasons="at_target"
    ),
    "persisting diagnoses count toward complexity": band(
        8.0,
        *(
            diagnosis(code, "2020-01-01", f"d{n}", clinical="active")
            for n, code in enumerate(("I10", "E78.5", "M17.0"))
        ),
        flags="older_adult_complex persisting_encounter_diagnosis",
    ),
    "resolved conditions do not": band(7.5, *THREE[:2], condition("M17.0", clinical="resolved")),
    "dementia alone is complex": band(8.0, condition("F03.90")),
    "an advanced illness alone is complex, not very complex": band(8.0, condition("I50.9")),
    "an advanced illness is complex however old its record": band(
        8.0, condition("J96.11", recordedDate="2012-01-01")
    ),
    "a frailty code of the last twelve months is complex": band(8.0, diagnosis("R54", "2026-01-10", "frail")),
    "a frailty code of thirteen months ago is not": band(7.5, diagnosis("R54", "2025-10-20", "frail")),
    "a frailty code as a procedure is complex": band(
        8.0, procedure("T1021", "2026-03-01", "aide", system=HCPCS)
    ),
    "a frailty code as an encounter's type is complex": band(
        8.0,
        encounter(
            "aide", "HH", "2026-03-01T10:00-05:00", "2026-03-01T11:00-05:00", type=[concept(HCPCS, "T1021")]
        ),
    ),
    "a frailty code counts whatever its clinical status": band(
        8.0, diagnosis("R54", "2026-01-10", "frail", clinical="resolved")
    ),
}

ADVANCED, FRAIL = condition("I50.9"), diagnosis("R54", "2025-03-01", "frail")

VERY = {
    "advanced illness and frailty of two years are very complex from 66": no_number(
        ADVANCED, FRAIL, people=at(66)
    ),
    "at 65 both are only complex": band(
        8.0, ADVANCED, FRAIL, people=(patient(birthDate="1960-11-23"), diabetes())
    ),
    "a frailty code of 25 months ago does not make it very complex": band(
        8.0, ADVANCED, diagnosis("R54", "2024-10-20", "frail")
    ),
    "a resolved advanced illness does not": band(
        7.5, condition("I50.9", clinical="resolved"), FRAIL, flags=None
    ),
    "CKD 5 is very complex": no_number(condition("N18.5")),
    "ESRD is very complex": no_number(condition("N18.6")),
    "ESRD that is resolved is not": band(7.5, condition("N18.6", clinical="resolved"), flags=None),
    "CKD 4 is not": band(7.5, condition("N18.4")),
    "hypertensive CKD with ESRD is very complex": no_number(condition("I12.0")),
    "dialysis status is very complex": no_number(condition("Z99.2", recordedDate="2026-06-01")),
    "dialysis status of thirteen months ago is not": band(
        7.5, diagnosis("Z99.2", "2025-10-01", "dialysis"), flags=None
    ),
    "one dialysis session may be acute kidney injury": band(
        7.5, procedure("302497006", "2026-06-01", "hd1"), flags=None
    ),
    "two dialysis sessions 29 days apart may be, too": band(
        7.5,
        procedure("302497006", "2026-06-01", "hd1"),
        procedure("302497006", "2026-06-30", "hd2"),
        flags=None,
    ),
    "two dialysis sessions 30 days apart are dialysis": no_number(
        procedure("302497006", "2026-06-01", "hd1"), procedure("302497006", "2026-07-01", "hd2")
    ),
    "a kidney transplant after dialysis ends it": band(
        7.5,
        condition("Z99.2", recordedDate="2026-03-01"),
        procedure("70536003", "2026-06-01", "transplant"),
        flags=None,
    ),
    "a kidney transplant before dialysis does not": no_number(
        procedure("70536003", "2015-06-01", "transplant"), condition("Z99.2", recordedDate="2026-03-01")
    ),
    "a kidney transplant status after ESRD leaves an advanced illness": band(
        8.0,
        condition("N18.6", recordedDate="2019-01-01"),
        condition("Z94.0", recordedDate="2022-01-01"),
        flags="older_adult_complex",
    ),
    "ESRD with a transplant in one code is an advanced illness": band(
        8.0, condition("236436003", "tx", system=SNOMED), flags="older_adult_complex"
    ),
    "palliative care within twelve months is very complex": no_number(
        diagnosis("Z51.5", "2026-02-01", "pall")
    ),
    "palliative care as a procedure is very complex": no_number(procedure("103735009", "2026-02-01", "pall")),
    "palliative care as an encounter's type is very complex": no_number(
        encounter(
            "pall",
            "AMB",
            "2026-02-01T10:00-05:00",
            "2026-02-01T11:00-05:00",
            type=[concept(SNOMED, "305284002")],
        )
    ),
    "palliative care of thirteen months ago is not": band(7.5, procedure("103735009", "2025-10-10", "pall")),
    "a nursing home within twelve months is very complex": no_number(housing("160734000", "2025-12-01")),
    "a nursing home of thirteen months ago is not": band(7.5, housing("160734000", "2025-10-10"), flags=None),
    "a newer statement of housing ends the nursing home": band(
        7.5, housing("160734000", "2026-02-01", "a"), housing("32911000", "2026-05-01", "b"), flags=None
    ),
    "an older other housing does not": no_number(
        housing("32911000", "2026-01-01", "a"), housing("160734000", "2026-05-01", "b")
    ),
    "a housing statement entered in error is none": band(
        7.5, housing("160734000", "2026-05-01", status="entered-in-error"), flags=None
    ),
    "a nursing home as a component is no statement of its own": band(
        7.5,
        a1c(
            None,
            "2026-05-01",
            id="panel",
            code="93025-5",
            component=[
                {"code": concept(LOINC, "71802-3"), "valueCodeableConcept": concept(SNOMED, "160734000")}
            ],
        ),
        flags=None,
    ),
    "very complex decides without a result": case(
        "A1C-OUT", NO, *OLD, condition("N18.6"), reasons="older_adult_very_complex"
    ),
    "very complex makes no test overdue": case("A1C-OVERDUE", NO, *OLD, condition("N18.6")),
    "very complex is a matter of age: at 50 the number stands": band(
        7.0, condition("N18.6"), people=(patient(), diabetes())
    ),
}

NOBODY_KNOWS = {
    "no birth date: a result that is out for every number still waits for the age floor": case(
        "A1C-OUT", CANNOT_TELL, patient(birthDate=None), diabetes(), a1c(8.9), reasons="age_unknown"
    ),
    "no birth date: a result at target for every number is at target": case(
        "A1C-OUT", NO, patient(birthDate=None), diabetes(), a1c(6.8), reasons="at_target"
    ),
    "64 or 65 and 7.3: the numbers disagree": case(
        "A1C-OUT", CANNOT_TELL, patient(birthDate="1961"), diabetes(), a1c(7.3), reasons="age_unknown"
    ),
    "64 or 65 and 7.8: out for both": case("A1C-OUT", YES, patient(birthDate="1961"), diabetes(), a1c(7.8)),
    "64 or 65 and 7.0: out for neither": case(
        "A1C-OUT", NO, patient(birthDate="1961"), diabetes(), a1c(7.0), reasons="at_target"
    ),
    "64 or 65 and complex and 7.8: 7.0 and 8.0 disagree": case(
        "A1C-OUT", CANNOT_TELL, patient(birthDate="1961"), diabetes(), a1c(7.8), *THREE, reasons="age_unknown"
    ),
    "64 or 65 with ESRD: a number or none disagree": case(
        "A1C-OUT",
        CANNOT_TELL,
        patient(birthDate="1961"),
        diabetes(),
        a1c(8.9),
        condition("N18.6"),
        reasons="age_unknown",
    ),
    "65 or 66 in a birth year has the older number": case(
        "A1C-OUT", NO, patient(birthDate="1960"), diabetes(), a1c(7.4), reasons="at_target", threshold=7.5
    ),
    "64 or 65 by the month of birth and 7.3: they disagree": case(
        "A1C-OUT", CANNOT_TELL, patient(birthDate="1961-11"), diabetes(), a1c(7.3), reasons="age_unknown"
    ),
    "65 by the month of birth has the older number": case(
        "A1C-OUT", NO, patient(birthDate="1961-10"), diabetes(), a1c(7.4), threshold=7.5
    ),
}

TABLE = BANDS | VERY | NOBODY_KNOWS


@pytest.fixture(scope="module")
def decided() -> dict[str, ByRule]:
    return decide_together(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_the_number_for_an_older_adult_is_read_as_the_specification_says(
    sentence: str, decided: dict[str, ByRule]
) -> None:
    expected = TABLE[sentence]
    check(decided[sentence][expected.rule], expected)


def test_a_practice_can_turn_the_older_adults_numbers_off() -> None:
    world = [*OLD, a1c(7.3), *THREE]
    out = decide(world, settings={"a1c.older_adult_mode": "off"})["A1C-OUT"]
    assert (out["outcome"], out["facts"]["threshold"]) == (YES, 7.0)
