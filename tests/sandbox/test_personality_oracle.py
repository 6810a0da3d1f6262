"""The Oracle-Health-like sandbox: silent, particular about dates, and a conflict is a 409."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cm_service.sandbox import counters
from cm_service.sandbox.personality import personality_named
from tests.sandbox.builders import OURS, RunningEmr, encounter, message, note, observation, running_as

PATCH = {"Content-Type": "application/json-patch+json"}


@pytest.fixture
def emr() -> Iterator[RunningEmr]:
    with running_as(personality_named("oracle")) as running:
        yield running


def _id(made: Any) -> str:
    return str(made.headers["Location"].rpartition("/")[2])


def test_a_create_is_an_empty_201_with_an_absolute_location_whatever_is_preferred(emr: RunningEmr) -> None:
    made = emr.post(note(), Prefer="return=representation")
    assert (made.status_code, made.content) == (201, b"")
    assert made.headers["Location"].startswith(f"{emr.base}/DocumentReference/")
    assert "_history" not in made.headers["Location"]
    assert made.headers["ETag"] == 'W/"0"'


def test_what_is_not_supported_is_dropped_in_silence(emr: RunningEmr) -> None:
    made = emr.post(message(note=[{"text": "why"}], medium=[{"text": "phone"}]))
    kept = emr.http.get(made.headers["Location"]).json()
    assert set(kept) == {"resourceType", "id", "meta", "status", "subject", "payload"}
    assert counters.copies(emr.store) == {(OURS, "m1"): [f"Communication/{_id(made)}"]}


def test_a_stale_if_match_is_a_409_and_an_update_says_nothing(emr: RunningEmr) -> None:
    body = {**note(), "id": (id_ := _id(emr.post(note())))}
    updated = emr.put({**body, "description": "v2"}, If_Match='W/"0"')
    assert (updated.status_code, updated.content, updated.headers["ETag"]) == (200, b"", 'W/"1"')
    assert emr.put({**body, "description": "v3"}, If_Match='W/"0"').status_code == 409
    assert emr.http.get(f"DocumentReference/{id_}").json()["description"] == "v2"


def test_a_communication_is_patched_with_a_test_and_a_version(emr: RunningEmr) -> None:
    url = f"Communication/{_id(emr.post(message()))}"
    operations = [
        {"op": "test", "path": "/status", "value": "completed"},
        {"op": "replace", "path": "/status", "value": "entered-in-error"},
        {"op": "add", "path": "/payload/-", "value": {"contentString": "withdrawn"}},
    ]
    done = emr.http.patch(url, json=operations, headers={**PATCH, "If-Match": 'W/"0"'})
    assert done.status_code == 200, done.text
    kept = emr.http.get(url).json()
    assert (kept["status"], len(kept["payload"])) == ("entered-in-error", 2)
    assert emr.http.patch(url, json=operations, headers={**PATCH, "If-Match": 'W/"0"'}).status_code == 409
    assert emr.http.patch(url, json=operations, headers=PATCH).status_code == 422, "the test does not hold"
    assert emr.http.patch(url, json=[{"op": "remove", "path": "/nothing"}], headers=PATCH).status_code == 400
    assert emr.http.patch(url, json={}, headers=PATCH).status_code == 400
    assert emr.http.patch(url, json=operations).status_code == 415


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"date": "2026-11-20"}, 400),
        ({"content": [{"attachment": {"contentType": "image/png", "data": "eA=="}}]}, 400),
        ({"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, 422),
    ],
)
def test_a_note_must_be_as_its_pages_say(emr: RunningEmr, changed: dict[str, Any], status: int) -> None:
    assert emr.post(note(**changed)).status_code == status


def test_notes_are_found_by_patient_and_messages_by_id_or_three_things_together(emr: RunningEmr) -> None:
    emr.post(note())
    id_ = _id(emr.post(message()))
    assert len(emr.found("DocumentReference?patient=p1")) == 1
    strict = {"Prefer": "handling=strict"}
    wanted = f"identifier={OURS}|n1"
    assert emr.http.get(f"DocumentReference?patient=p1&{wanted}", headers=strict).status_code == 400
    assert emr.http.get("Communication?patient=p1").status_code == 400
    assert emr.found(f"Communication?_id={id_}") == [id_]


def test_an_encounter_is_taken_without_its_class(emr: RunningEmr) -> None:
    made = emr.post(encounter("any"))
    assert "class" not in emr.http.get(made.headers["Location"]).json()


def test_the_activities_of_a_care_plan_are_never_returned(emr: RunningEmr) -> None:
    plan = {
        "resourceType": "CarePlan",
        "id": "c1",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": "Patient/p1"},
        "activity": [{"detail": {"status": "scheduled"}}],
    }
    emr.store.load([plan])
    assert "activity" not in emr.http.get("CarePlan/c1").json()
    assert "activity" not in emr.http.get("CarePlan?patient=p1").text


def test_dates_are_asked_in_pairs_and_not_with_last_updated(emr: RunningEmr) -> None:
    assert emr.http.get("CarePlan?patient=p1&date=ge2026-01-01").status_code == 400
    assert emr.http.get("CarePlan?patient=p1&date=ge2026-01-01&date=le2026-12-31").status_code == 200
    both = "Observation?patient=p1&date=ge2026-01-01&_lastUpdated=ge2026-01-01"
    assert emr.http.get(both).status_code == 400
    assert emr.http.get("Goal?patient=p1&_lastUpdated=ge2026-01-01").json()["total"] == 0
    refused = emr.http.get("Goal?patient=p1&_lastUpdated=ge2026-01-01", headers={"Prefer": "handling=strict"})
    assert refused.status_code == 400


def test_the_last_row_of_a_page_comes_again_on_the_next(emr: RunningEmr) -> None:
    emr.store.load(observation(f"o{number:02}") for number in range(60))
    first = emr.http.get("Observation?patient=p1").json()
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    assert "pageContext=" in following
    second = emr.http.get(following).json()
    assert second["entry"][0]["resource"]["id"] == first["entry"][-1]["resource"]["id"]
