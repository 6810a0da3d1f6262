"""The Epic-like sandbox: notes and vital signs, a holding tank, and hardly anything to hold on to."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from cm_service.sandbox import counters
from cm_service.sandbox.personality import personality_named
from tests.sandbox.builders import OURS, RunningEmr, answers, encounter, message, note, running_as, task


@pytest.fixture
def emr() -> Iterator[RunningEmr]:
    with running_as(personality_named("epic")) as running:
        yield running


def vital(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/p1"},
        "encounter": {"reference": "Encounter/open"},
        "effectiveDateTime": "2026-11-20T20:00:00Z",
        **elements,
    }


def problem(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "verificationStatus": {"coding": [{"code": "provisional"}]},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]},
        "subject": {"reference": "Patient/p1"},
        **elements,
    }


def _detail(answer: Any) -> str:
    return answer.json()["issue"][0]["details"]["coding"][0]["code"]


def test_a_create_is_answered_with_nothing_but_a_relative_location(emr: RunningEmr) -> None:
    made = emr.post(note())
    assert (made.status_code, made.content) == (201, b"")
    assert made.headers["Location"].startswith("DocumentReference/")
    assert "ETag" not in made.headers
    filed = emr.post(note(), Prefer="return=representation").json()
    assert filed["category"][0]["coding"][0]["code"] == "clinical-note"


def test_ids_have_88_characters_and_are_found_by_them(emr: RunningEmr) -> None:
    key = emr.post(note()).headers["Location"]
    assert len(key.partition("/")[2]) == 88
    assert emr.http.get(key).json()["id"] == key.partition("/")[2]
    assert emr.found(f"DocumentReference?_id={key.partition('/')[2]}") == [key.partition("/")[2]]


def test_what_is_read_has_no_meta_and_none_of_our_identifiers(emr: RunningEmr) -> None:
    key = emr.post(note(meta={"tag": [{"code": "ours"}]})).headers["Location"]
    assert {"meta", "identifier"}.isdisjoint(emr.http.get(key).json())
    found = emr.http.get("DocumentReference?patient=p1").json()["entry"][0]["resource"]
    assert {"meta", "identifier"}.isdisjoint(found)
    assert counters.copies(emr.store, system=OURS) == {(OURS, "n1"): [key]}, "the store knows all the same"


def test_the_same_note_again_is_a_second_note_whatever_header_asks_otherwise(emr: RunningEmr) -> None:
    for _ in range(2):
        assert emr.post(note(), If_None_Exist=f"identifier={OURS}|n1").status_code == 201
    assert len(counters.duplicates(emr.store)[(OURS, "n1")]) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"context": {}},
        {"context": {"encounter": [{"reference": "Encounter/nowhere"}]}},
        {"context": {"encounter": [{"reference": "Encounter/e2"}]}},
        {"status": "superseded"},
        {"docStatus": "amended"},
        {"type": {}},
        {"content": [{"attachment": {"contentType": "text/html", "data": "eA=="}}]},
        {"content": [{"attachment": {"contentType": "text/plain", "data": "not base64"}}]},
        {"content": [{"attachment": {"contentType": "text/plain", "data": ""}}]},
    ],
)
def test_a_note_needs_an_encounter_of_its_patient_and_plain_text(
    emr: RunningEmr, changed: dict[str, Any]
) -> None:
    assert emr.post(note(**changed)).status_code == 400
    assert emr.store.written() == []


def test_only_the_first_attachment_of_a_note_is_kept(emr: RunningEmr) -> None:
    two = [*note()["content"], {"attachment": {"contentType": "text/plain", "data": "Mg=="}}]
    kept = emr.http.get(emr.post(note(content=two)).headers["Location"]).json()["content"]
    assert [base64.b64decode(part["attachment"]["data"]) for part in kept] == [b"Care plan, current version"]


def test_a_vital_sign_needs_an_open_encounter_and_is_filed_once(emr: RunningEmr) -> None:
    assert emr.post(vital(encounter={"reference": "Encounter/e1"})).status_code == 400
    emr.store.load([encounter("open", status="in-progress")])
    assert emr.post(vital()).status_code == 201
    again = emr.post(vital())
    assert (again.status_code, _detail(again)) == (400, "59189")
    assert emr.post(vital(effectiveDateTime="2026-11-20T20:01:00Z")).status_code == 201
    assert emr.post(vital(note=[{"text": "x" * 255}])).status_code == 400
    assert emr.post(vital(category=[{"coding": [{"code": "laboratory"}]}])).status_code == 400


def test_a_problem_is_provisional_and_in_no_search_until_a_clinician_reconciles_it(emr: RunningEmr) -> None:
    confirmed = emr.post(problem(verificationStatus={"coding": [{"code": "confirmed"}]}))
    assert (confirmed.status_code, _detail(confirmed)) == (422, "59012")
    assert emr.post(problem(note=[{"text": "x" * 451}])).status_code == 400
    id_ = emr.post(problem()).headers["Location"].partition("/")[2]
    assert emr.found("Condition?patient=p1") == emr.found(f"Condition?_id={id_}") == []
    emr.store.release("Condition", id_)
    assert emr.found("Condition?patient=p1") == [id_]


def test_an_allergy_that_is_on_the_chart_already_is_59141_and_one_in_the_tank_is_not(emr: RunningEmr) -> None:
    allergy = {
        "resourceType": "AllergyIntolerance",
        "patient": {"reference": "Patient/p1"},
        "code": {"coding": [{"code": "7980"}]},
    }
    first = emr.post(allergy)
    assert first.status_code == emr.post(allergy).status_code == 201, "what is held is not compared"
    emr.store.release("AllergyIntolerance", first.headers["Location"].partition("/")[2])
    again = emr.post(allergy)
    assert (again.status_code, _detail(again)) == (400, "59141")


def test_what_the_statement_claims_beyond_the_clients_list_is_403_without_a_word(emr: RunningEmr) -> None:
    made = emr.post(note()).headers["Location"]
    body = {**note(), "id": made.partition("/")[2]}
    for refused in (emr.post(message()), emr.post(answers()), emr.put(body)):
        assert (refused.status_code, refused.content) == (403, b"")
    assert emr.post(task()).status_code == 405


def test_a_patient_is_required_and_what_is_not_known_is_ignored(emr: RunningEmr) -> None:
    assert emr.http.get("DocumentReference?type=34133-9").status_code == 400
    emr.post(note())
    asked = "DocumentReference?patient=p1&_lastUpdated=ge2030-01-01"
    answer = emr.http.get(asked, headers={"Prefer": "handling=strict"})
    assert answer.json()["total"] == 1, "a filter that was dropped returns everything"
    assert "_lastUpdated" not in answer.json()["link"][0]["url"]
    assert emr.http.get("Observation?patient=p1&category=therapy").status_code == 400


def test_what_a_clinician_deleted_is_simply_not_found(emr: RunningEmr) -> None:
    key = emr.post(note()).headers["Location"]
    emr.store.clinician_delete(*key.split("/"))
    assert emr.http.get(key).status_code == 404
