"""The Canvas-like sandbox: the one where Task can be written, and whole seconds guard it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cm_service.sandbox import counters
from cm_service.sandbox.personality import personality_named
from tests.sandbox.builders import RunningEmr, answers, message, note, observation, running_as, task


@pytest.fixture
def emr() -> Iterator[RunningEmr]:
    with running_as(personality_named("canvas")) as running:
        yield running


def _made(emr: RunningEmr, resource: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = emr.http.get(emr.post(resource).headers["Location"]).json()
    return body


def test_a_change_since_the_date_is_a_412_and_an_if_match_says_nothing(emr: RunningEmr) -> None:
    ours = _made(emr, task())
    seen = emr.http.get(f"Task/{ours['id']}").headers["Last-Modified"]
    emr.clock.forward(seconds=1)
    emr.store.clinician_edit("Task", ours["id"], lambda copy: copy.update(status="accepted"))
    refused = emr.put({**ours, "priority": "urgent"}, If_Unmodified_Since=seen)
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (412, "conflict")
    assert emr.put({**ours, "priority": "urgent"}, If_Unmodified_Since="yesterday").status_code == 400
    assert emr.put({**ours, "priority": "urgent"}, If_Match='W/"1"').status_code == 200
    assert [lost.element for lost in counters.lost_updates(emr.store)] == ["status"]


def test_a_change_within_the_same_second_passes_unnoticed(emr: RunningEmr) -> None:
    ours = _made(emr, task())
    seen = emr.http.get(f"Task/{ours['id']}").headers["Last-Modified"]
    emr.clock.forward(milliseconds=900)
    emr.store.clinician_edit("Task", ours["id"], lambda copy: copy.update(status="accepted"))
    assert emr.put({**ours, "priority": "urgent"}, If_Unmodified_Since=seen).status_code == 200
    assert len(counters.lost_updates(emr.store)) == 1


def test_it_has_neither_etags_nor_versions(emr: RunningEmr) -> None:
    ours = _made(emr, task())
    answer = emr.http.get(f"Task/{ours['id']}")
    assert "ETag" not in answer.headers
    assert ours["meta"].keys() == {"lastUpdated"}
    assert emr.http.get(f"Task/{ours['id']}/_history/1").status_code == 405


def test_a_form_can_only_be_withdrawn(emr: RunningEmr) -> None:
    ours = _made(emr, answers())
    assert emr.put({**ours, "status": "amended"}).status_code == 422
    assert emr.put({**ours, "status": "entered-in-error", "item": [{"linkId": "x"}]}).status_code == 200
    kept = emr.http.get(f"QuestionnaireResponse/{ours['id']}").json()
    assert (kept["status"], "item" in kept) == ("entered-in-error", False)


def test_messages_and_notes_go_in_and_observations_only_for_vital_signs(emr: RunningEmr) -> None:
    assert emr.post(message()).status_code == 201
    assert emr.post(note()).status_code == 201
    assert emr.post(observation("x")).status_code == 422, "an HbA1c is no vital sign"
    weight = {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}
    assert emr.post(observation("x", code=weight)).status_code == 201


def test_pages_hold_ten_rows_and_move_while_people_write(emr: RunningEmr) -> None:
    emr.store.load(task(f"t{number:02}", id=f"t{number:02}") for number in range(25))
    first = emr.http.get("Task?patient=p1").json()
    assert len(first["entry"]) == 10
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    assert "_offset=10" in following
    emr.store.clinician_delete("Task", "t00")
    assert emr.http.get(following).json()["entry"][0]["resource"]["id"] == "t11"


def test_a_task_is_found_by_patient_and_by_when_it_was_modified(emr: RunningEmr) -> None:
    id_ = _made(emr, task(lastModified="2026-11-20T20:00:00Z"))["id"]
    assert emr.found("Task?patient=p1&modified=ge2026-11-20") == [id_]
    refused = emr.http.get("Task?identifier=t1", headers={"Prefer": "handling=strict"})
    assert refused.status_code == 400
