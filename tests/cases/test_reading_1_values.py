"""Reading of rules 1.1 to 1.5: which Observations are HbA1c, and what percent each one says."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import LOINC, UCUM, a1c, codings, component, concept, diabetes, patient, quantity
from tests.cases.harness import CANNOT_TELL, NO, YES, ByRule
from tests.cases.tables import Case, Json, case, check, decide_together

DM = (patient(), diabetes())


def out(outcome: str, *results: Json, reasons: str = "", flags: str | None = "", **facts: object) -> Case:
    return case("A1C-OUT", outcome, *DM, *results, reasons=reasons, flags=flags, **facts)


def says(percent: float, *results: Json, flags: str = "", by: str = "above_target") -> Case:
    """Read as `percent`, which is above 7.0."""
    return out(YES, *results, reasons=by, flags=flags, value=percent)


def useless(*results: Json, flags: str | None) -> Case:
    return out(CANNOT_TELL, *results, reasons="no_usable_result", flags=flags)


def text_unit(unit: str, value: float = 7.8) -> Json:
    return a1c(valueQuantity={"value": value, "unit": unit})


def ratio() -> Json:
    return {"numerator": quantity(78), "denominator": quantity(1000)}


SAMPLES = {"origin": {"value": 0}, "period": 10, "dimensions": 1, "data": "7.8 7.9"}
OTHER_CODE = concept(LOINC, "24331-1")

CODES = {
    f"the listed code {code} is read as percent": says(7.8, a1c(7.8, code=code))
    for code in ("4548-4", "17856-6", "4549-2", "17855-8", "96595-4", "71875-9")
} | {
    "a second coding of the code is matched": says(
        7.8, a1c(7.8) | {"code": codings(("urn:lab", "HBA1C"), (LOINC, "4548-4"))}
    ),
    "the right code under a foreign system is not matched": out(
        CANNOT_TELL,
        a1c(7.8) | {"code": concept("urn:oid:1.2.3", "4548-4")},
        reasons="no_recent_result",
        flags=None,
    ),
    "a code that is text only is not matched": out(
        CANNOT_TELL,
        a1c(7.8) | {"code": {"text": "Hemoglobin A1c 4548-4"}},
        reasons="no_recent_result",
        flags=None,
    ),
    "grams per deciliter under 41995-2 is not used": out(
        CANNOT_TELL, a1c(1.1, code="41995-2", unit="g/dL"), flags=None
    ),
    "a JDS percent is not used unless the practice says so": out(
        CANNOT_TELL, a1c(9.0, code="62388-4"), flags=None
    ),
    "a glucose management indicator is not used unless the practice says so": out(
        CANNOT_TELL, a1c(9.0, code="97506-0"), flags=None
    ),
    "no category is required": says(7.8, a1c(7.8)),
    "a point-of-care category does not matter": says(7.8, a1c(7.8, category=[concept("urn:x", "poc")])),
    "a component with the listed code qualifies": says(
        7.8, a1c(component=[component(7.8)]) | {"code": OTHER_CODE}
    ),
    "a component beside other components is found": says(
        7.8, a1c(component=[component(140, "mg/dL", "2339-0"), component(7.8)]) | {"code": OTHER_CODE}
    ),
}

UNITS = {
    "%{Hb} is percent": says(7.8, a1c(7.8, unit="%{Hb}")),
    "{HbA1c}% is percent": says(7.8, a1c(7.8, unit="{HbA1c}%")),
    "the text % of total Hgb is percent": says(7.8, text_unit("% of total Hgb")),
    "the text % without a code is percent": says(7.8, text_unit("%")),
    "the text mmol/mol is mmol/mol": says(7.1, text_unit("mmol/mol", 54), flags="unit_code_mismatch"),
    "the UCUM code wins over the unit text": says(
        7.8, a1c(valueQuantity={"value": 7.8, "unit": "mmol/mol", "system": UCUM, "code": "%"})
    ),
    "an IFCC result is converted": says(7.5, a1c(58, code="59261-8", unit="mmol/mol")),
    "53 mmol/mol is 7.0 after rounding half up": out(
        NO, a1c(53, code="59261-8", unit="mmol/mol"), reasons="at_target", value=7.0
    ),
    "a percent code with mmol/mol is converted with a flag": says(
        7.5, a1c(58, unit="mmol/mol"), flags="unit_code_mismatch"
    ),
    "a native percent is compared unrounded": says(7.04, a1c(7.04)),
    "a converted value is rounded before it is compared": out(
        NO, a1c(53.4, code="59261-8", unit="mmol/mol"), reasons="at_target", value=7.0
    ),
    "an IFCC code with percent is unusable": useless(
        a1c(7.8, code="59261-8", unit="%"), flags="unit_code_conflict"
    ),
    "mg/dL is unusable": useless(a1c(140, unit="mg/dL"), flags="unit_wrong"),
    "mmol/L is unusable": useless(a1c(7.8, unit="mmol/L"), flags="unit_wrong"),
    "no unit and 3.0 is percent, and at target": out(
        NO, a1c(3.0, unit=None), reasons="at_target", flags="unit_assumed_percent", value=3.0
    ),
    "no unit and 20.0 is percent": says(20.0, a1c(20.0, unit=None), flags="unit_assumed_percent"),
    "no unit and 2.9 is unusable": useless(a1c(2.9, unit=None), flags="unit_missing"),
    "no unit and 54 under a percent code is unusable": useless(a1c(54, unit=None), flags="unit_missing"),
    "no unit and 58 under the IFCC code is mmol/mol": says(
        7.5, a1c(58, code="59261-8", unit=None), flags="unit_assumed_mmolmol"
    ),
    "no unit and 20 under the IFCC code is mmol/mol": out(
        NO, a1c(20, code="59261-8", unit=None), reasons="at_target", flags="unit_assumed_mmolmol", value=4.0
    ),
    "no unit and 7.8 under the IFCC code is unusable": useless(
        a1c(7.8, code="59261-8", unit=None), flags="unit_missing"
    ),
    "no unit and 201 under the IFCC code is unusable": useless(
        a1c(201, code="59261-8", unit=None), flags="unit_missing"
    ),
    "a mass fraction of unit 1 is scaled": says(
        7.8, a1c(0.078, code="71875-9", unit="1"), flags="fraction_scaled"
    ),
    "a mass fraction without unit is scaled": says(
        7.8, a1c(0.078, code="71875-9", unit=None), flags="fraction_scaled"
    ),
    "a mass fraction of 0.20 is 20 percent": says(
        20.0, a1c(0.20, code="71875-9", unit="1"), flags="fraction_scaled"
    ),
    "a mass fraction above 0.20 is unusable": useless(a1c(0.21, code="71875-9", unit="1"), flags=None),
    "a fraction under a percent code is unusable": useless(a1c(0.078, unit="1"), flags="unit_wrong"),
    "2.9 percent is implausible": useless(a1c(2.9), flags="implausible"),
    "20.1 percent is implausible": useless(a1c(20.1), flags="implausible"),
    "20.0 percent is plausible": says(20.0, a1c(20.0)),
    "780 mmol/mol is implausible": useless(a1c(780, code="59261-8", unit="mmol/mol"), flags="implausible"),
    "8 mmol/mol is implausible": useless(a1c(8, code="59261-8", unit="mmol/mol"), flags="implausible"),
}

STRINGS = (
    {
        f"the text {text!r} says {value}": says(value, a1c(valueString=text))
        for text, value in {
            "7.8%": 7.8,
            " 7,8 % ": 7.8,
            "7.8 % (H)": 7.8,
            "7.8%H": 7.8,
            "11 %": 11.0,
            "12.25 % HH": 12.25,
        }.items()
    }
    | {
        f"the text {text!r} is not usable": useless(a1c(valueString=text), flags=None)
        for text in (
            "High",
            "7.8 percent",
            "about 7.8 %",
            "7.812 %",
            "7.8 % (H) repeat",
            "7.8-8.1 %",
            "1234",
            "",
        )
    }
    | {
        "a text without unit is assumed percent": says(
            7.8, a1c(valueString="7.8"), flags="unit_assumed_percent"
        ),
        "a text in mmol/mol under the IFCC code is converted": says(
            7.5, a1c(valueString="58 mmol/mol", code="59261-8")
        ),
        "a bare text under the IFCC code is mmol/mol": says(
            7.5, a1c(valueString="58", code="59261-8"), flags="unit_assumed_mmolmol"
        ),
        "a text with a sign is a bound": says(9.0, a1c(valueString="> 9 %")),
        "a text with ≥ is a bound": says(9.0, a1c(valueString="≥9.0 %")),
        "a text with ≤ is a bound": out(NO, a1c(valueString="≤ 6.9 %"), reasons="at_target"),
        "a text with < below the threshold is at target": out(
            NO, a1c(valueString="<4.0%"), reasons="at_target"
        ),
        "an integer is a number without unit": says(8.0, a1c(valueInteger=8), flags="unit_assumed_percent"),
    }
)

NO_NUMBERS = {
    "a coded High is no number": useless(
        a1c(valueCodeableConcept=concept("urn:x", "H", display="High")), flags="non_numeric"
    ),
    "a boolean is no number": useless(a1c(valueBoolean=True), flags="non_numeric"),
    "a ratio is no number": useless(a1c(valueRatio=ratio()), flags="non_numeric"),
    "a range is no number": useless(
        a1c(valueRange={"low": quantity(7), "high": quantity(8)}), flags="non_numeric"
    ),
    "sampled data are no number": useless(a1c(valueSampledData=SAMPLES), flags="non_numeric"),
    "an interpretation High stands for no value": out(
        CANNOT_TELL,
        a1c(interpretation=[concept("urn:x", "H")], dataAbsentReason=concept("urn:x", "error")),
        flags=None,
    ),
    "a value with a dataAbsentReason contradicts itself": useless(
        a1c(9.1, dataAbsentReason=concept("urn:x", "error")), flags="contradictory_value"
    ),
}

COMPONENTS = {
    "of several components the percent one is used": says(
        7.2, a1c(component=[component(54, "mmol/mol", "59261-8"), component(7.2)])
    ),
    "components that differ by 0.3 agree": says(
        7.4, a1c(component=[component(7.4), component(54, "mmol/mol", "59261-8")])
    ),
    "components that differ by more than 0.3 conflict": useless(
        a1c(component=[component(7.5), component(54, "mmol/mol", "59261-8")]), flags="component_conflict"
    ),
    "a single mmol/mol component is converted": says(
        7.1, a1c(component=[component(54, "mmol/mol", "59261-8")]) | {"code": OTHER_CODE}
    ),
}

TABLE = CODES | UNITS | STRINGS | NO_NUMBERS | COMPONENTS


@pytest.fixture(scope="module")
def decided() -> dict[str, ByRule]:
    return decide_together(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_a_result_is_read_as_the_specification_says(sentence: str, decided: dict[str, ByRule]) -> None:
    expected = TABLE[sentence]
    check(decided[sentence][expected.rule], expected)
