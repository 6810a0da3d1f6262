"""Folders and Bundles as they come: order, versions, bases, shared places, later results of the dead."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cm_service.errors import BadInput
from cm_service.flow.sieve import read_bundle
from tests.cases.fhir_json import LOINC, SNOMED, a1c, concept, condition, encounter, patient, procedure
from tests.flow.reading import Json, put, read

OTHER = {"subject": {"reference": "Patient/p2"}}
WORLD: tuple[Json, ...] = (
    patient(),
    patient("p2"),
    condition("E11.9"),
    condition("I10", **OTHER),
    a1c(7.0, id="o1"),
    a1c(54, id="o2", code="59261-8", unit="mmol/mol"),
    a1c(9.0, id="o3", **OTHER),
    encounter("e1", "IMP", "2026-11-01", "2026-11-03", disposition="home"),
    procedure("265764009", "2026-01-01", "dialysis"),
)


def facts_of(folder: Path, **more: Any) -> Any:
    return read(folder, **more).patients


def per_type(folder: Path, resources: tuple[Json, ...]) -> Path:
    for kind in {resource["resourceType"] for resource in resources}:
        put(folder, f"{kind}.ndjson", [r for r in resources if r["resourceType"] == kind])
    return folder


def bundle(*resources: Json, **more: Any) -> Json:
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": r} for r in resources],
        **more,
    }


# --- the same, however it is laid out


def test_layout_does_not_matter(tmp_path: Path) -> None:
    wanted = facts_of(per_type(tmp_path / "types", WORLD))
    put(tmp_path / "mixed", "all.ndjson", WORLD)
    put(tmp_path / "bundle", "b.json", [json.dumps(bundle(*WORLD), indent=2)])
    for number, resource in enumerate(WORLD):
        put(tmp_path / "single", f"{number}.json", [resource])
    assert wanted.keys() == {"p1", "p2"}
    for name in ("mixed", "bundle", "single"):
        assert facts_of(tmp_path / name) == wanted
    assert facts_of(tmp_path / "bundle" / "b.json") == wanted
    assert read_bundle(bundle(*WORLD)).patients == wanted


@given(st.randoms(use_true_random=False), st.integers(1, 3))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_and_repetition_do_not_matter(tmp_path: Path, dice: random.Random, times: int) -> None:
    lines = [*WORLD * times]
    dice.shuffle(lines)
    put(tmp_path, "all.ndjson", lines)
    assert facts_of(tmp_path) == read_bundle(bundle(*WORLD)).patients


# --- versions


def versions(folder: Path, *results: Json, **settings: Any) -> Any:
    put(folder, "all.ndjson", [patient(), *results])
    return facts_of(folder, **settings)["p1"]["Observation/a1c"]


def met(updated: str | None = None, version: str | None = None) -> Json:
    given_ = {"lastUpdated": updated, "versionId": version}
    return {"meta": {name: value for name, value in given_.items() if value is not None}}


OLD, NEW = a1c(9.0), a1c(6.0)
EARLY, LATE = "2026-11-01T23:00:00-05:00", "2026-11-02T03:00:00Z"  # the later text is the earlier instant


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OLD | met(LATE), NEW | met(EARLY)),
        (OLD | met(LATE, "9"), NEW | met(EARLY, "1")),
        (OLD | met(EARLY, "9"), NEW | met(EARLY, "10")),
        (OLD | met(None, "9"), NEW | met(None, "10")),
    ],
)
def test_the_newest_version_speaks_wherever_it_stands(tmp_path: Path, old: Json, new: Json) -> None:
    for lines in ((old, new), (new, old)):
        fact = versions(tmp_path, *lines)
        assert (fact.reading.raw, fact.flags) == ("6.0", ())


def test_in_a_pull_the_number_counts_before_the_clock_of_a_node(tmp_path: Path) -> None:
    old, new = OLD | met(EARLY, "9"), NEW | met(LATE, "10")
    for lines in ((old, new), (new, old)):
        assert versions(tmp_path, *lines, of_one_server=True).reading.raw == "6.0"
        assert versions(tmp_path, *lines).reading.raw == "9.0", "of several moments and servers, the date"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OLD, NEW),
        (OLD | met(EARLY), NEW),
        (OLD | met(EARLY, "a"), NEW | met(EARLY, "b")),
        (OLD | met(EARLY), NEW | met(EARLY)),
    ],
)
def test_where_nothing_orders_them_the_later_line_speaks_with_a_flag(
    tmp_path: Path, old: Json, new: Json
) -> None:
    assert versions(tmp_path, old, new).reading.raw == "6.0"
    assert versions(tmp_path, new, old).reading.raw == "9.0"
    assert versions(tmp_path, new, old).flags == ("duplicate_version",)


def test_the_same_twice_is_one_without_a_flag(tmp_path: Path) -> None:
    assert versions(tmp_path, NEW, dict(reversed(NEW.items()))).flags == ()


def test_the_later_file_is_the_later_line(tmp_path: Path) -> None:
    for number in range(30):
        put(tmp_path, f"Observation.{number:02}.ndjson", [a1c(5.0 + number / 10)])
    put(tmp_path, "all.ndjson", [patient(), condition("I10")])
    for _ in range(5):
        assert facts_of(tmp_path)["p1"]["Observation/a1c"].reading.raw == "7.9"


def test_an_entry_in_error_replaces_what_it_was(tmp_path: Path) -> None:
    emptied = {"resourceType": "Observation", "id": "a1c", "status": "entered-in-error", **met(EARLY)}
    fact = versions(tmp_path, OLD | met(LATE), emptied | {"subject": {"reference": "Patient/p1"}})
    assert (fact.status, fact.reading) == ("entered-in-error", None)


@pytest.mark.parametrize("turn", [False, True])
def test_a_resource_that_moved_belongs_to_its_newest_owner(tmp_path: Path, turn: bool) -> None:
    lines = [OLD | met(LATE), NEW | met(EARLY) | OTHER]
    put(tmp_path, "all.ndjson", [patient(), patient("p2"), *(reversed(lines) if turn else lines)])
    found = facts_of(tmp_path)
    assert "Observation/a1c" not in found["p1"]
    assert found["p2"]["Observation/a1c"].reading.raw == "6.0"


# --- references


def absolute(base: str, resource: Json) -> Json:
    return json.loads(json.dumps(resource).replace('"Patient/', f'"{base}/Patient/'))


def test_absolute_references_under_one_base_are_the_folders_own(tmp_path: Path) -> None:
    put(tmp_path, "all.ndjson", [absolute("https://a.example/fhir", resource) for resource in WORLD])
    assert facts_of(tmp_path) == read_bundle(bundle(*WORLD)).patients


def test_of_two_bases_the_one_that_prevails_is_local(tmp_path: Path) -> None:
    stray = absolute("https://b.example/fhir", a1c(9.9, id="stray"))
    put(tmp_path, "all.ndjson", [*(absolute("https://a.example/fhir", r) for r in WORLD), stray])
    found = read(tmp_path)
    assert found.reasons == [("all.ndjson", len(WORLD) + 1, "foreign_reference")]
    assert "Observation/stray" not in found.patients["p1"]


def test_where_no_base_prevails_none_is_believed(tmp_path: Path) -> None:
    lines = [absolute(f"https://{name}.example/fhir", a1c(9.9, id=name)) for name in "ab"]
    put(tmp_path, "all.ndjson", [patient(), *lines])
    assert [reason for *_, reason in read(tmp_path).reasons] == ["foreign_reference"] * 2


def test_places_are_shared_and_found_by_conditional_references(tmp_path: Path) -> None:
    snf = {
        "resourceType": "Location",
        "id": "l1",
        "name": "Home",
        "identifier": [{"system": "sys", "value": "1"}],
        "type": [concept(SNOMED, "45618002")],
    }
    there = {"location": [{"location": {"reference": "Location?identifier=sys|1"}}]}
    put(tmp_path, "all.ndjson", [patient(), encounter("e1", "IMP", "2026-11-01", **there), snf])
    found = read(tmp_path)
    assert found.patients["p1"]["Encounter/e1"].locations == ("Location/l1",)  # type: ignore[union-attr]
    assert found.reading.places["Location/l1"].name == "Home"
    assert found.patients.keys() == {"p1"}


# --- Bundles


def test_a_transaction_names_its_entries_by_urn(tmp_path: Path) -> None:
    urn = "urn:uuid:0b1c2d3e-0000-4000-8000-000000000001"
    entries = [
        {
            "fullUrl": urn,
            "resource": {k: v for k, v in patient().items() if k != "id"},
            "request": {"method": "POST"},
        },
        {"fullUrl": "urn:uuid:2", "resource": condition("I10", subject={"reference": urn})},
        {"request": {"method": "DELETE", "url": "Condition/gone"}},
    ]
    found = read_bundle(bundle(type="transaction", entry=entries))
    who = urn.removeprefix("urn:uuid:")
    assert (found.patients.keys(), found.rejects) == ({who}, [])
    assert found.patients[who].keys() == {f"Patient/{who}", "Condition/c-I10"}


ENTRIES: dict[str, tuple[Any, list[tuple[int, str]]]] = {
    "a warning of the server": (
        {"resource": {"resourceType": "OperationOutcome", "issue": [{"severity": "warning"}]}},
        [],
    ),
    "an error of the server": (
        {"resource": {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}},
        [(2, "outcome_error")],
    ),
    "no resource": ({"fullUrl": "x"}, [(2, "no_resource")]),
    "null": ({"resource": None}, [(2, "no_resource")]),
    "no id": ({"resource": a1c(7.0, id=None)}, [(2, "no_id")]),
    "no subject": ({"resource": a1c(7.0, subject=None)}, [(2, "no_subject")]),
    "no resourceType": ({"resource": {"id": "x"}}, [(2, "wrong_type")]),
}


@pytest.mark.parametrize(("entry", "faults"), ENTRIES.values(), ids=ENTRIES)
def test_an_odd_entry_is_named_by_its_number(
    tmp_path: Path, entry: Json, faults: list[tuple[int, str]]
) -> None:
    odd = bundle(entry=[{"resource": patient()}, entry, {"resource": condition("I10")}])
    found = read_bundle(odd)
    assert [(reject.line, reject.reason) for reject in found.rejects] == faults
    assert found.patients["p1"].keys() == {"Patient/p1", "Condition/c-I10"}
    put(tmp_path, "b.json", [odd])
    assert read(tmp_path).reasons == [("b.json", *fault) for fault in faults]


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_a_cut_bundle_leaves_everybody_open_whom_it_names(tmp_path: Path, keep: float) -> None:
    text = json.dumps(bundle(*WORLD, *WORLD))
    put(tmp_path, "b.json", [text[: int(len(text) * keep)]])
    found = read(tmp_path)
    assert found.reading.holes.keys() == {"p1", "p2"}
    assert {reason for *_, reason in found.reasons} == {"malformed_json"}


@pytest.mark.parametrize("text", ["[]", "{}", "5", '{"resources":[]}'])
def test_a_json_file_that_is_no_fhir_is_a_hole(tmp_path: Path, text: str) -> None:
    put(tmp_path, "b.json", [text])
    assert all(reject.is_hole for reject in read(tmp_path).reading.rejects) and read(tmp_path).reasons


# --- codes


SPELLINGS: list[Callable[[str], str]] = [
    lambda text: text.replace('"4548-4"', '" 4548-4 "'),
    lambda text: text.replace('"4548-4"', '"4548\\u002d4"'),
    lambda text: text.replace("http://loinc.org", "http:\\/\\/loinc.org"),
    lambda text: text.replace("http://loinc.org", "urn:oid:2.16.840.1.113883.6.1"),
]


@pytest.mark.parametrize("spell", SPELLINGS)
def test_a_code_is_found_in_every_spelling(tmp_path: Path, spell: Callable[[str], str]) -> None:
    put(tmp_path, "Observation.ndjson", [spell(json.dumps(NEW))])
    assert facts_of(tmp_path)["p1"]["Observation/a1c"].reading.raw == "6.0"


@pytest.mark.parametrize("local", ["Ä1c/(%)", "HBA1C", "a.b|c"])
def test_a_local_code_passes_the_sieve_where_the_practice_maps_it(tmp_path: Path, local: str) -> None:
    put(tmp_path, "Observation.ndjson", [a1c(6.0) | {"code": concept("urn:lab", local)}])
    assert facts_of(tmp_path) == {}
    mapped = facts_of(tmp_path, concept_map={("urn:lab", local): ((LOINC, "4548-4"),)})
    assert mapped["p1"]["Observation/a1c"].reading.raw == "6.0"


def glucose(name: str, on: str, **more: Any) -> Json:
    return a1c(100, on, id=name, unit="mg/dL", **more) | {"code": concept(LOINC, "2339-0")}


@pytest.mark.parametrize(("disposition", "kept"), [("exp", True), ("home", False)])
def test_every_result_is_kept_of_somebody_who_is_said_to_have_died(
    tmp_path: Path, disposition: str, kept: bool
) -> None:
    died = encounter("e1", "IMP", "2026-11-01", "2026-11-03", disposition=disposition)
    later = [glucose("g1", "2026-11-09"), glucose("g2", "2026-11-09", **OTHER)]
    per_type(tmp_path, (patient(), patient("p2"), died, *later, a1c(7.0)))
    found = facts_of(tmp_path)
    assert ("Observation/g1" in found["p1"]) is kept
    assert "Observation/g2" not in found["p2"]
    assert ("Observation/g1" in read_bundle(bundle(patient(), died, *later)).patients["p1"]) is kept


def test_ours_are_found_among_the_raw_lines(tmp_path: Path) -> None:
    task = {"resourceType": "Task", "id": "t1", "for": {"reference": "Patient/p1"}, "x": 1.00}
    ours = task | {"identifier": [{"system": "https://cm.example/id/task", "value": "1"}]}
    put(tmp_path, "Task.ndjson", [task, ours | {"id": "t2"}])
    found = list(read(tmp_path).reading.containing("https://cm.example/id/", ("Task", "Goal")))
    assert [resource["id"] for resource in found] == ["t2"]


def test_the_working_folder_goes_with_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(work))
    put(tmp_path / "in", "b.json", [bundle(*WORLD)])
    found = read(tmp_path / "in")
    assert [path.stat().st_mode & 0o777 for path in work.iterdir()] == [0o700]
    del found
    assert list(work.iterdir()) == []


def test_a_file_whose_name_is_no_text_is_said_and_breaks_nothing(tmp_path: Path) -> None:
    per_type(tmp_path, WORLD)
    (tmp_path / os.fsdecode(b"Observation-\xff.ndjson")).write_text("{}\n")
    with pytest.raises(BadInput, match="no UTF-8 text"):
        facts_of(tmp_path)
