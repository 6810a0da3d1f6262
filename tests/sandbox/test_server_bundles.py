"""Transactions and batches over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.builders import OURS, RunningEmr, bundle, entry, patient, task

GOAL_URL = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
PLAN_URL = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e1"
TASK_URL = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e2"


def _goal(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Goal",
        "lifecycleStatus": "proposed",
        "description": {"text": "HbA1c below target"},
        "subject": {"reference": "Patient/p1"},
        **elements,
    }


def _plan(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "CarePlan",
        "status": "draft",
        "intent": "plan",
        "subject": {"reference": "Patient/p1"},
        **elements,
    }


def test_a_transaction_links_what_it_creates(emr: RunningEmr) -> None:
    made = emr.post(
        bundle(
            "transaction",
            entry("POST", "Task", task(basedOn=[{"reference": PLAN_URL}], focus={"reference": GOAL_URL})),
            entry("POST", "CarePlan", _plan(goal=[{"reference": GOAL_URL}]), full_url=PLAN_URL),
            entry("POST", "Goal", _goal(), full_url=GOAL_URL),
        )
    )
    assert made.status_code == 200
    response = made.json()
    assert response["type"] == "transaction-response"
    assert [part["response"]["status"] for part in response["entry"]] == ["201", "201", "201"]
    places = [part["response"]["location"].removeprefix(emr.base + "/") for part in response["entry"]]
    assert [place.partition("/")[0] for place in places] == ["Task", "CarePlan", "Goal"]
    stored = emr.http.get(places[0]).json()
    assert stored["basedOn"][0]["reference"] == places[1].removesuffix("/_history/1")
    assert stored["focus"]["reference"] == places[2].removesuffix("/_history/1")
    assert response["entry"][0]["response"]["etag"] == 'W/"1"'
    assert response["entry"][0]["response"]["lastModified"] == "2026-11-20T20:00:00.000+00:00"


def test_bodies_come_back_from_a_transaction_only_when_asked_for(emr: RunningEmr) -> None:
    posted = bundle("transaction", entry("POST", "Task", task()))
    assert "resource" not in emr.post(posted).json()["entry"][0]
    asked = emr.post(posted, Prefer="return=representation").json()["entry"][0]
    assert asked["resource"]["resourceType"] == "Task"


@pytest.mark.parametrize(
    "bad",
    [
        entry("POST", "Goal", _goal(lifecycleStatus="nonsense")),
        entry("POST", "Goal", _goal(addresses=[{"reference": "Condition/nowhere"}])),
        entry("POST", "Goal", _goal(addresses=[{"reference": TASK_URL}])),
        entry("PUT", "Patient/p2", patient("p2"), ifMatch='W/"7"'),
        entry("DELETE", "Goal/nowhere"),
        entry("POST", "Nonsense", _goal()),
        entry("POST", "Goal", _goal(), ifNoneExist="bogus=1"),
        entry("PUT", "Goal?identifier=x", _goal()),
    ],
)
def test_a_transaction_stands_whole_or_not_at_all(emr: RunningEmr, bad: dict[str, Any]) -> None:
    emr.store.load([task(id="old")])
    before = len(emr.store.journal)
    refused = emr.post(
        bundle(
            "transaction",
            entry("DELETE", "Task/old"),
            entry("POST", "Task", task()),
            entry("PUT", "Patient/p1", patient("p1", active=False)),
            bad,
        )
    )
    assert refused.status_code >= 400
    assert refused.json()["resourceType"] == "OperationOutcome"
    assert len(emr.store.journal) == before
    assert emr.found(f"Task?identifier={OURS}|t1") == ["old"]
    assert "active" not in emr.http.get("Patient/p1").json()
    assert emr.http.get("Patient/p1").headers["ETag"] == 'W/"1"'


def test_a_conditional_create_inside_a_transaction_finds_what_is_there(emr: RunningEmr) -> None:
    there = emr.post(_goal(identifier=[{"system": OURS, "value": "g"}])).json()["id"]
    condition = f"identifier={OURS}|g"
    made = emr.post(
        bundle(
            "transaction",
            entry("POST", "Goal", _goal(), full_url=GOAL_URL, ifNoneExist=condition),
            entry("POST", "CarePlan", _plan(goal=[{"reference": GOAL_URL}])),
            entry("POST", "Task", task(), ifNoneExist=f"identifier={OURS}|t1"),
        )
    ).json()
    assert [part["response"]["status"] for part in made["entry"]] == ["200", "201", "201"]
    plan = emr.http.get(made["entry"][1]["response"]["location"]).json()
    assert plan["goal"] == [{"reference": f"Goal/{there}"}]
    assert emr.store.count_identifier("Goal", OURS, "g") == 1


def test_a_conditional_create_that_matches_two_fails_the_transaction(emr: RunningEmr) -> None:
    emr.post(task())
    emr.post(task())
    posted = bundle("transaction", entry("POST", "Task", task(), ifNoneExist=f"identifier={OURS}|t1"))
    assert emr.post(posted).status_code == 412


def test_the_same_thing_twice_in_one_transaction_is_refused(emr: RunningEmr) -> None:
    condition = f"identifier={OURS}|t1"
    twice = entry("POST", "Task", task(), ifNoneExist=condition)
    assert emr.post(bundle("transaction", twice, twice)).status_code == 400
    put = entry("PUT", "Patient/p1", patient("p1"))
    assert emr.post(bundle("transaction", put, put)).status_code == 400
    assert emr.store.written() == []


def test_a_conditional_reference_is_resolved_in_a_transaction_only(emr: RunningEmr) -> None:
    emr.store.load(
        [{"resourceType": "Practitioner", "id": "d", "identifier": [{"system": "urn:npi", "value": "1"}]}]
    )
    owner = {"reference": "Practitioner?identifier=urn:npi|1"}
    assert emr.post(task(owner=owner)).status_code == 400
    made = emr.post(bundle("transaction", entry("POST", "Task", task(owner=owner)))).json()
    stored = emr.http.get(made["entry"][0]["response"]["location"]).json()
    assert stored["owner"]["reference"] == "Practitioner/d"
    nobody = {"reference": "Practitioner?identifier=urn:npi|2"}
    assert emr.post(bundle("transaction", entry("POST", "Task", task(owner=nobody)))).status_code == 412


def test_a_transaction_updates_deletes_and_reads_in_the_prescribed_order(emr: RunningEmr) -> None:
    emr.store.load([task(id="old"), task("t2", id="other")])
    made = emr.post(
        bundle(
            "transaction",
            entry("GET", "Task?identifier=t1"),
            entry("GET", "Task/other"),
            entry("PUT", "Task/other", task("t2", id="other", status="accepted"), ifMatch='W/"1"'),
            entry("DELETE", "Task/old"),
        )
    ).json()
    assert [part["response"]["status"] for part in made["entry"]] == ["200", "200", "200", "204"]
    assert made["entry"][0]["resource"]["total"] == 0
    assert made["entry"][1]["resource"]["status"] == "accepted"


def test_a_batch_takes_what_is_good_and_refuses_what_is_not(emr: RunningEmr) -> None:
    made = emr.post(
        bundle(
            "batch",
            entry("POST", "Task", task()),
            entry("POST", "Task", task(status="nonsense")),
            entry("GET", "Task?identifier=t1"),
            entry("GET", "Task/nothing"),
        )
    )
    assert made.status_code == 200
    parts = made.json()["entry"]
    assert made.json()["type"] == "batch-response"
    assert [part["response"]["status"] for part in parts] == ["201", "422", "200", "404"]
    assert parts[1]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert parts[2]["resource"]["total"] == 1


def test_entries_of_a_batch_cannot_point_to_each_other(emr: RunningEmr) -> None:
    made = emr.post(
        bundle(
            "batch",
            entry("POST", "Goal", _goal(), full_url=GOAL_URL),
            entry("POST", "Task", task(focus={"reference": GOAL_URL})),
        )
    ).json()
    assert [part["response"]["status"] for part in made["entry"]] == ["201", "400"]


@pytest.mark.parametrize(
    "posted",
    [
        {"resourceType": "Bundle", "type": "collection"},
        {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": task()}]},
        {"resourceType": "Bundle", "type": "transaction", "entry": ["text"]},
        {"resourceType": "Bundle", "type": "batch", "entry": [entry("PATCH", "Task/1", {})]},
        {"resourceType": "Bundle", "type": "batch", "entry": [{**entry("POST", "Task"), "resource": []}]},
    ],
)
def test_a_bundle_that_is_none_is_refused(emr: RunningEmr, posted: dict[str, Any]) -> None:
    assert emr.post(posted).status_code == 400


def test_an_empty_transaction_is_fine(emr: RunningEmr) -> None:
    assert emr.post(bundle("transaction")).json()["entry"] == []
