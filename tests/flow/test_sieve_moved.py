"""A resource under two patients, in a folder and in a Bundle: its newest version says whose it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cm_service.flow.sieve import read_bundle
from tests.cases.fhir_json import a1c, patient
from tests.flow.reading import Json, put, read

EARLY, LATE = "2026-11-12T10:00:00Z", "2026-11-13T10:00:00Z"


def version(who: str, value: float = 9.0, *, updated: str | None = None, number: str | None = None) -> Json:
    meta = {key: text for key, text in (("lastUpdated", updated), ("versionId", number)) if text}
    return a1c(value, subject={"reference": f"Patient/{who}"}, meta=meta or None)


def owners(way: str, folder: Path, *resources: Json) -> dict[str, Any]:
    """Whose the result is, and what it says."""
    if way == "folder":
        put(folder, "all.ndjson", resources)
        patients = read(folder).patients
    else:
        entries = [{"resource": resource} for resource in resources]
        patients = read_bundle(
            json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()
        ).patients
    found = {who: facts.get("Observation/a1c") for who, facts in patients.items()}
    return {who: fact for who, fact in found.items() if fact is not None}


WORLD = (patient(), patient("p2"))
ORDERED = [
    (version("p1", updated=EARLY), version("p2", updated=LATE)),
    (version("p1", number="9"), version("p2", number="10")),
    (version("p1", 8.0, updated=EARLY), version("p2", 9.0, updated=LATE)),
]


@pytest.mark.parametrize("way", ["folder", "bundle"])
@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("pair", ORDERED)
def test_the_newest_version_says_whose_it_is(
    tmp_path: Path, way: str, turn: int, pair: Sequence[Json]
) -> None:
    found = owners(way, tmp_path, *WORLD, *pair[::turn])
    assert found.keys() == {"p2"}
    assert (found["p2"].reading.raw, found["p2"].flags) == ("9.0", ())


@pytest.mark.parametrize("way", ["folder", "bundle"])
@pytest.mark.parametrize("value", [9.0, 8.0])
def test_where_nothing_orders_them_the_later_line_says_it_with_a_flag(
    tmp_path: Path, way: str, value: float
) -> None:
    found = owners(way, tmp_path, *WORLD, version("p1", value), version("p2"))
    assert found.keys() == {"p2"}
    assert (found["p2"].reading.raw, found["p2"].flags) == ("9.0", ("duplicate_version",))


@pytest.mark.parametrize("way", ["folder", "bundle"])
def test_an_older_version_elsewhere_makes_the_newest_no_duplicate(tmp_path: Path, way: str) -> None:
    newest = version("p2", updated=LATE)
    found = owners(way, tmp_path, *WORLD, newest, version("p1", updated=EARLY), newest)
    assert (found.keys(), found["p2"].flags) == ({"p2"}, ())


@pytest.mark.parametrize("way", ["folder", "bundle"])
def test_it_moves_to_somebody_of_whom_there_is_no_patient(tmp_path: Path, way: str) -> None:
    found = owners(way, tmp_path, patient(), version("p1", updated=EARLY), version("ghost", updated=LATE))
    assert found.keys() == {"ghost"}


def test_a_line_that_means_two_things_does_not_say_whose_it_is(tmp_path: Path) -> None:
    twice = json.dumps(version("p2", updated=LATE))[:-1] + ',"status":"final"}'
    put(tmp_path, "all.ndjson", [*WORLD, version("p1", updated=EARLY), twice])
    found = read(tmp_path)
    assert "Observation/a1c" in found.patients["p1"]
    assert found.reading.holes == {"p2": frozenset({"Observation"})}


@pytest.mark.parametrize("way", ["folder", "bundle"])
def test_what_moved_and_holds_no_listed_code_any_more_is_nobodys(tmp_path: Path, way: str) -> None:
    recoded = a1c(9.0, code="2345-7", subject={"reference": "Patient/p2"}, meta={"lastUpdated": LATE})
    assert owners(way, tmp_path, *WORLD, version("p1", updated=EARLY), recoded) == {}
    later = version("p1", updated="2026-11-14T10:00:00Z")
    assert list(owners(way, tmp_path, *WORLD, later, recoded)) == ["p1"]
