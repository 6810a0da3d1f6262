"""Reading of rule 0.3 on holes: what could not be read makes the run partial, and whom it leaves open."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases.fhir_json import a1c, condition, diabetes, encounter, patient
from tests.cases.harness import CANNOT_TELL, NO, YES, decide, evaluate

Json = dict[str, Any]
AT_TARGET = (patient(), diabetes(), a1c(6.2))
OTHER = (patient("p2"), condition("E11.9", "dm2", subject={"reference": "Patient/p2"}))
CUT = json.dumps(a1c(9.9, id="cut"))[:-40]
NO_PATIENT = '{"resourceType":"Observation","id":"cut","status":"final","code":{"coding":[{"sys'


def without(resource: Json, element: str) -> Json:
    return {k: v for k, v in resource.items() if k != element}


def holes(*lines: str | Json, people: tuple[Json, ...] = AT_TARGET) -> Any:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    answer = evaluate(people, raw_lines={"Observation.ndjson": texts})
    assert answer.code == 3, answer.said
    return answer


def test_a_sound_folder_ends_with_zero() -> None:
    assert evaluate(AT_TARGET).code == 0


def test_a_cut_line_that_still_names_the_patient_leaves_the_negative_open() -> None:
    assert '"Patient/p1"' in CUT
    out = holes(CUT).patients["p1"]["A1C-OUT"]
    assert (out["outcome"], "input_incomplete" in out["reasons"]) == (CANNOT_TELL, True)


def test_a_cut_line_does_not_touch_other_patients() -> None:
    answer = holes(CUT, people=(*AT_TARGET, *OTHER, a1c(6.2, id="ok", subject={"reference": "Patient/p2"})))
    assert answer.patients["p2"]["A1C-OUT"]["outcome"] == NO


def test_a_cut_line_that_names_nobody_is_reported_and_leaves_the_rest_as_it_is() -> None:
    answer = holes(NO_PATIENT)
    assert answer.patients["p1"]["A1C-OUT"]["outcome"] == NO
    assert "Observation.ndjson" in answer.said


def test_a_positive_stays_positive_beside_a_hole() -> None:
    out = holes(CUT, people=(patient(), diabetes(), a1c(9.1))).patients["p1"]["A1C-OUT"]
    assert out["outcome"] == YES


def test_no_id_is_a_hole_for_its_patient() -> None:
    out = holes(without(a1c(9.9), "id")).patients["p1"]["A1C-OUT"]
    assert (out["outcome"], "input_incomplete" in out["reasons"]) == (CANNOT_TELL, True)


@pytest.mark.parametrize(
    "resource",
    [
        without(a1c(9.9, id="x"), "subject"),
        a1c(9.9, id="x", subject={"display": "Somebody"}),
        a1c(9.9, id="x", subject="Patient/p1"),
        a1c(9.9, id="x", subject={"reference": "Patient/"}),
    ],
)
def test_no_readable_subject_is_a_hole_that_names_nobody(resource: Json) -> None:
    assert holes(resource).patients["p1"]["A1C-OUT"]["outcome"] in (NO, CANNOT_TELL)


def test_a_reference_to_another_server_is_a_hole_and_not_ours() -> None:
    ours = a1c(6.1, id="ours", subject={"reference": "https://emr.example.org/fhir/Patient/p1"})
    also = a1c(6.1, "2026-10-10", id="also", subject={"reference": "https://emr.example.org/fhir/Patient/p1"})
    foreign = a1c(
        9.9, "2026-11-15", id="theirs", subject={"reference": "https://other.example.com/fhir/Patient/p1"}
    )
    out = holes(ours, also, foreign).patients["p1"]["A1C-OUT"]
    assert out["outcome"] != YES


def test_a_result_of_a_group_is_nobodys_and_no_hole() -> None:
    group = a1c(9.9, id="x", subject={"reference": "Group/g1"})
    assert decide([*AT_TARGET, group])["A1C-OUT"]["outcome"] == NO


def test_a_base_whose_patients_are_not_here_is_another_server() -> None:
    foreign = a1c(9.9, id="theirs", subject={"reference": "https://other.example.com/fhir/Patient/x"})
    answer = holes(foreign)
    assert set(answer.patients) == {"p1"}
    assert "another server" in answer.said


def test_of_two_bases_that_occur_equally_often_none_is_ours() -> None:
    subjects = [f"https://{host}.example.org/fhir/Patient/p1" for host in ("a", "b")]
    rows = [a1c(9.9, id=f"o{n}", subject={"reference": who}) for n, who in enumerate(subjects)]
    assert holes(*rows).patients["p1"]["A1C-OUT"]["outcome"] != YES


def test_a_line_that_is_no_object_is_a_hole() -> None:
    for line in ("[]", '"text"', "null", "42", "{}", "not json at all"):
        assert holes(line).patients["p1"]["A1C-OUT"]["outcome"] == NO


def test_a_wrong_resource_type_is_a_hole() -> None:
    assert holes({"resourceType": "Nonsense", "id": "x"}).patients["p1"]["A1C-OUT"]["outcome"] == NO
    assert holes({"id": "x", "subject": {"reference": "Patient/p1"}}).patients["p1"]["DIS-TCM"][
        "outcome"
    ] in (
        NO,
        CANNOT_TELL,
    )


def test_an_empty_line_is_no_hole() -> None:
    answer = evaluate(AT_TARGET, raw_lines={"Observation.ndjson": ["", "   "]})
    assert answer.code == 0
    assert answer.patients["p1"]["A1C-OUT"]["outcome"] == NO


def test_a_patient_without_an_id_is_a_hole() -> None:
    answer = evaluate(AT_TARGET, raw_lines={"Patient.ndjson": [json.dumps(without(patient("x"), "id"))]})
    assert answer.code == 3
    assert answer.patients["p1"]["A1C-OUT"]["outcome"] == NO


def test_a_damaged_encounter_leaves_its_patients_discharges_open() -> None:
    stay = json.dumps(encounter("e1", "IMP", "2026-11-17T09:00-05:00", "2026-11-20T14:00-05:00"))
    answer = evaluate(AT_TARGET, raw_lines={"Encounter.ndjson": [stay[:-30]]})
    assert answer.code == 3
    tcm = answer.patients["p1"]["DIS-TCM"]
    assert (tcm["outcome"], "input_incomplete" in tcm["reasons"]) == (CANNOT_TELL, True)


def test_a_damaged_condition_leaves_the_chronic_count_open() -> None:
    text = json.dumps(condition("I10"))[:-25]
    answer = evaluate(AT_TARGET, raw_lines={"Condition.ndjson": [text]})
    chronic = answer.patients["p1"]["CHR-MULTI"]
    assert (chronic["outcome"], "input_incomplete" in chronic["reasons"]) == (CANNOT_TELL, True)


def test_a_gate_is_not_undone_by_a_hole() -> None:
    dead = (patient(deceasedBoolean=True), diabetes(), a1c(9.9, id="high"))
    out = holes(CUT, people=dead).patients["p1"]["A1C-OUT"]
    assert (out["outcome"], "GX-01" in out["reasons"]) == (NO, True)


def test_a_truncated_bundle_leaves_everybody_open() -> None:
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": a1c(9.9, id="x")}]}
    answer = evaluate(AT_TARGET, raw_lines={"page-7.json": [json.dumps(bundle)[:-50]]})
    assert answer.code == 3


def test_a_web_page_instead_of_data_is_a_hole() -> None:
    answer = evaluate(
        AT_TARGET, raw_lines={"Observation.ndjson": ["<!DOCTYPE html>", "<html><body>Login</body></html>"]}
    )
    assert answer.code == 3
    assert answer.patients["p1"]["A1C-OUT"]["outcome"] in (NO, CANNOT_TELL)


def test_a_damaged_gzip_file_leaves_everybody_open_on_what_it_holds() -> None:
    from tempfile import TemporaryDirectory

    from typer.testing import CliRunner

    from cm_service.cli import app

    with TemporaryDirectory() as name:
        from pathlib import Path

        folder = Path(name)
        for resource in AT_TARGET[:2]:
            (folder / f"{resource['resourceType']}.ndjson").write_text(json.dumps(resource) + "\n")
        (folder / "Observation.ndjson.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
        arguments = [
            "evaluate",
            "--from",
            name,
            "--timezone",
            "America/Detroit",
            "--as-of",
            "2026-11-22T15:00-05:00",
        ]
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    decisions = {d["rule"]: d for d in map(json.loads, result.stdout.splitlines())}
    assert decisions["A1C-OUT"]["outcome"] == CANNOT_TELL


def test_odd_facts_are_no_holes() -> None:
    odd = (
        a1c(140, "2026-11", id="u", unit="mg/dL"),
        a1c(9.0, "2027-05-05", id="f"),
        a1c(None, None, id="n"),
        condition("zzz", system="urn:emr"),
        a1c(7.0, "not a date", id="d"),
    )
    decide([*AT_TARGET, *odd])


def test_a_hole_says_no_name_and_no_value() -> None:
    said = holes(CUT.replace('"final"', '"final","note":[{"text":"Jane Roe"}]')).said
    assert "Jane" not in said
    assert "9.9" not in said
