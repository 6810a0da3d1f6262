"""A version of a resource that holds no listed code any more silences the older ones that did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cases.fhir_json import a1c, component, concept, encounter, order, patient, procedure
from tests.flow.reading import Json, Layout, by_type, in_a_bundle, one_file, put, read

EARLY, LATE = "2026-11-11T10:00:00Z", "2026-11-12T10:00:00Z"
OTHER = {"subject": {"reference": "Patient/p2"}}
A1C, GLUCOSE = a1c(9.0, id="x"), a1c(100, id="x", code="2345-7", unit="mg/dL")
PANEL = a1c(None, id="x", code="55399-0")
HOSPICE, LAB = "385763009", "26604007"
RECODED = [
    (A1C, GLUCOSE),
    (A1C, A1C | {"code": {"text": "glucose"}}),
    (PANEL | {"component": [component(9.0)]}, PANEL),
    (order(HOSPICE, "2026-10-01", "x"), order(LAB, "2026-10-01", "x")),
    (procedure(HOSPICE, "2026-10-01", "x"), procedure(LAB, "2026-10-01", "x")),
]


def met(resource: Json, updated: str | None, version: str | None = None) -> Json:
    meta = {"lastUpdated": updated, "versionId": version}
    return resource | {"meta": {name: value for name, value in meta.items() if value}}


def many_files(folder: Path, lines: list[Json]) -> Any:
    for number, line in enumerate(lines):
        put(folder, f"{line['resourceType']}.{number:02}.ndjson", [line])
    return read(folder).patients


LAYOUTS = pytest.mark.parametrize("layout", [one_file, by_type, many_files, in_a_bundle])


@LAYOUTS
@pytest.mark.parametrize(("listed", "other"), RECODED)
@pytest.mark.parametrize("turn", [False, True])
def test_the_newest_version_speaks_by_its_date(
    tmp_path: Path, layout: Layout, listed: Json, other: Json, turn: bool
) -> None:
    key = f"{listed['resourceType']}/x"
    for old, new, kept in ((listed, other, False), (other, listed, True)):
        versions = [met(old, EARLY), met(new, LATE)]
        lines = [patient(), *(reversed(versions) if turn else versions)]
        found = layout(tmp_path / str(kept), lines)["p1"]
        assert (key in found) is kept
        assert not kept or found[key].flags == ()


@LAYOUTS
def test_the_newest_version_speaks_by_its_number(tmp_path: Path, layout: Layout) -> None:
    found = layout(tmp_path, [patient(), met(GLUCOSE, None, "10"), met(A1C, None, "9")])
    assert "Observation/x" not in found["p1"]


@LAYOUTS
def test_where_nothing_orders_them_the_later_line_speaks(tmp_path: Path, layout: Layout) -> None:
    assert "Observation/x" not in layout(tmp_path / "1", [patient(), A1C, GLUCOSE])["p1"]
    found = layout(tmp_path / "2", [patient(), GLUCOSE, A1C])["p1"]
    assert found["Observation/x"].flags == ("duplicate_version",)


@LAYOUTS
def test_the_newest_of_three_speaks_and_others_are_left_alone(tmp_path: Path, layout: Layout) -> None:
    versions = [met(A1C, EARLY, "1"), met(GLUCOSE, EARLY, "2"), met(a1c(8.0, id="x"), LATE, "3")]
    others = [a1c(7.0, id="y"), *(GLUCOSE | {"id": f"g{number}"} for number in range(3))]
    found = layout(tmp_path, [patient(), *others, *versions])["p1"]
    assert {key for key in found if key.startswith("Observation/")} == {"Observation/x", "Observation/y"}
    assert found["Observation/x"].reading.raw == "8.0"


def test_ids_of_two_types_are_two_resources(tmp_path: Path) -> None:
    lab = met(order(LAB, "2026-10-01", "x"), LATE)
    assert "Observation/x" in one_file(tmp_path, [patient(), met(A1C, EARLY), lab])["p1"]


def test_of_a_resource_that_moved_and_lost_its_code_nothing_is_left(tmp_path: Path) -> None:
    found = one_file(tmp_path, [patient(), patient("p2"), met(A1C, EARLY), met(GLUCOSE, LATE) | OTHER])
    assert ["Observation/x" in found[who] for who in ("p1", "p2")] == [False, False]


@pytest.mark.parametrize("layout", [one_file, by_type, many_files])
def test_a_result_that_moved_to_somebody_dying_is_kept(tmp_path: Path, layout: Layout) -> None:
    died = encounter("e1", "IMP", "2026-11-01", "2026-11-03", disposition="exp", **OTHER)
    lines = [patient(), patient("p2"), died, met(A1C, EARLY), met(GLUCOSE, LATE) | OTHER]
    found = layout(tmp_path, lines)
    assert ["Observation/x" in found[who] for who in ("p1", "p2")] == [False, True]


def test_a_silenced_line_is_no_finding(tmp_path: Path) -> None:
    put(tmp_path, "all.ndjson", [patient(), met(A1C, EARLY), met(GLUCOSE, LATE), procedure("1", "2026", "y")])
    found = read(tmp_path)
    assert found.reading.rejects == []
    assert found.reading.findings["partial_date"] == 0


def test_codes_in_another_system_are_no_listed_ones(tmp_path: Path) -> None:
    lines = [patient(), met(A1C, EARLY), met(A1C | {"code": concept("urn:lab", "4548-4")}, LATE)]
    assert "Observation/x" not in by_type(tmp_path, lines)["p1"]
