"""Reading of what a file may look like: the same facts in odd but valid JSON, file names and Bundles."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cm_service.cli import app
from tests.cases.fhir_json import (
    a1c,
    diabetes,
    patient,
)
from tests.cases.harness import NO, YES, evaluate

Json = dict[str, Any]
WORLD = (patient(), diabetes(), a1c(9.4))
UUID = "urn:uuid:0b1c2d3e-0000-4000-8000-00000000000"


def escaped(resource: Json) -> str:
    return json.dumps(resource).replace("/", "\\/")


def spaced(resource: Json) -> str:
    return json.dumps(resource, separators=(" ,\t", " :  ")) + "  \r"


def turned(resource: Json) -> str:
    return json.dumps(dict(reversed(resource.items())))


def coded(resource: Json) -> str:
    """Every letter of the code as an escape."""
    return json.dumps(resource).replace('"4548-4"', '"' + "".join(f"\\u{ord(c):04x}" for c in "4548-4") + '"')


@pytest.mark.parametrize("write", [escaped, spaced, turned, coded])
def test_the_same_json_in_another_spelling_says_the_same(write: Any) -> None:
    lines = {f"{r['resourceType']}.ndjson": [write(r)] for r in WORLD}
    assert evaluate([], raw_lines=lines).patients == evaluate(WORLD).patients


def test_all_types_in_one_file_of_any_name_are_read() -> None:
    lines = [json.dumps(r) for r in WORLD]
    assert evaluate([], raw_lines={"everything.ndjson": lines}).patients == evaluate(WORLD).patients


@pytest.mark.parametrize("name", ["Patient-p1-everything.ndjson", "export of Observation.jsonl", "7.ndjson"])
def test_a_file_name_that_speaks_of_more_promises_no_type(name: str) -> None:
    lines = [json.dumps(r) for r in WORLD]
    answer = evaluate([], raw_lines={name: lines})
    assert (answer.code, answer.patients) == (0, evaluate(WORLD).patients)


def test_many_files_of_one_type_are_read() -> None:
    lines = {
        f"Observation.{n:03}.ndjson": [json.dumps(a1c(5.0 + n, f"2026-0{n}-01", id=f"o{n}"))]
        for n in (1, 2, 3)
    }
    out = evaluate(WORLD[:2], raw_lines=lines).patients["p1"]["A1C-OUT"]
    assert (out["outcome"], out["facts"]["value"]) == (YES, 8.0)


def told(source: Path, *more: str) -> tuple[int, list[Json]]:
    arguments = ["evaluate", "--from", str(source), "--timezone", "America/Detroit"]
    result = CliRunner().invoke(app, [*arguments, "--as-of", "2026-11-22T15:00-05:00", *more])
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_a_gzip_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    text = "".join(json.dumps(r) + "\n" for r in WORLD).encode()
    (tmp_path / "export.ndjson").write_bytes(gzip.compress(text))
    code, decisions = told(tmp_path)
    assert (code, decisions[0]["outcome"]) == (0, YES)


def test_a_file_without_a_last_newline_and_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(r) for r in WORLD)
    (tmp_path / "export.ndjson").write_text("\ufeff" + text, encoding="utf-8")
    code, decisions = told(tmp_path)
    assert (code, decisions[0]["outcome"]) == (0, YES)


def entries(*resources: Json, base: str = "https://emr.example.org/fhir/", kind: str = "searchset") -> Json:
    urls = [{"fullUrl": f"{base}{r['resourceType']}/{r['id']}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": kind, "entry": urls}


def test_one_bundle_is_a_source_of_its_own(tmp_path: Path) -> None:
    source = tmp_path / "bundle.json"
    source.write_text(json.dumps(entries(*WORLD), indent=2))
    code, decisions = told(source)
    assert (code, decisions[0]["outcome"]) == (0, YES)


def test_a_folder_of_bundles_is_read_as_their_entries(tmp_path: Path) -> None:
    for number, resource in enumerate(WORLD):
        (tmp_path / f"page-{number}.json").write_text(json.dumps(entries(resource)))
    code, decisions = told(tmp_path)
    assert (code, decisions[0]["outcome"]) == (0, YES)


def test_absolute_references_of_a_bundle_are_local_under_its_full_urls(tmp_path: Path) -> None:
    at = {"subject": {"reference": "https://emr.example.org/fhir/Patient/p1"}}
    source = tmp_path / "bundle.json"
    source.write_text(json.dumps(entries(patient(), diabetes() | at, a1c(9.4) | at)))
    code, decisions = told(source)
    assert (code, decisions[0]["outcome"]) == (0, YES)


def test_a_transaction_whose_entries_know_each_other_by_uuid_is_read(tmp_path: Path) -> None:
    at = {"subject": {"reference": f"{UUID}1"}}
    rows = [patient(), diabetes() | at, a1c(9.4) | at]
    for row in rows:
        del row["id"]
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"fullUrl": f"{UUID}{n}", "resource": r} for n, r in enumerate(rows, start=1)],
    }
    (tmp_path / "bundle.json").write_text(json.dumps(bundle))
    code, decisions = told(tmp_path)
    assert (code, decisions[0]["outcome"]) == (0, YES)


def test_an_entry_of_a_warning_is_no_hole_and_one_of_an_error_is(tmp_path: Path) -> None:
    for severity, expected in (("warning", 0), ("error", 3)):
        outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "x"}]}
        bundle = entries(*WORLD)
        bundle["entry"].append({"resource": outcome})
        (tmp_path / "bundle.json").write_text(json.dumps(bundle))
        assert told(tmp_path)[0] == expected


def test_one_patient_and_one_rule_can_be_asked_for(tmp_path: Path) -> None:
    rows = [*WORLD, patient("p2")]
    (tmp_path / "all.ndjson").write_text("".join(json.dumps(r) + "\n" for r in rows))
    _, decisions = told(tmp_path, "--patient", "p2", "--rule", "A1C-OUT")
    assert [(d["patient"], d["rule"], d["outcome"]) for d in decisions] == [("p2", "A1C-OUT", NO)]


def test_an_empty_or_missing_folder_is_a_failure(tmp_path: Path) -> None:
    assert told(tmp_path)[0] in (1, 2)
    assert told(tmp_path / "nowhere")[0] in (1, 2)


@pytest.mark.parametrize("write", [json.dumps, escaped, lambda r: json.dumps(r, ensure_ascii=False)])
def test_a_local_code_of_any_letters_is_found_in_any_spelling(write: Any) -> None:
    local = a1c(9.4) | {"code": {"coding": [{"system": "urn:lab", "code": "Glyhämo/HbA1c"}]}}
    settings = {"map:urn:lab|Glyhämo/HbA1c": "http://loinc.org|4548-4"}
    answer = evaluate(WORLD[:2], raw_lines={"Observation.ndjson": [write(local)]}, settings=settings)
    assert answer.patients["p1"]["A1C-OUT"]["outcome"] == YES
