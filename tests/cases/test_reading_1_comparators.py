"""Reading of rule 1.5 on bounds: what a result with a comparator says at every kind of threshold."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import a1c, below, between, diabetes, goal, patient
from tests.cases.harness import CANNOT_TELL, NO, YES, ByRule
from tests.cases.tables import Case, Json, case, check, decide_together

DM = (patient(), diabetes())


def at(outcome: str, comparator: str, bound: float, *goals: Json) -> Case:
    word = {YES: "above_target", NO: "at_target", CANNOT_TELL: "comparator_undecided"}[outcome]
    return case("A1C-OUT", outcome, *DM, a1c(bound, comparator=comparator), *goals, reasons=word)


def by_default() -> dict[str, Case]:
    bounds = {
        (">", 7.0): YES,
        (">", 6.9): CANNOT_TELL,
        (">=", 7.0): CANNOT_TELL,
        (">=", 7.1): YES,
        ("<", 7.0): NO,
        ("<", 7.1): CANNOT_TELL,
        ("<=", 7.0): NO,
        ("<=", 7.1): CANNOT_TELL,
        ("<", 4.0): NO,
    }
    return {f"default 7.0: {c}{b} is {o}": at(o, c, b) for (c, b), o in bounds.items()}


def by_goal(kind: str, target: Json, bounds: dict[tuple[str, float], str]) -> dict[str, Case]:
    return {f"{kind}: {c}{b} is {o}": at(o, c, b, goal(target)) for (c, b), o in bounds.items()}


ABOVE_8 = {
    (">", 8.0): YES,
    (">", 7.9): CANNOT_TELL,
    (">=", 8.0): CANNOT_TELL,
    (">=", 8.1): YES,
    ("<", 8.0): NO,
    ("<", 8.1): CANNOT_TELL,
    ("<=", 8.0): NO,
    ("<=", 8.1): CANNOT_TELL,
}
AT_OR_ABOVE_8 = {
    (">", 8.0): YES,
    (">", 7.9): CANNOT_TELL,
    (">=", 8.0): YES,
    (">=", 7.9): CANNOT_TELL,
    ("<", 8.0): NO,
    ("<", 8.1): CANNOT_TELL,
    ("<=", 7.9): NO,
    ("<=", 8.0): CANNOT_TELL,
}

OTHER = {
    "a bound in mmol/mol is converted first, and more than 53 is out": case(
        "A1C-OUT", YES, *DM, a1c(53, comparator=">", unit="mmol/mol", code="59261-8")
    ),
    "at least 53 mmol/mol is at least 7.0 and does not decide": case(
        "A1C-OUT",
        CANNOT_TELL,
        *DM,
        a1c(53, comparator=">=", unit="mmol/mol", code="59261-8"),
        reasons="comparator_undecided",
    ),
    "an older exact result does not stand in for a bound that does not decide": case(
        "A1C-OUT",
        CANNOT_TELL,
        *DM,
        a1c(6.5, comparator=">"),
        a1c(9.5, "2026-10-01", id="older"),
        reasons="comparator_undecided",
    ),
    "an undecided bound is a test of unknown level, not overdue at once": case(
        "A1C-OVERDUE", NO, *DM, a1c(6.5, comparator=">")
    ),
    "at least 6.5 without diabetes is in the diabetic range": case(
        "A1C-NODX", YES, patient(), a1c(6.5, comparator=">="), reasons="diabetic_range_without_diagnosis"
    ),
    "more than 6.5 without diabetes is in the diabetic range": case(
        "A1C-NODX", YES, patient(), a1c(6.5, comparator=">"), reasons="diabetic_range_without_diagnosis"
    ),
    "less than 6.5 without diabetes is not in the diabetic range": case(
        "A1C-NODX", NO, patient(), a1c(6.5, comparator="<")
    ),
    "more than 6.0 without diabetes does not decide": case(
        "A1C-NODX", CANNOT_TELL, patient(), a1c(6.0, comparator=">"), reasons="comparator_undecided"
    ),
    "at most 6.5 without diabetes does not decide": case(
        "A1C-NODX", CANNOT_TELL, patient(), a1c(6.5, comparator="<="), reasons="comparator_undecided"
    ),
}

TABLE = (
    by_default()
    | by_goal("Goal at most 8.0", below(8.0, "<="), ABOVE_8)
    | by_goal("Goal 8.0 without comparator", below(8.0, None), ABOVE_8)
    | by_goal("Goal range to 8.0", between(7.0, 8.0), ABOVE_8)
    | by_goal("Goal below 8.0", below(8.0), AT_OR_ABOVE_8)
    | OTHER
)


@pytest.fixture(scope="module")
def decided() -> dict[str, ByRule]:
    return decide_together(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_a_bound_decides_only_what_it_can(sentence: str, decided: dict[str, ByRule]) -> None:
    expected = TABLE[sentence]
    check(decided[sentence][expected.rule], expected)
