"""People with diabetes or with a telling HbA1c, whose results come as laboratories really send them."""

from __future__ import annotations

from cm_service.sandbox.scenarios.codes import LOINC, SNOMED, UCUM, concept
from cm_service.sandbox.scenarios.kinds import scenario
from cm_service.sandbox.scenarios.person import Person

OUT, OVERDUE = "A1C-OUT", "A1C-OVERDUE"


@scenario(OUT, share=8)
def above_target(p: Person) -> None:
    """Type 2 diabetes, HbA1c above 7 % but not above 9 %."""
    p.problem("E11.9")
    p.a1c(p.rng.choice((7.1, 7.4, 7.9, 8.3, 8.8)), p.rng.randint(5, 60))
    p.a1c(7.0, 200)


@scenario(OUT, share=4)
def far_above_target(p: Person) -> None:
    """HbA1c above 9 %: urgent."""
    p.problem("E11.65")
    p.a1c(p.rng.choice((9.1, 9.6, 10.4, 12.2)), p.rng.randint(3, 40))


@scenario(OUT)
def exactly_nine(p: Person) -> None:
    """9.0 % is above target and not yet urgent."""
    p.problem("E11.9")
    p.a1c(9.0, 12)


@scenario(share=8)
def at_target(p: Person) -> None:
    """Well controlled and tested in time."""
    p.problem("44054006", system=SNOMED)
    p.a1c(p.rng.choice((5.9, 6.4, 6.8, 7.0)), p.rng.randint(10, 150))


@scenario(OUT, share=3)
def above_target_in_mmol_per_mol(p: Person) -> None:
    """64 mmol/mol is 8.0 %."""
    p.problem("E11.9")
    p.a1c(64, 20, unit="mmol/mol")


@scenario(share=2)
def at_target_in_mmol_per_mol(p: Person) -> None:
    """48 mmol/mol is 6.5 %."""
    p.problem("E11.9")
    p.a1c(48, 20, unit="mmol/mol")


@scenario(OUT)
def reported_twice(p: Person) -> None:
    """One blood sample, reported in both units at the same instant."""
    p.problem("E11.9")
    p.a1c(7.9, 18)
    p.a1c(63, 18, unit="mmol/mol")


@scenario(OUT, share=2)
def result_as_text(p: Person) -> None:
    """The number came as a string, with a decimal comma."""
    p.problem("E11.9")
    p.a1c(None, 25, valueString="7,8 %")


@scenario(OUT)
def beyond_the_measuring_range(p: Person) -> None:
    """ ">14.0 %": the bound decides."""
    p.problem("E11.9")
    quantity = {"value": 14.0, "comparator": ">", "unit": "%", "system": UCUM, "code": "%"}
    p.a1c(None, 9, valueQuantity=quantity)


@scenario(undecided=(OUT,))
def bound_that_does_not_decide(p: Person) -> None:
    """ "> 6.5 %" may be in target or not."""
    p.problem("E11.9")
    quantity = {"value": 6.5, "comparator": ">", "unit": "%", "system": UCUM, "code": "%"}
    p.a1c(None, 14, valueQuantity=quantity)


@scenario(OUT, share=2)
def unit_missing(p: Person) -> None:
    """7.6 without a unit can only be percent."""
    p.problem("E11.9")
    p.a1c(None, 30, valueQuantity={"value": 7.6})


@scenario(undecided=(OUT,))
def unit_wrong(p: Person) -> None:
    """140 mg/dL is a glucose, not an HbA1c."""
    p.problem("E11.9")
    p.a1c(None, 15, valueQuantity={"value": 140, "unit": "mg/dL", "system": UCUM, "code": "mg/dL"})


@scenario(OUT, share=2)
def result_in_a_component(p: Person) -> None:
    """A panel whose component is the HbA1c."""
    p.problem("E11.9")
    quantity = {"value": 8.3, "unit": "%", "system": UCUM, "code": "%"}
    parts = [{"code": concept(LOINC, "4548-4"), "valueQuantity": quantity}]
    p.a1c(None, 22, code={"text": "Diabetes panel"}, component=parts)


@scenario(OUT)
def mass_fraction(p: Person) -> None:
    """0.081 is 8.1 %."""
    p.problem("E11.9")
    quantity = {"value": 0.081, "unit": "1", "system": UCUM, "code": "1"}
    p.a1c(None, 16, code=concept(LOINC, "71875-9"), valueQuantity=quantity)


@scenario(OUT)
def result_pending(p: Person) -> None:
    """The last result is old and high, but blood was drawn again three days ago."""
    p.problem("E11.9")
    p.a1c(8.4, 110)
    p.a1c(None, 3, status="registered", issued=None)


@scenario()
def result_entered_in_error(p: Person) -> None:
    """The high result belonged to somebody else."""
    p.problem("E11.9")
    p.a1c(9.8, 10, status="entered-in-error")
    p.a1c(6.4, 60)


@scenario(OUT)
def month_only(p: Person) -> None:
    """The result is dated with a month."""
    p.problem("E11.9")
    p.a1c(8.0, 35, effectiveDateTime=p.month(35), issued=None)


@scenario()
def result_from_the_future(p: Person) -> None:
    """A mistyped date must not decide."""
    p.problem("E11.9")
    p.a1c(9.9, -40)
    p.a1c(6.6, 45)


@scenario(OVERDUE, undecided=(OUT,))
def not_measured(p: Person) -> None:
    """The sample was lost: there is a row, but no value."""
    p.problem("E11.9")
    reason = concept("http://terminology.hl7.org/CodeSystem/data-absent-reason", "not-performed")
    p.a1c(None, 28, dataAbsentReason=reason)


@scenario(OVERDUE, share=4)
def test_overdue_at_target(p: Person) -> None:
    """In target, but not tested for more than six months."""
    p.problem("E11.9")
    p.a1c(6.5, p.rng.randint(200, 340))


@scenario(OUT, OVERDUE, share=3)
def test_overdue_above_target(p: Person) -> None:
    """Above target, and not tested again for more than three months."""
    p.problem("E11.9")
    p.a1c(8.2, p.rng.randint(120, 300))


@scenario(OVERDUE, undecided=(OUT,), share=2)
def never_tested(p: Person) -> None:
    """Diabetes on the problem list and no HbA1c at all."""
    p.problem("E11.9")
