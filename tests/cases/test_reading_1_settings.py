"""Reading of what a practice's settings change for HbA1c: JDS, GMI, local codes, targets."""

from __future__ import annotations

from tests.cases.fhir_json import LOINC, a1c, concept, condition, diabetes, goal, patient
from tests.cases.harness import CANNOT_TELL, NO, YES, decide
from tests.cases.tables import Json

DM = (patient(), diabetes())


def out(*resources: Json, **settings: str) -> Json:
    named = {key.replace("_", ".", 1): value for key, value in settings.items()}
    return decide([*DM, *resources], settings=named)["A1C-OUT"]


def test_a_jds_percent_is_converted_where_the_practice_accepts_it() -> None:
    # 10.79 * 7.0 - 18.7 = 56.83 mmol/mol = 7.35 % (7.349945 before rounding)
    decision = out(a1c(7.0, code="62388-4"), a1c_accept_jds="on")
    assert (decision["outcome"], decision["facts"]["value"]) == (YES, 7.3)


def test_a_glucose_management_indicator_counts_where_the_practice_accepts_it() -> None:
    decision = out(a1c(7.4, code="97506-0"), a1c_accept_gmi="on")
    assert (decision["outcome"], decision["facts"]["value"]) == (YES, 7.4)


def test_an_accepted_gmi_does_not_make_jds_accepted() -> None:
    assert out(a1c(9.4, code="62388-4"), a1c_accept_gmi="on")["outcome"] == CANNOT_TELL


def test_the_default_target_can_be_set() -> None:
    decision = out(a1c(7.8), a1c_target="8.0")
    assert (decision["outcome"], decision["facts"]["threshold"]) == (NO, 8.0)


def test_the_level_that_makes_it_urgent_can_be_set() -> None:
    assert out(a1c(8.6), a1c_poor="8.5")["facts"]["priority"] == "urgent"


def test_nine_point_zero_is_not_urgent_and_nine_point_one_is() -> None:
    assert out(a1c(9.0))["facts"]["priority"] == "routine"
    assert out(a1c(9.1))["facts"]["priority"] == "urgent"


def test_a_local_code_means_hba1c_only_through_the_concept_map() -> None:
    local = a1c(8.2) | {"code": concept("urn:lab:athens", "GLYHB")}
    assert decide([*DM, local])["A1C-OUT"]["outcome"] == CANNOT_TELL
    mapped = decide([*DM, local], settings={"map:urn:lab:athens|GLYHB": f"{LOINC}|4548-4"})["A1C-OUT"]
    assert (mapped["outcome"], mapped["facts"]["value"]) == (YES, 8.2)


def test_a_local_diagnosis_code_counts_only_through_the_concept_map() -> None:
    world = [patient(), condition("DM2", system="urn:emr:problems"), a1c(8.2)]
    assert "no_diabetes" in decide(world)["A1C-OUT"]["reasons"]
    mapping = {"map:urn:emr:problems|DM2": "http://hl7.org/fhir/sid/icd-10-cm|E11.9"}
    assert decide(world, settings=mapping)["A1C-OUT"]["outcome"] == YES


def test_a_goal_that_says_no_numeric_target_in_the_practices_code_ends_the_question() -> None:
    nothing = goal({"detailCodeableConcept": concept("urn:emr", "NO-TARGET")})
    decision = out(a1c(9.4), nothing, a1c_no_target_codes="urn:emr|NO-TARGET")
    assert decision["outcome"] == NO
    assert "no_numeric_target" in decision["reasons"]


def test_no_numeric_target_makes_no_overdue_test_either() -> None:
    nothing = goal({"detailCodeableConcept": concept("urn:emr", "NO-TARGET")})
    settings = {"a1c.no_target_codes": "urn:emr|NO-TARGET"}
    assert decide([*DM, nothing], settings=settings)["A1C-OVERDUE"]["outcome"] == NO


def test_the_overdue_days_can_be_set() -> None:
    world = [*DM, a1c(6.5, "2026-08-01")]
    assert decide(world)["A1C-OVERDUE"]["outcome"] == NO
    assert decide(world, settings={"a1c.recheck_ok": "90"})["A1C-OVERDUE"]["outcome"] == YES
