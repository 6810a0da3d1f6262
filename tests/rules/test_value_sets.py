"""Code sets: matching, versions, and that they cover what they claim to cover."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cm_service.rules import value_sets
from cm_service.rules.condition_codes import chronic
from cm_service.rules.facts import Coding, Concept
from cm_service.rules.value_sets import codes_of, in_set, load, sets_of
from tests.rules.builders import ICD10CM, LOINC, SNOMED, concept

CCW = json.loads((Path(__file__).parents[1] / "data" / "ccw30_icd10cm.json").read_text())["categories"]


def ccw_codes(category: str) -> Iterator[str]:
    for packed in CCW[category]["codes"]:
        head, _, tails = packed.partition(":")
        yield from (head + tail for tail in tails.split(" "))


def test_a_match_needs_system_and_code_of_any_one_coding():
    assert in_set("hba1c", concept(Coding("urn:local", "A1C"), "4548-4"))
    assert not in_set("hba1c", concept(Coding(SNOMED, "4548-4")))
    assert not in_set("hba1c", concept("718-7"))


def test_text_alone_never_matches():
    assert not in_set("hba1c", Concept(text="Hemoglobin A1c"))
    assert not in_set("hba1c", None)


@pytest.mark.parametrize("code", ["4548-4", "17856-6", "4549-2", "17855-8", "96595-4", "59261-8", "71875-9"])
def test_the_seven_hba1c_codes_are_used(code: str):
    assert in_set("hba1c", concept(code))


@pytest.mark.parametrize("code", ["41995-2", "62388-4", "97506-0"])
def test_mass_jds_and_gmi_are_known_but_no_hba1c(code: str):
    assert not in_set("hba1c", concept(code))
    assert sets_of(LOINC, code)


@pytest.mark.parametrize("written", ["N18.6", "n18.6", "N186", " N18.6 "])
def test_icd10cm_is_read_without_case_and_dot(written: str):
    assert "ckd5_esrd" in sets_of(ICD10CM, written)


def test_icd10cm_is_matched_by_prefix_and_other_systems_exactly():
    assert "sickle_cell" in sets_of(ICD10CM, "D57.00XYZ")
    assert "hospice" in sets_of(SNOMED, "385763009")
    assert "hospice" not in sets_of(SNOMED, "3857630091")


@pytest.mark.parametrize(
    ("system", "code", "name"),
    [
        ("urn:oid:2.16.840.1.113883.6.96", "385763009", "hospice"),
        ("urn:oid:2.16.840.1.113883.6.1", "4548-4", "hba1c"),
        ("urn:oid:2.16.840.1.113883.6.90", "N18.6", "ckd5_esrd"),
        ("urn:oid:2.16.840.1.113883.6.285", "Q5004", "hospice"),
        ("http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "M1017", "palliative"),
    ],
)
def test_the_other_names_of_a_code_system_are_the_same_system(system: str, code: str, name: str):
    assert name in sets_of(system, code)


def test_who_icd10_is_not_icd10cm():
    assert not sets_of("http://hl7.org/fhir/sid/icd-10", "N18.6")


def test_a_frailty_code_that_bills_hospice_is_a_hospice_sign_too():
    names = sets_of("http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "S0271")
    assert {"frailty", "hospice"} <= names


def test_dialysis_rows_are_told_apart_by_what_they_prove():
    assert "dialysis_status" in sets_of(ICD10CM, "Z99.2")
    assert "dialysis_service" in sets_of(SNOMED, "302497006")
    catheter = sets_of(SNOMED, "10848006")
    assert "dialysis" in catheter and not catheter & {"dialysis_status", "dialysis_service"}


def test_a_word_that_names_no_set_is_an_error_and_no_empty_filter():
    with pytest.raises(KeyError):
        codes_of("hba1")


def test_codes_of_a_union_are_those_of_its_parts():
    assert codes_of("palliative") == codes_of("palliative_encounter") | codes_of(
        "palliative_intervention"
    ) | codes_of("palliative_diagnosis")
    assert (LOINC, "59261-8") in codes_of("hba1c")
    assert (ICD10CM, "E11") in codes_of("chronic")


def test_the_version_is_a_date_and_a_hash():
    date, _, digest = value_sets.VERSION.partition("+")
    assert len(date) == 10 and len(digest) == 8


@pytest.mark.parametrize("name", ["hba1c", "context", "registry", "chronic"])
def test_every_file_says_where_its_codes_come_from_and_under_which_licence(name: str):
    file = load(name)
    systems = {row["system"] for row in file.rows}
    assert file.source and file.version and all(row["source"] for row in file.rows)
    assert ("SNOMED" in file.licence_notice) == (SNOMED in systems)
    assert ("LOINC" in file.licence_notice) == (LOINC in systems)


def test_no_cpt_descriptor_is_shipped():
    rows = [row for name in ("context", "registry", "chronic") for row in load(name).rows]
    shown = {row["display"] for row in rows if row["system"] == "http://www.ama-assn.org/go/cpt"}
    assert shown == {""}


@pytest.mark.parametrize("category", sorted(CCW))
def test_every_published_ccw_code_maps_to_its_category(category: str):
    """Two deliberate differences: Lewy body dementia counts as dementia alone, and rare infectious
    pneumonias, which never count, are left out. A code that names several diseases and is no
    combination code counts once, for the first in the order of the table."""
    months = CCW[category]["years"] * 12
    for code in ccw_codes(category):
        named = chronic(ICD10CM, code)
        if category in named.never or (category == "pneumonia" and named == chronic(ICD10CM, "A00")):
            continue
        if (category, code) == ("parkinsons_disease", "G3183"):
            assert [match.group for match in named.matches] == ["dementia"]
            continue
        found = {match.category: match.months for match in named.matches}
        assert found.get(category) == months, code


def test_the_published_list_is_whole():
    assert sum(len(list(ccw_codes(category))) for category in CCW) == 2856


@pytest.mark.parametrize(
    "row", [row for row in load("chronic").rows if row["category"] == "_never"], ids=lambda row: row["code"]
)
def test_a_trap_maps_to_no_category(row: dict[str, str]):
    named = chronic(row["system"], row["code"])
    assert not named.matches and not named.never


@pytest.mark.parametrize(
    ("code", "groups"),
    [
        ("I11.0", {"hypertension", "heart_failure"}),
        ("I11.9", {"hypertension"}),
        ("I12.9", {"hypertension", "chronic_kidney_disease"}),
        ("I13.0", {"hypertension", "heart_failure", "chronic_kidney_disease"}),
        ("I13.2", {"hypertension", "heart_failure", "chronic_kidney_disease"}),
        ("I13.10", {"hypertension", "chronic_kidney_disease"}),
        ("E11.22", {"diabetes", "chronic_kidney_disease"}),
        ("E08.21", {"diabetes", "chronic_kidney_disease"}),
        ("E13.29", {"diabetes", "chronic_kidney_disease"}),
        ("127013003", {"diabetes", "chronic_kidney_disease"}),
    ],
)
def test_a_combination_code_names_all_its_diseases(code: str, groups: set[str]):
    assert {match.group for match in chronic(SNOMED if code.isdigit() else ICD10CM, code).matches} == groups


@pytest.mark.parametrize(
    ("code", "group"),
    [("M80.051A", "osteoporosis"), ("E11.36", "diabetes"), ("E11.51", "diabetes"), ("D57.1", "anemia")],
)
def test_any_other_code_in_several_categories_counts_once(code: str, group: str):
    assert [match.group for match in chronic(ICD10CM, code).matches] == [group]


@pytest.mark.parametrize("code", ["E11.A", "F32.5", "F31.76", "E66.3", "Z85.3", "F32.81", "H40.01"])
def test_the_longest_prefix_of_a_category_decides(code: str):
    named = chronic(ICD10CM, code)
    assert not named.matches and named.never


def test_codes_that_came_after_the_list_are_covered_by_prefix():
    assert [m.group for m in chronic(ICD10CM, "F01.B4").matches] == ["dementia"]
    assert [m.group for m in chronic(ICD10CM, "G20.B2").matches] == ["parkinsons_disease"]
    assert [m.group for m in chronic(ICD10CM, "I20.81").matches] == ["ischemic_heart_disease"]
