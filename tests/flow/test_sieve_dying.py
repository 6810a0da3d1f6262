"""Of somebody who is said to have died every result is kept, however it names the patient."""

from __future__ import annotations

from pathlib import Path

import pytest

from cm_service.flow.sieve.dying import with_joined
from tests.cases.fhir_json import a1c, encounter, patient
from tests.flow.reading import Json, Layout, by_type, in_a_bundle, one_file

HERE = "https://emr.example/fhir"
LAYOUTS = pytest.mark.parametrize("layout", [one_file, by_type, in_a_bundle])


def died(reference: str) -> Json:
    more = {"subject": {"reference": reference}}
    return encounter("e1", "IMP", "2026-11-01", "2026-11-03", disposition="exp", **more)


def glucose(reference: str, name: str = "g") -> Json:
    return a1c(100, "2026-11-09", id=name, code="2345-7", unit="mg/dL", subject={"reference": reference})


def replaced(name: str, by: str) -> Json:
    return patient(name, link=[{"other": {"reference": by}, "type": "replaced-by"}])


@LAYOUTS
@pytest.mark.parametrize("of_death", ["Patient/p1", "Patient/p1/_history/1", f"{HERE}/Patient/p1"])
@pytest.mark.parametrize(
    "of_result",
    ["Patient/p1", "Patient/p1/_history/2", f"{HERE}/Patient/p1", f"{HERE}/Patient/p1/_history/2"],
)
def test_every_way_to_name_the_patient_is_understood(
    tmp_path: Path, layout: Layout, of_death: str, of_result: str
) -> None:
    lines = [patient(), patient("p2"), died(of_death), glucose(of_result), glucose("Patient/p2", "g2")]
    found = layout(tmp_path, lines)
    assert "Observation/g" in found["p1"]
    assert "Observation/g2" not in found["p2"]


@LAYOUTS
@pytest.mark.parametrize("link", ["Patient/new", "Patient/new/_history/1", f"{HERE}/Patient/new"])
@pytest.mark.parametrize(("death", "result"), [("old", "new"), ("new", "old")])
def test_a_merged_patient_is_one_person(
    tmp_path: Path, layout: Layout, link: str, death: str, result: str
) -> None:
    lines = [replaced("old", link), patient("new"), died(f"Patient/{death}"), glucose(f"Patient/{result}")]
    assert "Observation/g" in layout(tmp_path, lines)[result]


@LAYOUTS
def test_a_chain_of_merges_is_one_person(tmp_path: Path, layout: Layout) -> None:
    chain = [replaced("a", "Patient/b"), replaced("b", "Patient/c"), patient("c")]
    found = layout(tmp_path, [*chain, died("Patient/a"), glucose("Patient/c")])
    assert "Observation/g" in found["c"]


@pytest.mark.parametrize("layout", [one_file, by_type])
def test_others_who_were_merged_keep_what_rules_read(tmp_path: Path, layout: Layout) -> None:
    lines = [replaced("old", "Patient/new"), patient("new"), patient("p1"), died("Patient/p1")]
    assert "Observation/g" not in layout(tmp_path, [*lines, glucose("Patient/new")])["new"]


def test_only_links_to_patients_join() -> None:
    links = [["Patient/a", "RelatedPerson/x"], ["Patient/b", "RelatedPerson/x"], ["Patient/b", "Patient/c"]]
    assert with_joined(["Patient/a"], links[:2]).ids == {"a"}
    found = with_joined([f"{HERE}/Patient/c/_history/1", "Patient/d"], links)
    assert (found.ids, found.joined) == ({"b", "c", "d"}, {"b", "c"})
