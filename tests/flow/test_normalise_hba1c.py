"""Table 1.5 row by row: from raw JSON to NGSP percent, or to the word that says why not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cm_service.rules.facts import ObservationFact, Reading
from tests.cases.fhir_json import (
    LOINC,
    UCUM,
    a1c,
    below,
    between,
    codings,
    component,
    concept,
    goal,
    quantity,
)
from tests.flow.reading import Json, one

PANEL = concept(LOINC, "24331-1")


def reading(resource: Json | bytes) -> Reading:
    fact = one(resource)
    assert isinstance(fact, ObservationFact)
    assert fact.reading is not None
    return fact.reading


def raw(value: str) -> bytes:
    """An HbA1c whose number is written exactly so."""
    return (
        b'{"resourceType":"Observation","id":"o","status":"final","subject":{"reference":"Patient/p"},'
        b'"code":{"coding":[{"system":"http://loinc.org","code":"4548-4"}]},'
        b'"valueQuantity":{"value":%b,"unit":"%%"}}' % value.encode()
    )


USED = {
    "percent stands as it is": (a1c(7.04), "7.04", ()),
    "UCUM percent of haemoglobin": (a1c(7.8, unit="%{Hb}"), "7.8", ()),
    "annotation before the sign": (a1c(7.8, unit="{HbA1c}%"), "7.8", ()),
    "percent in words": (a1c(valueQuantity={"value": 7.8, "unit": "% of total Hgb"}), "7.8", ()),
    "mmol/mol is converted and rounded": (a1c(53, code="59261-8", unit="mmol/mol"), "7.0", ()),
    "54 mmol/mol are 7.1": (a1c(54, code="59261-8", unit="mmol/mol"), "7.1", ()),
    "6.725 becomes 6.7": (a1c(50, code="59261-8", unit="mmol/mol{Hb}"), "6.7", ()),
    "the unit wins over a percent code": (a1c(54, unit="mmol/mol"), "7.1", ("unit_code_mismatch",)),
    "the UCUM code wins over the unit text": (
        a1c(valueQuantity={"value": 54, "unit": "%", "system": UCUM, "code": "mmol/mol"}),
        "7.1",
        ("unit_code_mismatch",),
    ),
    "no unit: percent": (a1c(7.6, unit=None), "7.6", ("unit_assumed_percent",)),
    "no unit under the IFCC code: mmol/mol": (
        a1c(54, code="59261-8", unit=None),
        "7.1",
        ("unit_assumed_mmolmol",),
    ),
    "a mass fraction of unit 1": (a1c(0.072, code="71875-9", unit="1"), "7.2", ("fraction_scaled",)),
    "a mass fraction without unit": (a1c(0.0704, code="71875-9", unit=None), "7.04", ("fraction_scaled",)),
    "a mass fraction in percent": (a1c(7.2, code="71875-9"), "7.2", ()),
    "a string with a comma": (a1c(valueString="7,8 %"), "7.8", ()),
    "a string with a flag": (a1c(valueString=" 9.1 (H) "), "9.1", ("unit_assumed_percent",)),
    "a string in mmol/mol": (
        a1c(valueString="54 mmol/mol", code=codings((LOINC, "59261-8")))
        | {"code": concept(LOINC, "59261-8")},
        "7.1",
        (),
    ),
    "an integer": (a1c(valueInteger=8), "8", ("unit_assumed_percent",)),
    "the Japanese scale": (a1c(6.5, code="62388-4"), "6.9", ()),
    "the glucose management indicator": (a1c(6.5, code="97506-0"), "6.5", ()),
    "the percent component speaks": (
        a1c(component=[component(54, "mmol/mol", "59261-8"), component(7.0)]) | {"code": PANEL},
        "7.0",
        (),
    ),
    "own value and component within 0.3": (
        a1c(7.0, component=[component(55, "mmol/mol", "59261-8")]),
        "7.0",
        (),
    ),
    "a usable component beside an unusable one": (
        a1c(component=[component(98, "mg/dL"), component(54, "mmol/mol", "59261-8")]) | {"code": PANEL},
        "7.1",
        (),
    ),
}

USELESS = {
    "IFCC code with percent": (a1c(6.5, code="59261-8"), "unit_code_conflict"),
    "no unit outside 3 to 20": (a1c(54, unit=None), "unit_missing"),
    "no unit under the IFCC code below 20": (a1c(7.1, code="59261-8", unit=None), "unit_missing"),
    "a fraction out of range without unit": (a1c(7.2, code="71875-9", unit=None), "unit_missing"),
    "mg/dL": (a1c(140, unit="mg/dL"), "unit_wrong"),
    "mmol/L": (a1c(7.8, unit="mmol/L"), "unit_wrong"),
    "percent of another scale": (a1c(valueQuantity={"value": 7, "unit": "% JDS"}), "unit_wrong"),
    "unit 1 under a percent code": (a1c(0.07, unit="1"), "unit_wrong"),
    "a word": (a1c(valueString="High"), "non_numeric"),
    "two numbers": (a1c(valueString="7.1-7.9"), "non_numeric"),
    "three decimals": (a1c(valueString="7.123 %"), "non_numeric"),
    "a coded value": (a1c(valueCodeableConcept={"text": "High"}), "non_numeric"),
    "a boolean": (a1c(valueBoolean=True), "non_numeric"),
    "a ratio": (a1c(valueRatio={"numerator": quantity(7)}), "non_numeric"),
    "a range": (a1c(valueRange={"low": quantity(7)}), "non_numeric"),
    "sampled data": (a1c(valueSampledData={"origin": {"value": 0}}), "non_numeric"),
    "a number written as a JSON string": (raw('"7.8"'), "non_numeric"),
    "a comparator that FHIR does not know": (a1c(7.8, comparator="~"), "non_numeric"),
    "value and dataAbsentReason": (a1c(7.8, dataAbsentReason={"text": "error"}), "contradictory_value"),
    "components that differ by more than 0.3": (
        a1c(component=[component(7.0), component(60, "mmol/mol", "59261-8")]) | {"code": PANEL},
        "component_conflict",
    ),
    "below 3.0": (a1c(2.9), "implausible"),
    "above 20.0": (a1c(20.1), "implausible"),
    "implausible after conversion": (a1c(200, code="59261-8", unit="mmol/mol"), "implausible"),
    "a number beyond every float": (raw("1e400"), "implausible"),
    "one that no conversion survives": (raw("1e400").replace(b'"%"', b'"mmol/mol"'), "implausible"),
    "an exponent beyond reason": (raw("1e99999999999999999999"), "non_numeric"),
}


@pytest.mark.parametrize(("resource", "percent", "flags"), USED.values(), ids=USED)
def test_a_value_is_read_as_percent(resource: Json, percent: str, flags: tuple[str, ...]) -> None:
    found = reading(resource)
    assert (found.percent, found.why) == (Decimal(percent), "")
    assert one(resource).flags == flags


@pytest.mark.parametrize(("resource", "why"), USELESS.values(), ids=USELESS)
def test_a_value_that_cannot_be_used_says_why_and_was_a_test_all_the_same(resource: Any, why: str) -> None:
    found = reading(resource)
    assert (found.percent, found.why, found.measured) == (None, why, True)


@pytest.mark.parametrize(
    "more", [{"dataAbsentReason": {"text": "unknown"}}, {}, {"valueQuantity": {"unit": "%"}}]
)
def test_without_a_value_nothing_was_measured(more: Json) -> None:
    found = reading(a1c(**more))
    assert (found.percent, found.measured, found.why) == (None, False, "")


@pytest.mark.parametrize("written", ["7.0", "7.00", "7", "7.0e0"])
def test_the_digits_of_a_number_are_kept(written: str) -> None:
    found = reading(raw(written))
    assert (found.raw, str(found.native)) == (written, str(Decimal(written)))


@pytest.mark.parametrize("comparator", ["<", "<=", ">", ">="])
def test_a_comparator_is_kept_beside_its_bound(comparator: str) -> None:
    found = reading(a1c(14.0, comparator=comparator))
    assert (found.comparator, found.percent, found.raw) == (comparator, Decimal("14.0"), f"{comparator}14.0")


@pytest.mark.parametrize(("written", "comparator"), [("≥ 14", ">="), ("≤4,1", "<="), (">14.0 %", ">")])
def test_a_comparator_in_a_string_is_read(written: str, comparator: str) -> None:
    assert reading(a1c(valueString=written)).comparator == comparator


def test_a_management_indicator_beside_an_hba1c_does_not_speak() -> None:
    found = reading(a1c(component=[component(9.0, code="97506-0"), component(6.2)]) | {"code": PANEL})
    assert (found.family, found.percent) == ("percent", Decimal("6.2"))


def test_a_management_indicator_in_a_component_says_that_it_is_one() -> None:
    found = reading(a1c(component=[component(9.0, code="97506-0")]) | {"code": PANEL})
    assert found.family == "gmi"


def test_the_path_says_where_the_value_stood() -> None:
    assert reading(a1c(7.0)).path == "Observation.valueQuantity"
    panel = a1c(component=[component(140, "mg/dL", "2339-0"), component(7.0)]) | {"code": PANEL}
    assert reading(panel).path == "Observation.component[1].valueQuantity"


def test_a_local_code_counts_where_the_practice_maps_it() -> None:
    local = a1c(7.8) | {"code": concept("urn:lab", "HBA1C")}
    assert one(local) is None
    fact = one(local, concept_map={("urn:lab", "HBA1C"): ((LOINC, "4548-4"),)})
    assert fact.reading.percent == Decimal("7.8")
    assert [coding.code for coding in fact.code.codings] == ["HBA1C", "4548-4"]


def test_a_goal_in_mmol_is_read_by_the_same_table() -> None:
    fact = one(goal(below(53, "<", "mmol/mol")))
    assert fact.targets[0].quantity.percent == Decimal("7.0")
    assert fact.flags == ("unit_code_mismatch",)


def test_a_goal_range_keeps_both_ends() -> None:
    target = one(goal(between(6.5, 8.0))).targets[0]
    assert (target.is_range, target.low.percent, target.high.percent) == (
        True,
        Decimal("6.5"),
        Decimal("8.0"),
    )


def test_a_goal_range_without_its_upper_end_has_none() -> None:
    assert one(goal(between(6.5, None))).targets[0].high is None


def test_a_goal_of_another_measure_has_no_percent() -> None:
    assert one(goal(below(130, unit="mm[Hg]"), measure="8480-6")).targets[0].quantity is None


def test_an_implausible_goal_says_so() -> None:
    assert one(goal(below(70))).targets[0].quantity.why == "implausible"


def test_what_was_seen_on_the_way_to_an_implausible_value_is_told_too() -> None:
    assert one(a1c(7.8, unit="mmol/mol")).flags == ("unit_code_mismatch",)
    assert one(a1c(200, code="59261-8", unit=None)).flags == ("unit_assumed_mmolmol",)


@pytest.mark.parametrize("space", ["\u00a0", "\u202f", "\u2009"])
def test_the_spaces_of_typeset_text_are_spaces(space: str) -> None:
    assert reading(a1c(valueString=f"7,8{space}%")).percent == Decimal("7.8")
