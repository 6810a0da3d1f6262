"""People whose HbA1c target is their own: agreed, by age and health, in pregnancy, or without diabetes."""

from __future__ import annotations

from cm_service.sandbox.scenarios.codes import LOINC, SNOMED, concept
from cm_service.sandbox.scenarios.kinds import scenario
from cm_service.sandbox.scenarios.person import Person

OUT, NODX = "A1C-OUT", "A1C-NODX"


@scenario(share=2)
def goal_allows_more(p: Person) -> None:
    """Agreed target below 8 %: 7.6 % is fine."""
    p.problem("E11.9")
    p.a1c(7.6, 20)
    p.a1c_goal("<", 8.0)


@scenario(OUT)
def goal_asks_for_less(p: Person) -> None:
    """Agreed target 6.5 %: 6.8 % is above it."""
    p.problem("E11.9")
    p.a1c(6.8, 20)
    p.a1c_goal("<=", 6.5)


@scenario(OUT)
def goal_is_only_proposed(p: Person) -> None:
    """A proposed target does not count yet."""
    p.problem("E11.9")
    p.a1c(7.6, 20)
    p.a1c_goal("<", 8.0, lifecycleStatus="proposed")


@scenario(NODX, share=3)
def diabetic_range_without_diagnosis(p: Person) -> None:
    """6.9 % and nothing about diabetes on record."""
    p.a1c(6.9, 30)


@scenario(NODX)
def remission_that_did_not_last(p: Person) -> None:
    """Diabetes in remission, and an HbA1c of 7.4 %."""
    p.problem("E11.A")
    p.a1c(7.4, 26)


@scenario(share=2)
def prediabetes(p: Person) -> None:
    """6.1 %: no diabetes, no rule."""
    p.problem("R73.03")
    p.a1c(6.1, 50)


@scenario(ages=(24, 39), sex="female", share=2)
def pregnant(p: Person) -> None:
    """Pregnant with diabetes: the provider decides, not a rule."""
    p.problem("E11.9", years=2)
    p.condition(concept(SNOMED, "77386006"), "problem-list-item", onsetDateTime=p.day(120))
    p.a1c(7.6, 12)


@scenario(ages=(67, 75), share=3)
def older_and_healthy(p: Person) -> None:
    """65 or older and otherwise well: 7.3 % is fine."""
    p.problem("E11.9")
    p.a1c(7.3, 40)


@scenario(OUT, ages=(67, 75), share=2)
def older_and_healthy_above(p: Person) -> None:
    """65 or older and otherwise well: 7.8 % is too much."""
    p.problem("E11.9")
    p.a1c(7.8, 40)


@scenario("CHR-MULTI", ages=(70, 84), share=3)
def older_and_complex(p: Person) -> None:
    """Three more chronic conditions: 7.8 % is fine, 8 % would be the limit."""
    for code in ("E11.9", "I10", "J44.9", "M17.0"):
        p.problem(code)
    p.a1c(7.8, 35)


@scenario(OUT, "CHR-MULTI", ages=(70, 84), share=2)
def older_and_complex_above(p: Person) -> None:
    """Three more chronic conditions, and 8.6 %."""
    for code in ("E11.9", "I10", "J44.9", "M17.0"):
        p.problem(code)
    p.a1c(8.6, 35)


@scenario(ages=(80, 92), share=2)
def in_a_nursing_home(p: Person) -> None:
    """Lives in a nursing home: no number to reach."""
    p.problem("E11.9")
    p.of(
        "Observation",
        status="final",
        code=concept(LOINC, "71802-3"),
        effectiveDateTime=p.day(90),
        valueCodeableConcept=concept(SNOMED, "160734000"),
    )
    p.a1c(8.9, 30)
