"""Which base is a folder's own, where references to patients do not say so; a Bundle is read alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cm_service.flow.sieve import read_bundle
from tests.cases.fhir_json import a1c, condition, encounter, patient
from tests.flow.reading import Json, put, read

OURS, THEIRS = "https://a.example/fhir", "https://b.example/fhir"


def replaced(by: str, who: str = "old") -> Json:
    return patient(who, link=[{"type": "replaced-by", "other": {"reference": by}}])


def visited(base: str, encounter_id: str = "e1", who: str = "p1", **more: Any) -> Json:
    at = {"reference": f"{base}/Encounter/{encounter_id}/_history/3"}
    subject = {"reference": who if "://" in who else f"Patient/{who}"}
    return condition("I10", subject=subject, **more) | {"encounter": at}


def bases(folder: Path, *resources: Json) -> tuple[Any, Any]:
    """The facts, which a folder and a Bundle give alike."""
    put(folder, "all.ndjson", resources)
    found = read(folder).patients
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}
    return found, read_bundle(bundle).patients


def survivor(folder: Path, *resources: Json) -> str | None:
    found, in_hand = bases(folder, *resources)
    assert found == in_hand
    return found["old"]["Patient/old"].replaced_by  # type: ignore[no-any-return]


def stay_of(folder: Path, *resources: Json) -> str | None:
    found, in_hand = bases(folder, *resources)
    assert found == in_hand
    return found["p1"]["Condition/c-I10"].encounter  # type: ignore[no-any-return]


# --- links between patients


def test_a_link_to_a_patient_who_is_there_names_the_base(tmp_path: Path) -> None:
    assert survivor(tmp_path, replaced(f"{OURS}/Patient/new"), patient("new")) == "new"


def test_a_link_to_a_patient_who_is_not_there_says_nothing(tmp_path: Path) -> None:
    there = f"{THEIRS}/Patient/new"
    assert survivor(tmp_path, replaced(there), patient("p1")) == there


def test_a_copy_of_the_same_patient_on_another_server_is_no_link_of_ours(tmp_path: Path) -> None:
    there = f"{THEIRS}/Patient/old"
    assert survivor(tmp_path, replaced(there), patient("p1")) == there


def test_of_a_link_and_a_subject_with_two_bases_neither_is_believed(tmp_path: Path) -> None:
    stray = a1c(9.9, subject={"reference": f"{THEIRS}/Patient/p1"})
    there = f"{OURS}/Patient/new"
    assert survivor(tmp_path, replaced(there), patient("new"), patient("p1"), stray) == there


def test_a_damaged_patient_with_a_link_is_left_to_the_normaliser(tmp_path: Path) -> None:
    put(tmp_path, "all.ndjson", [replaced("Patient/new") | {"birthDate": 5}, patient("new")])
    assert [reason for *_, reason in read(tmp_path).reasons] == ["not_fhir"]


# --- other references


STAY = encounter("e1", "IMP", "2026-11-01", "2026-11-03", disposition="home")


def test_a_reference_to_a_resource_that_is_there_names_the_base(tmp_path: Path) -> None:
    assert stay_of(tmp_path, patient(), STAY, visited(OURS)) == "Encounter/e1"


def test_a_reference_to_a_resource_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert stay_of(tmp_path, patient(), STAY, visited(OURS, "e2")) is None


def test_of_two_bases_of_other_references_the_one_that_prevails(tmp_path: Path) -> None:
    more = [visited(OURS, id="c2"), visited(THEIRS, id="c3")]
    assert stay_of(tmp_path / "odd", patient(), STAY, visited(OURS), *more) == "Encounter/e1"
    assert stay_of(tmp_path / "even", patient(), STAY, visited(OURS), more[1]) is None


def test_references_to_patients_outweigh_all_others(tmp_path: Path) -> None:
    result = a1c(9.9, subject={"reference": f"{OURS}/Patient/p1"})
    strays = [visited(THEIRS, id="c2"), visited(THEIRS)]
    assert stay_of(tmp_path, patient(), STAY, result, *strays) is None


@pytest.mark.parametrize("who", ["p9", f"{THEIRS}/Patient/p9"])
def test_a_base_whose_patients_are_elsewhere_is_not_ours_by_an_equal_encounter(
    tmp_path: Path, who: str
) -> None:
    """Two servers that count from 1 have equal ids."""
    wanted = "Encounter/e1" if who == "p9" else None
    assert stay_of(tmp_path, patient(), STAY, visited(THEIRS), visited(THEIRS, who=who, id="c2")) == wanted
