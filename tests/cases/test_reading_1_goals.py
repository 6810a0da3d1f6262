"""Reading of rule 1.7.1: which individual Goal speaks, and where its line runs."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import LOINC, a1c, below, between, concept, condition, diabetes, goal, patient
from tests.cases.harness import NO, YES, ByRule
from tests.cases.tables import Case, Json, case, check, decide_together

DM = (patient(), diabetes())
PREGNANT = condition("77386006", "pregnancy", system="http://snomed.info/sct", onsetDateTime="2026-08-01")
NURSING_HOME = a1c(
    None,
    "2026-09-01",
    id="home",
    code="71802-3",
    valueCodeableConcept=concept("http://snomed.info/sct", "160734000"),
)


def ours(outcome: str, value: float, *goals: Json, threshold: float = 8.0, flags: str | None = "") -> Case:
    """The Goal decides."""
    return case(
        "A1C-OUT",
        outcome,
        *DM,
        a1c(value),
        *goals,
        reasons="individual_goal",
        flags=flags,
        threshold=threshold,
        value=value,
    )


def default(outcome: str, value: float, *goals: Json, flags: str | None = "") -> Case:
    """The Goal does not speak: 7.0 does."""
    word = "above_target" if outcome == YES else "at_target"
    return case(
        "A1C-OUT",
        outcome,
        *DM,
        a1c(value),
        *goals,
        reasons=word,
        without="individual_goal",
        flags=flags,
        threshold=7.0,
    )


LINES = {
    "below 8: 8.0 is out": ours(YES, 8.0, goal(below(8.0))),
    "below 8: 7.9 is not": ours(NO, 7.9, goal(below(8.0))),
    "at most 8: 8.0 is not out": ours(NO, 8.0, goal(below(8.0, "<="))),
    "at most 8: 8.1 is": ours(YES, 8.1, goal(below(8.0, "<="))),
    "no comparator: 8.0 is not out": ours(NO, 8.0, goal(below(8.0, None))),
    "no comparator: 8.05 is, for native values are not rounded": ours(YES, 8.05, goal(below(8.0, None))),
    "range 7 to 8: 8.0 is not out": ours(NO, 8.0, goal(between(7.0, 8.0))),
    "range 7 to 8: 8.1 is": ours(YES, 8.1, goal(between(7.0, 8.0))),
    "range 7 to 8: 6.9 only sets a flag": ours(NO, 6.9, goal(between(7.0, 8.0)), flags="below_goal_range"),
    "range 7 to 8: 7.0 is in the range": ours(NO, 7.0, goal(between(7.0, 8.0))),
    "a range without a low end is a limit": ours(YES, 8.1, goal(between(None, 8.0))),
    "a Goal stricter than the default makes 6.8 out": ours(YES, 6.8, goal(below(6.5)), threshold=6.5),
}

STATUSES = {
    f"a Goal that is {word} decides": ours(NO, 7.6, goal(below(8.0), lifecycleStatus=word))
    for word in ("active", "accepted")
} | {
    f"a Goal that is {word} is ignored": default(YES, 7.6, goal(below(8.0), lifecycleStatus=word))
    for word in ("proposed", "planned", "on-hold", "completed", "cancelled", "rejected", "entered-in-error")
}

MEASURES = {
    "a Goal for another measure is ignored": default(YES, 7.6, goal(below(8.0), measure="2339-0")),
    "a Goal without a measure is ignored": default(YES, 7.6, goal(below(8.0), measure=None)),
    "a Goal measured in IFCC units is converted": ours(
        NO, 7.4, goal(below(58, "<=", "mmol/mol"), measure="59261-8"), threshold=7.5
    ),
    "only the HbA1c target of a Goal counts": ours(
        NO,
        7.6,
        goal(
            below(8.0),
            target=[
                {"measure": concept(LOINC, "29463-7"), "detailQuantity": {"value": 80, "unit": "kg"}},
                {"measure": concept(LOINC, "4548-4")} | below(8.0),
            ],
        ),
    ),
    "a Goal number without a unit is read as percent": ours(NO, 7.6, goal(below(8.0, "<", None)), flags=None),
    "a Goal whose unit is a text is read": ours(
        NO, 7.6, goal({"detailQuantity": {"value": 8.0, "comparator": "<", "unit": "%"}})
    ),
    "a Goal of any HbA1c code is read": ours(NO, 7.6, goal(below(8.0), measure="17856-6")),
}


def unusable(*goals: Json) -> Case:
    return default(YES, 7.6, *goals, flags="goal_unusable")


UNUSABLE = {
    "a Goal above a number is unusable": unusable(goal(below(8.0, ">"))),
    "a Goal at least a number is unusable": unusable(goal(below(8.0, ">="))),
    "a range without a high end is unusable": unusable(goal(between(6.0, None))),
    "a target under 3.0 is unusable": unusable(goal(below(2.9))),
    "a target over 20.0 is unusable": unusable(goal(below(20.1))),
    "a target with a wrong unit is unusable": default(YES, 7.6, goal(below(150, "<", "mg/dL")), flags=None),
    "a usable older Goal speaks where the newer one is unusable": case(
        "A1C-OUT",
        NO,
        *DM,
        a1c(7.6),
        goal(below(8.0), "old", startDate="2026-01-01"),
        goal(below(9.0, ">"), "new", startDate="2026-06-01"),
        reasons="individual_goal",
        threshold=8.0,
    ),
}


def dated(value: float, id: str, **dates: object) -> Json:
    return goal(below(value), id, startDate=None) | dates


SEVERAL = {
    "of several Goals the newest start decides": ours(
        NO,
        7.6,
        dated(7.2, "a", startDate="2026-01-01"),
        dated(8.0, "b", startDate="2026-06-01"),
        flags="goal_conflict",
    ),
    "the status date is the first to be asked": ours(
        NO,
        7.6,
        dated(7.2, "a", startDate="2026-06-01", statusDate="2026-01-01"),
        dated(8.0, "b", startDate="2026-01-15", statusDate="2026-07-01"),
        flags="goal_conflict",
    ),
    "each Goal is dated by its own first date": ours(
        NO,
        7.6,
        dated(7.2, "a", startDate="2026-06-01", statusDate="2026-01-01"),
        dated(8.0, "b", startDate="2026-02-01"),
        flags="goal_conflict",
    ),
    "the last update dates a Goal without dates": ours(
        NO,
        7.6,
        dated(7.2, "a", startDate="2026-06-01"),
        dated(8.0, "b", meta={"lastUpdated": "2026-07-01T12:00:00Z"}),
        flags="goal_conflict",
    ),
    "Goals that differ by 0.2 do not conflict": ours(
        NO, 7.6, dated(7.8, "a", startDate="2026-01-01"), dated(8.0, "b", startDate="2026-06-01")
    ),
    "an inactive Goal does not conflict": ours(
        NO,
        7.6,
        dated(8.0, "a", startDate="2026-01-01"),
        dated(6.5, "b", startDate="2026-06-01", lifecycleStatus="completed"),
    ),
    "a Goal past its due date is still valid": ours(
        NO, 7.6, goal(below(8.0) | {"dueDate": "2026-10-01"}), flags="goal_past_due"
    ),
    "a Goal due today is not past due": ours(NO, 7.6, goal(below(8.0) | {"dueDate": "2026-11-22"})),
}

FIRST_MATCH = {
    "a Goal comes before pregnancy": case(
        "A1C-OUT", YES, *DM, a1c(6.8), goal(below(6.5)), PREGNANT, reasons="individual_goal", threshold=6.5
    ),
    "a Goal comes before a very complex old age": case(
        "A1C-OUT",
        YES,
        patient(birthDate="1944-01-01"),
        diabetes(),
        a1c(8.9),
        goal(below(8.5)),
        NURSING_HOME,
        reasons="individual_goal",
        threshold=8.5,
    ),
    "a Goal comes before the bands of old age": case(
        "A1C-OUT", YES, patient(birthDate="1950-01-01"), diabetes(), a1c(7.2), goal(below(7.0)), threshold=7.0
    ),
    "a Goal decides where the age is unknown but adult": case(
        "A1C-OUT",
        YES,
        patient(birthDate="1961"),
        diabetes(),
        a1c(7.3),
        goal(below(7.0)),
        without="age_unknown",
    ),
    "at target for the Goal is at target for the overdue clock": case(
        "A1C-OVERDUE", NO, *DM, a1c(7.6, "2026-08-01"), goal(below(8.0)), due="2027-02-01"
    ),
    "above the Goal is above for the overdue clock": case(
        "A1C-OVERDUE", YES, *DM, a1c(6.8, "2026-08-01"), goal(below(6.5)), due="2026-11-02"
    ),
    "a Goal does not matter without diabetes": case(
        "A1C-OUT", NO, patient(), a1c(8.9), goal(below(8.0)), reasons="no_diabetes"
    ),
}

TABLE = LINES | STATUSES | MEASURES | UNUSABLE | SEVERAL | FIRST_MATCH


@pytest.fixture(scope="module")
def decided() -> dict[str, ByRule]:
    return decide_together(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_an_individual_goal_is_read_as_the_specification_says(
    sentence: str, decided: dict[str, ByRule]
) -> None:
    expected = TABLE[sentence]
    check(decided[sentence][expected.rule], expected)
