"""Reading of rule 1.8: no recent result, the overdue test, and a diabetic value without a diagnosis."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import a1c, concept, condition, diabetes, diagnosis, patient
from tests.cases.harness import CANNOT_TELL, NO, YES, ByRule
from tests.cases.tables import Case, Json, case, check, decide_together

DM = (patient(), diabetes())
# days before 2026-11-22
D92, D93, D183, D184 = "2026-08-22", "2026-08-21", "2026-05-23", "2026-05-22"
D400, TWO_YEARS, OVER_TWO_YEARS = "2025-10-18", "2024-11-22", "2024-11-21"
ABSENT = concept("http://terminology.hl7.org/CodeSystem/data-absent-reason", "unknown")


def overdue(outcome: str, *results: Json, people: tuple[Json, ...] = DM, **more: object) -> Case:
    return case("A1C-OVERDUE", outcome, *people, *results, **more)  # type: ignore[arg-type]


def wrong_unit(on: str, id: str = "wrong") -> Json:
    return a1c(140, on, id=id, unit="mg/dL")


CLOCK = {
    "at target: day 183 is not overdue": overdue(
        NO, a1c(6.8, D183), reasons="test_recent", last_test=D183, due="2026-11-23"
    ),
    "at target: day 184 is": overdue(
        YES, a1c(6.8, D184), reasons="test_overdue", last_test=D184, due="2026-11-22"
    ),
    "above target: day 92 is not overdue": overdue(
        NO, a1c(8.0, D92), reasons="test_recent", last_test=D92, due="2026-11-23"
    ),
    "above target: day 93 is": overdue(
        YES, a1c(8.0, D93), reasons="test_overdue", last_test=D93, due="2026-11-22"
    ),
    "never tested is due now": overdue(YES, reasons="never_tested"),
    "a test of more than 24 months ago is none": overdue(
        YES, a1c(6.8, OVER_TWO_YEARS), reasons="never_tested"
    ),
    "a test of 24 months ago to the day is overdue": overdue(
        YES, a1c(6.8, TWO_YEARS), reasons="test_overdue", last_test=TWO_YEARS
    ),
    "without diabetes nothing is overdue": overdue(NO, people=(patient(),), reasons="no_diabetes"),
    "diabetes in remission makes nothing overdue": overdue(
        NO, people=(patient(), condition("E11.A")), reasons="no_diabetes"
    ),
    "an old persisting diagnosis of diabetes is diabetes": overdue(
        YES,
        people=(patient(), diagnosis("E11.9", "2019-05-01", "dm", clinical="active")),
        reasons="never_tested",
        flags="persisting_encounter_diagnosis",
    ),
    "a single recent diagnosis at a visit is no diabetes yet": overdue(
        NO,
        people=(patient(), diagnosis("E11.9", "2026-09-01", "dm", clinical="active")),
        reasons="no_diabetes",
    ),
}

UNKNOWN_LEVEL = {
    "a test of unknown level: not overdue through day 92": overdue(NO, wrong_unit(D92)),
    "a test of unknown level: cannot tell on day 93": overdue(CANNOT_TELL, wrong_unit(D93)),
    "a test of unknown level: cannot tell through day 183": overdue(CANNOT_TELL, wrong_unit(D183)),
    "a test of unknown level: overdue from day 184": overdue(YES, wrong_unit(D184), reasons="test_overdue"),
    "the clock runs from a newer test of unknown level": overdue(
        NO, wrong_unit("2026-10-01"), a1c(6.5, D184, id="usable"), last_test="2026-10-01"
    ),
    "a value beside a dataAbsentReason is a test of unknown level": overdue(
        NO,
        a1c(9.0, "2026-10-01", dataAbsentReason=ABSENT),
        a1c(6.5, D184, id="usable"),
        last_test="2026-10-01",
    ),
    "a dataAbsentReason without a value is no test": overdue(
        YES, a1c(None, "2026-10-01", dataAbsentReason=ABSENT), a1c(6.5, D184, id="usable"), last_test=D184
    ),
    "a word for a value is a test of unknown level": overdue(
        CANNOT_TELL, a1c(None, D93, valueCodeableConcept=concept("urn:x", "H"))
    ),
    "a bound that does not decide is a test of unknown level": overdue(
        CANNOT_TELL, a1c(6.0, D93, comparator=">")
    ),
    "an implausible value is a test of unknown level": overdue(
        CANNOT_TELL, a1c(45, D93), flags="implausible"
    ),
    "a result entered in error is no test": overdue(
        YES, a1c(8.0, "2026-10-01", status="entered-in-error"), a1c(6.5, D184, id="usable"), last_test=D184
    ),
    "the level stays unknown where the age decides between two numbers": overdue(
        CANNOT_TELL, a1c(7.3, D93), people=(patient(birthDate="1961"), diabetes())
    ),
}

PARTIAL = {
    "a month of a test wholly within the time is not overdue": overdue(
        NO, a1c(6.8, "2026-07"), flags="partial_date"
    ),
    "a month of a test wholly before is overdue": overdue(YES, a1c(6.8, "2026-04"), flags="partial_date"),
    "a month of a test astride the line leaves it open": overdue(
        CANNOT_TELL, a1c(6.8, "2026-05"), flags="partial_date"
    ),
    "this month is cut at today": overdue(NO, a1c(8.0, "2026-11"), flags="partial_date"),
    "this year leaves it open": overdue(CANNOT_TELL, a1c(6.8, "2026"), flags="partial_date"),
    "a year that may lie outside the 365 days leaves the value open": case(
        "A1C-OUT", CANNOT_TELL, *DM, a1c(8.8, "2025"), flags="partial_date"
    ),
    "a month wholly within the 365 days has a value": case(
        "A1C-OUT", YES, *DM, a1c(8.8, "2025-12"), flags="partial_date", value=8.8
    ),
    "a month astride the 365 days leaves the value open": case(
        "A1C-OUT", CANNOT_TELL, *DM, a1c(8.8, "2025-11"), flags="partial_date"
    ),
    "a month wholly before the 365 days is no recent result": case(
        "A1C-OUT", CANNOT_TELL, *DM, a1c(8.8, "2025-10"), reasons="no_recent_result"
    ),
    "this year is cut at today and has a value": case(
        "A1C-OUT", YES, *DM, a1c(8.8, "2026"), flags="partial_date"
    ),
}

OUT = {
    "without diabetes a high value is no reason, whatever the results": case(
        "A1C-OUT", NO, patient(), a1c(9.9), reasons="no_diabetes"
    ),
    "without diabetes unusable results do not matter": case(
        "A1C-OUT", NO, patient(), wrong_unit("2026-10-01"), reasons="no_diabetes"
    ),
    "an older usable result does not count after 365 days": case(
        "A1C-OUT", CANNOT_TELL, *DM, a1c(9.9, D400), reasons="no_recent_result"
    ),
    "only unusable results are said to be so": case(
        "A1C-OUT", CANNOT_TELL, *DM, wrong_unit("2026-10-01"), reasons="no_usable_result", flags="unit_wrong"
    ),
    "prediabetes is no diabetes": case(
        "A1C-OUT", NO, patient(), condition("R73.03"), a1c(7.9), reasons="no_diabetes"
    ),
    "a provisional diabetes is no diabetes": case(
        "A1C-OUT", NO, patient(), diabetes(verification="provisional"), a1c(7.9), reasons="no_diabetes"
    ),
    "a resolved diabetes is no diabetes": case(
        "A1C-OUT", NO, patient(), diabetes(clinical="resolved"), a1c(7.9), reasons="no_diabetes"
    ),
    "diabetes of an old persisting diagnosis is diabetes with a flag": case(
        "A1C-OUT",
        YES,
        patient(),
        diagnosis("44054006", "2015-01-01", "dm", system="http://snomed.info/sct", clinical="active"),
        a1c(7.9),
        flags="persisting_encounter_diagnosis",
    ),
}


def nodx(outcome: str, *resources: Json, **more: object) -> Case:
    return case("A1C-NODX", outcome, patient(), *resources, **more)  # type: ignore[arg-type]


def ifcc(value: float) -> Json:
    return a1c(value, code="59261-8", unit="mmol/mol")


FOUND = "diabetic_range_without_diagnosis"
NODX = {
    "6.5 without diabetes is found": nodx(YES, a1c(6.5), reasons=FOUND, value=6.5, flags=""),
    "6.4 is not": nodx(NO, a1c(6.4), value=6.4),
    "6.49 is not, for native values are not rounded": nodx(NO, a1c(6.49)),
    "48 mmol/mol is found": nodx(YES, ifcc(48), reasons=FOUND, value=6.5),
    "47 mmol/mol is not, though it rounds to 6.5": nodx(NO, ifcc(47)),
    "47.9 mmol/mol is not": nodx(NO, ifcc(47.9)),
    "47 mmol/mol under a percent code is not": nodx(NO, a1c(47, unit="mmol/mol")),
    "with counted diabetes it is not asked": nodx(NO, diabetes(), a1c(8.9)),
    "with a persisting diabetes it is not asked": nodx(
        NO, diagnosis("E11.9", "2019-05-01", "dm", clinical="active"), a1c(8.9)
    ),
    "with a diagnosis of diabetes that nobody dated the provider is asked": nodx(
        YES, diagnosis("E11.9", None, "dm", clinical="active"), a1c(8.9), reasons=FOUND
    ),
    "remission is told as such": nodx(YES, condition("E11.A"), a1c(6.6), reasons="remission_relapse"),
    "remission with a low value is quiet": nodx(NO, condition("E11.A"), a1c(5.6)),
    "prediabetes does not count as a diagnosis": nodx(YES, condition("R73.03"), a1c(6.6), reasons=FOUND),
    "a family history does not": nodx(YES, condition("Z83.3"), a1c(6.6), reasons=FOUND),
    "a possible diabetes does not": nodx(YES, diabetes(verification="provisional"), a1c(6.6), reasons=FOUND),
    "only unusable results are no finding, and their flags are shown": nodx(
        NO, wrong_unit("2026-10-01"), flags="unit_wrong"
    ),
    "no result at all is no finding": nodx(NO),
    "a value of 365 days ago is found": nodx(YES, a1c(8.0, "2025-11-22"), reasons=FOUND),
    "an older value is not": nodx(NO, a1c(8.0, "2025-11-21")),
    "the newest usable value counts, not the highest": nodx(NO, a1c(6.0), a1c(8.0, "2026-05-01", id="older")),
    "a newer unusable result leaves the usable one to speak": nodx(
        YES, wrong_unit("2026-11-15"), a1c(6.9), reasons=FOUND, flags="newer_unusable_result unit_wrong"
    ),
}

TABLE = CLOCK | UNKNOWN_LEVEL | PARTIAL | OUT | NODX


@pytest.fixture(scope="module")
def decided() -> dict[str, ByRule]:
    return decide_together(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_tests_and_values_are_judged_as_the_specification_says(
    sentence: str, decided: dict[str, ByRule]
) -> None:
    expected = TABLE[sentence]
    check(decided[sentence][expected.rule], expected)
