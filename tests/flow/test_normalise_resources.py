"""What each FHIR type keeps, what it leaves out, and which oddities cost no more than themselves."""

from __future__ import annotations

from typing import Any

import pytest

from cm_service.fhir.rawjson import dumps
from cm_service.fhir.values import MAX_ID, References
from cm_service.flow.normalise import KINDS, Normalised, Normaliser
from cm_service.rules.dates import Precision
from tests.cases.fhir_json import (
    LOINC,
    SNOMED,
    a1c,
    concept,
    condition,
    consent,
    encounter,
    order,
    patient,
    procedure,
)
from tests.flow.reading import Json, one, rejected

HERE = "https://emr.example/fhir"
P1 = {"subject": {"reference": "Patient/p1"}}


def normalised(resource: Json, **context: Any) -> Normalised:
    found = Normaliser(References(HERE, **context)).read(resource)
    assert isinstance(found, Normalised), found
    return found


# --- references


@pytest.mark.parametrize(
    "reference",
    ["Patient/p1", "Patient/p1/_history/3", f"{HERE}/Patient/p1", f"{HERE}/Patient/p1/_history/3"],
)
def test_every_way_to_name_a_patient_of_this_emr_is_understood(reference: str) -> None:
    assert normalised(a1c(7.0, subject={"reference": reference})).patient_id == "p1"


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("https://other.example/fhir/Patient/p1", "foreign_reference"),
        (f"{HERE}/nested/Patient/p1", "foreign_reference"),
        ("#p1", "no_subject"),
        ("urn:uuid:1", "no_subject"),
        ("p1", "no_subject"),
        ("Patient/", "no_subject"),
        ("Patient?identifier=x|1", "no_subject"),
        (None, "no_subject"),
    ],
)
def test_a_subject_that_is_nobody_here_is_a_hole(reference: str | None, reason: str) -> None:
    found = rejected(a1c(7.0, subject={"reference": reference}))
    assert (found.reason, found.is_hole, found.patient_id) == (reason, True, None)


def test_a_resource_about_a_group_is_no_hole() -> None:
    found = rejected(a1c(7.0, subject={"reference": "Group/g1"}))
    assert (found.reason, found.is_hole) == ("not_a_patient", False)


def test_a_link_to_another_server_is_a_hole_beside_the_fact() -> None:
    found = normalised(
        condition("E11.9", encounter=None) | {"encounter": {"reference": "http://x.example/Encounter/1"}}
    )
    assert found.fact.encounter is None  # type: ignore[union-attr]
    assert [(r.reason, r.patient_id, r.types) for r in found.rejects] == [
        ("foreign_reference", "p1", frozenset({"Condition"}))
    ]


def test_links_that_no_rule_follows_may_lead_anywhere() -> None:
    assert normalised(a1c(7.0, performer=[{"reference": "http://x.example/Practitioner/1"}])).rejects == ()


def test_a_conditional_reference_is_resolved_where_its_target_was_read() -> None:
    there = {"location": [{"location": {"reference": "Location?identifier=sys|1"}}]}
    visit = encounter("e1", "AMB", "2026-01-01", **there)
    known = normalised(visit, conditional={"Location?identifier=sys|1": "Location/l1"})
    assert known.fact.locations == ("Location/l1",)  # type: ignore[union-attr]
    assert normalised(visit).fact.locations == ("Location?identifier=sys|1",)  # type: ignore[union-attr]


@pytest.mark.parametrize(("length", "read"), [(64, True), (88, True), (MAX_ID, True), (MAX_ID + 1, False)])
def test_ids_are_read_up_to_their_limit(length: int, read: bool) -> None:
    found = one(a1c(7.0, id="x" * length))
    assert hasattr(found, "reading") is read
    assert read or found.reason == "no_id"


# --- what is kept


@pytest.mark.parametrize(
    "resource",
    [
        a1c(7.0) | {"code": concept(LOINC, "2339-0")},
        procedure("80146002", "2026-01-01", "appendectomy"),
        order("24331-1", "2026-01-01", "lipids", system=LOINC),
        {"resourceType": "MedicationRequest", "id": "m", **P1},
    ],
)
def test_what_no_rule_reads_leaves_no_fact(resource: Json) -> None:
    assert one(resource) is None


@pytest.mark.parametrize("resource", [a1c(7.0), procedure("1", "2026-01-01", "x"), order("1", None, "x")])
def test_what_was_entered_in_error_is_kept_whatever_it_holds(resource: Json) -> None:
    emptied = {k: v for k, v in resource.items() if k in ("resourceType", "id", "subject")}
    assert one(emptied | {"status": "entered-in-error"}).status == "entered-in-error"


def test_where_somebody_lives_keeps_its_coded_value() -> None:
    lives = a1c(code=None, valueCodeableConcept=concept(SNOMED, "160734000")) | {
        "code": concept(LOINC, "71802-3")
    }
    assert one(lives).value.codings[0].code == "160734000"


def test_results_of_any_code_are_kept_where_somebody_wrote_that_the_patient_died() -> None:
    normaliser = Normaliser(References())
    normaliser.context.every_result = True
    glucose = a1c(7.0) | {"code": concept(LOINC, "2339-0")}
    assert isinstance(normaliser.read(glucose), Normalised)


def test_versions_dates_and_security_labels_are_kept() -> None:
    meta = {
        "versionId": "7",
        "lastUpdated": "2026-11-10T10:00:00.123456789+05:30",
        "security": [{"system": "urn:s", "code": "R"}],
    }
    fact = one(a1c(7.0, meta=meta))
    assert (fact.version, fact.security, fact.updated.precision) == ("7", ("urn:s|R",), Precision.INSTANT)


def test_an_encounter_keeps_what_stays_are_built_from() -> None:
    fact = one(
        encounter(
            "e1",
            "IMP",
            "2026-11-18T10:00:00-05:00",
            "2026-11-20T14:00:00-05:00",
            disposition="home",
            identifier=[{"system": "urn:visit", "value": "77"}],
            partOf={"reference": "Encounter/e0"},
            type=[concept(SNOMED, "8715000")],
            serviceProvider={"reference": "Organization/o1", "display": "Hospital"},
            diagnosis=[{"condition": {"reference": "Condition/c1"}}],
        )
    )
    assert (fact.classes[0].code, fact.part_of, fact.identifier) == ("IMP", "Encounter/e0", "urn:visit|77")
    assert (fact.provider, fact.provider_name, fact.diagnoses) == (
        "Organization/o1",
        "Hospital",
        ("Condition/c1",),
    )
    assert fact.disposition.codings[0].code == "home"
    assert (fact.start.raw, fact.end.raw) == ("2026-11-18T10:00:00-05:00", "2026-11-20T14:00:00-05:00")


def test_a_local_class_is_followed_by_what_the_practice_says_it_is() -> None:
    imp = ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "IMP")
    visit = encounter("e1", "AMB", None) | {"class": {"system": "urn:ours", "code": "I"}}
    fact = one(visit, concept_map={("urn:ours", "I"): (imp,)})
    assert [coding.code for coding in fact.classes] == ["I", "IMP"]


@pytest.mark.parametrize(
    ("more", "abated"),
    [
        ({"abatementString": "gone"}, True),
        ({"abatementAge": {"value": 50, "unit": "a"}}, True),
        ({"abatementBoolean": True}, True),
        ({"abatementBoolean": False}, False),
        ({"abatementDateTime": "long ago"}, True),
        ({"abatementDateTime": "2025-01-01"}, False),
        ({}, False),
    ],
)
def test_any_other_abatement_says_that_it_is_over(more: Json, abated: bool) -> None:
    fact = one(condition("I10", **more))
    assert fact.abated is abated
    assert (fact.abatement is not None) is (more.get("abatementDateTime") == "2025-01-01")


def test_the_end_of_an_abatement_period_counts_and_else_its_start() -> None:
    assert (
        one(condition("I10", abatementPeriod={"start": "2024", "end": "2025-01"})).abatement.raw == "2025-01"
    )
    assert one(condition("I10", abatementPeriod={"start": "2024"})).abatement.raw == "2024"


@pytest.mark.parametrize(
    ("more", "deceased"),
    [
        ({"deceasedBoolean": True}, True),
        ({"deceasedDateTime": "soon"}, True),
        ({"deceasedDateTime": "2026"}, None),
    ],
)
def test_an_unreadable_date_of_death_is_a_death(more: Json, deceased: bool | None) -> None:
    assert one(patient(**more)).deceased is deceased


def test_a_merged_patient_names_the_survivor() -> None:
    links = [
        {"type": "replaces", "other": {"reference": "Patient/older"}},
        {"type": "replaced-by", "other": {"reference": f"{HERE}/Patient/new"}},
    ]
    assert one(patient(link=links)).replaced_by == "new"
    assert one(patient(link=links[:1])).replaced_by is None


@pytest.mark.parametrize(
    "other", [{"identifier": {"system": "urn:x", "value": "1"}}, {"display": "Somebody"}, {}, None]
)
def test_a_merged_patient_may_name_nobody(other: Json | None) -> None:
    nameless = {"type": "replaced-by", "other": other}
    assert one(patient(link=[nameless])).replaced_by == ""
    named = {"type": "replaced-by", "other": {"reference": "Patient/new"}}
    assert one(patient(link=[nameless, named])).replaced_by == "new"


@pytest.mark.parametrize(
    ("effective", "raw"),
    [
        ({"effectiveDateTime": "2026-11"}, "2026-11"),
        ({"effectiveInstant": "2026-11-10T10:00:00Z"}, "2026-11-10T10:00:00Z"),
        ({"effectivePeriod": {"start": "2026-11-01", "end": "2026-11-02"}}, "2026-11-02"),
        ({"effectivePeriod": {"start": "2026-11-01"}}, "2026-11-01"),
        (
            {"effectiveTiming": {"event": ["2026-11-02", "2026-11-09T08:00:00Z", "2026-11-03"]}},
            "2026-11-09T08:00:00Z",
        ),
        ({}, None),
    ],
)
def test_the_effective_date_is_found_in_each_of_its_forms(effective: Json, raw: str | None) -> None:
    found = one(a1c(7.0, None, **effective)).effective
    assert (found.raw if found else None) == raw


def test_owners_are_found_under_each_name_that_fhir_gives_them() -> None:
    task = {"resourceType": "Task", "id": "t", "for": {"reference": "Patient/p1"}, "status": "requested"}
    who = [{"actor": {"reference": "Location/l"}}, {"actor": {"reference": "Patient/p1"}}]
    booked = {"resourceType": "Appointment", "id": "a", "status": "booked", "participant": who}
    for resource in (booked, consent("deny", None), patient("p1")):
        assert normalised(resource).patient_id == "p1"
    assert Normaliser.owner_of(dumps(task), "Task") == "Patient/p1"


# --- oddities


def test_nulls_and_unknown_elements_cost_nothing() -> None:
    assert one(a1c(7.0, note=None) | {"encounter": None, "x-vendor": {"a": [1]}, "issued": None}).reading


def test_an_unreadable_date_costs_the_date_alone() -> None:
    found = normalised(a1c(7.0, "yesterday"))
    assert found.fact.effective is None  # type: ignore[union-attr]
    assert [(r.reason, r.is_hole) for r in found.rejects] == [("bad_date", False)]


@pytest.mark.parametrize(
    "broken",
    [
        a1c(7.0, status=5),
        a1c(7.0, valueQuantity="7.0"),
        a1c(7.0) | {"code": ["4548-4"]},
        condition("I10") | {"category": "problem-list-item"},
        encounter("e1", "IMP", None) | {"class": "IMP"},
    ],
)
def test_a_resource_of_the_wrong_shape_is_a_hole_that_quotes_no_value(broken: Json) -> None:
    found = rejected(broken)
    assert (found.reason, found.is_hole, found.types) == (
        "not_fhir",
        True,
        frozenset({broken["resourceType"]}),
    )
    assert "7.0" not in found.sentence and "IMP" not in found.sentence


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"null", b"{", b'{"resourceType":"Patien', b"<html>", b"[" * 5000]
)
def test_what_is_no_resource_is_a_hole_of_any_type(text: bytes) -> None:
    found = rejected(text)
    assert found.is_hole
    assert {"Observation", "Condition", "Encounter"} <= found.types


@pytest.mark.parametrize("kind", ["", "Pateint", "observation"])
def test_a_type_that_fhir_does_not_know_is_a_hole(kind: str) -> None:
    assert rejected(a1c(7.0) | {"resourceType": kind}).reason == "wrong_type"


def test_a_type_without_any_element_but_its_owner_can_be_read() -> None:
    for kind in KINDS:
        owner = {"subject": {"reference": "Patient/p1"}, "patient": {"reference": "Patient/p1"}}
        more = {"for": {"reference": "Patient/p1"}, "participant": [{"actor": {"reference": "Patient/p1"}}]}
        resource = {"resourceType": kind, "id": "p1", "status": "entered-in-error", **owner, **more}
        if kind in ("CarePlan", "Task"):  # no rule reads them
            assert one(resource) is None
        else:
            assert one(resource).id == "p1"


def test_text_alone_and_missing_meta_are_counted() -> None:
    normaliser = Normaliser(References())
    normaliser.read(condition("I10") | {"code": {"text": "High blood pressure"}, "recordedDate": "2026"})
    assert normaliser.context.findings == {"unmapped_code": 1, "partial_date": 1}
    assert normaliser.context.bare == 1
