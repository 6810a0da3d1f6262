"""EMRs that take forms or messages (athenahealth, eClinicalWorks, MEDITECH), and one that takes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cm_service.sandbox import counters
from cm_service.sandbox.personality import personality_named
from tests.sandbox.builders import OURS, RunningEmr, answers, message, observation, running_as


@contextmanager
def emr_of(name: str) -> Iterator[RunningEmr]:
    with running_as(personality_named(name)) as running:
        yield running


def report(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "MeasureReport",
        "identifier": [{"system": OURS, "value": "gap1"}],
        "status": "complete",
        "type": "individual",
        "measure": "https://cm.example/Measure/care-management",
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-11-20"},
        **elements,
    }


@pytest.mark.parametrize("name", ["athena", "ecw", "meditech"])
def test_a_form_goes_in_and_is_found_by_its_patient_and_not_by_identifier(name: str) -> None:
    with emr_of(name) as emr:
        made = emr.post(answers())
        assert (made.status_code, made.content) == (201, b"")
        id_ = made.headers["Location"].rpartition("/")[2]
        assert emr.found("QuestionnaireResponse?patient=p1") == [id_]
        assert emr.http.get(f"QuestionnaireResponse/{id_}").json()["identifier"]["value"] == "q1"
        strict = {"Prefer": "handling=strict"}
        url = f"QuestionnaireResponse?patient=p1&identifier={OURS}|q1"
        assert emr.http.get(url, headers=strict).status_code == 400
        assert emr.post(answers(questionnaire="")).status_code == 400
        assert emr.post({k: v for k, v in answers().items() if k != "questionnaire"}).status_code == 400


@pytest.mark.parametrize("name", ["athena", "ecw", "meditech", "canvas"])
def test_if_none_exist_does_nothing(name: str) -> None:
    with emr_of(name) as emr:
        for _ in range(2):
            made = emr.post(answers(), If_None_Exist=f"identifier={OURS}|q1")
            assert made.status_code == 201
        assert len(counters.duplicates(emr.store)[(OURS, "q1")]) == 2


def test_athena_compares_last_updated_by_whole_days_and_takes_no_time() -> None:
    with emr_of("athena") as emr:
        emr.store.load([observation("o1")])
        for since, total in (
            ("ge2026-11-20", 1),
            ("gt2026-11-20", 0),
            ("2026-11-20", 1),
            ("ge2026-11-21", 0),
        ):
            found = emr.http.get(f"Observation?patient=p1&_lastUpdated={since}").json()
            assert found["total"] == total, since
        assert emr.http.get("Observation?patient=p1&_lastUpdated=ge2026-11-20T20:00:00Z").status_code == 400
        assert emr.http.get("Observation?_lastUpdated=ge2026-11-20").status_code == 400


def test_athenas_inlet_takes_care_gaps_and_shows_nothing_of_them() -> None:
    with emr_of("athena") as emr:
        parcels: list[dict[str, Any]] = [
            report(),
            {"resourceType": "Parameters", "parameter": [{"name": "gaps", "resource": report()}]},
            {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": report()}]},
        ]
        for parcel in parcels:
            taken = emr.http.post(
                "MeasureReport/$submit-care-gaps",
                json=parcel,
                headers={"Content-Type": "application/fhir+json"},
            )
            assert (taken.status_code, taken.json()["resourceType"]) == (200, "OperationOutcome")
        assert len(counters.copies(emr.store)[(OURS, "gap1")]) == 3
        assert emr.http.get("MeasureReport?subject=Patient/p1").status_code == 405
        (key, *_) = counters.copies(emr.store)[(OURS, "gap1")]
        assert emr.http.get(key).status_code == 405


@pytest.mark.parametrize(
    "parcel",
    [
        {"resourceType": "Parameters"},
        report(measure=""),
        report(subject={"reference": "Patient/nobody"}),
        report(subject={"display": "somebody"}),
    ],
)
def test_athenas_inlet_refuses_what_it_cannot_place(parcel: dict[str, Any]) -> None:
    with emr_of("athena") as emr:
        headers = {"Content-Type": "application/fhir+json"}
        refused = emr.http.post("MeasureReport/$submit-care-gaps", json=parcel, headers=headers)
        assert refused.status_code == 400
        assert emr.store.written() == []
        assert emr.http.post("MeasureReport/$evaluate", json=parcel, headers=headers).status_code == 404


def test_ecw_answers_250_calls_a_minute_and_then_none_until_the_next() -> None:
    with emr_of("ecw") as emr:
        emr.clock.forward(seconds=30)
        statuses = [emr.http.get("metadata").status_code for _ in range(260)]
        assert statuses == [200] * 250 + [429] * 10
        emr.clock.forward(seconds=29)
        full = emr.post(answers())
        assert (full.status_code, "Retry-After" in full.headers) == (429, False)
        assert emr.store.written() == []
        emr.clock.forward(seconds=1)
        assert emr.post(answers()).status_code == 201, "the count starts anew at the top of the minute"


def test_ecw_declares_a_parameter_that_filters_nothing() -> None:
    with emr_of("ecw") as emr:
        emr.store.load([observation("o1")])
        answer = emr.http.get("Observation?patient=p1&_since=2030-01-01")
        assert answer.json()["total"] == 1
        assert "_since=2030-01-01" in answer.json()["link"][0]["url"]


def test_ecws_pages_are_numbered_and_each_is_a_new_search() -> None:
    with emr_of("ecw") as emr:
        emr.store.load(observation(f"o{number:02}") for number in range(6))
        assert emr.found("Observation?patient=p1&_count=2&page=2") == ["o02", "o03"]
        emr.store.clinician_delete("Observation", "o00")
        assert emr.found("Observation?patient=p1&_count=2&page=2") == ["o03", "o04"], "a row has slipped"
        assert emr.http.get("Observation?patient=p1&page=0").status_code == 400
        assert emr.http.get("Observation?patient=p1&page=x").status_code == 400


def test_meditech_sends_an_etag_that_proves_nothing() -> None:
    with emr_of("meditech") as emr:
        made = emr.post(answers())
        assert made.headers["ETag"] == 'W/"1"'
        body = {**answers(), "id": made.headers["Location"].rpartition("/")[2]}
        assert emr.put({**body, "status": "amended"}, If_Match='W/"1"').status_code == 200
        assert emr.put({**body, "status": "stopped"}, If_Match='W/"1"').status_code == 200


def test_meditech_takes_messages_and_reads_tasks_by_id_alone() -> None:
    with emr_of("meditech") as emr:
        assert emr.post(message()).status_code == 201
        assert len(emr.found("Communication?patient=p1")) == 1
        assert emr.http.get("Task").status_code == 405


def test_nextgen_takes_nothing_and_counts_with_a_parameter_of_its_own() -> None:
    with emr_of("nextgen") as emr:
        for body in (answers(), observation("o")):
            assert emr.post(body).status_code == 405
        emr.store.load(observation(f"o{number}") for number in range(5))
        assert len(emr.found("Observation?patient=p1&_maxresults=2")) == 2
        assert len(emr.found("Observation?patient=p1&_count=2")) == 5, "_count means nothing here"
        assert emr.http.get("Observation/o1").json()["meta"].keys() == {"lastUpdated"}
        rows = emr.http.get("metadata").json()["rest"][0]["resource"]
        assert {row["versioning"] for row in rows} == {"no-version"}
