"""What our client relies on, seen on a FHIR server that nobody here wrote. When one of these fails with
a newer server, the client must learn its way, not the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.real import loading

pytestmark = pytest.mark.foreign_emr

SYSTEM = "https://cm-service.example/id/task"


@pytest.fixture
def client(foreign_emr: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=foreign_emr, timeout=60) as opened:
        yield opened


def task(**changed: Any) -> dict[str, Any]:
    """A Task that no other test knows: its identifier value is new each time."""
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "identifier": [{"system": SYSTEM, "value": uuid4().hex}],
        "for": {"reference": "Patient/somebody"},
        "description": "Call by 2026-11-27",
    } | changed


def token(resource: dict[str, Any]) -> str:
    return f"{SYSTEM}|{resource['identifier'][0]['value']}"


def create_once(client: httpx.Client, resource: dict[str, Any]) -> httpx.Response:
    condition = {"If-None-Exist": f"identifier={token(resource)}"}
    return client.post("/Task", json=resource, headers=condition)


def test_it_is_an_r4_server_and_declares_conditional_creates_of_tasks(client: httpx.Client) -> None:
    statement = client.get("/metadata").json()
    (of_task,) = [each for each in statement["rest"][0]["resource"] if each["type"] == "Task"]
    assert statement["fhirVersion"] == "4.0.1"
    assert of_task["conditionalCreate"] is True


@pytest.mark.parametrize("handling", ["strict", "lenient"])
def test_an_unknown_search_parameter_is_refused_whatever_handling_we_prefer(
    client: httpx.Client, handling: str
) -> None:
    answer = client.get("/Task", params={"no-such": "x"}, headers={"Prefer": f"handling={handling}"})
    assert answer.status_code == 400


def test_what_was_written_is_found_by_its_identifier(client: httpx.Client) -> None:
    ours = task()
    created = create_once(client, ours).json()
    found = client.get("/Task", params={"identifier": token(ours)}).json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == [created["id"]]


def test_a_second_create_with_the_same_condition_answers_200_with_the_first_resource(
    client: httpx.Client,
) -> None:
    ours = task()
    first, second = create_once(client, ours), create_once(client, ours)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["Location"] == second.headers["Location"]


def test_a_conditional_create_makes_anew_what_a_clinician_deleted(client: httpx.Client) -> None:
    """So the ledger, not the EMR, has to remember that somebody wanted it gone."""
    ours = task()
    first = create_once(client, ours).json()
    client.delete(f"/Task/{first['id']}").raise_for_status()
    assert client.get(f"/Task/{first['id']}").status_code == 410
    assert create_once(client, ours).status_code == 201


def test_an_update_with_a_stale_version_is_a_409_and_changes_nothing(client: httpx.Client) -> None:
    created = create_once(client, task())
    path, stale = f"/Task/{created.json()['id']}", {"If-Match": created.headers["ETag"]}
    accepted = created.json() | {"status": "accepted"}
    assert client.put(path, json=accepted, headers=stale).status_code == 200
    assert client.put(path, json=accepted | {"status": "failed"}, headers=stale).status_code == 409
    assert client.get(path).json()["status"] == "accepted"


def test_an_update_that_changes_nothing_keeps_the_version(client: httpx.Client) -> None:
    created = create_once(client, task())
    again = client.put(f"/Task/{created.json()['id']}", json=created.json())
    assert again.headers["ETag"] == created.headers["ETag"]


def test_pages_follow_opaque_next_links_on_the_same_server_and_miss_nothing(
    client: httpx.Client, foreign_emr: str
) -> None:
    patient = f"p-{uuid4().hex}"
    numbered = [task(id=f"t-{uuid4().hex}") | {"for": {"reference": f"Patient/{patient}"}} for _ in range(25)]
    loading.load(foreign_emr, [{"resourceType": "Patient", "id": patient}, *numbered])
    pages = list(_pages(client, f"{foreign_emr}/Task?patient={patient}&_count=10"))
    assert [len(page["entry"]) for page in pages] == [10, 10, 5]
    assert {_next(page).split("=")[0] for page in pages[:-1]} == {f"{foreign_emr}?_getpages"}
    seen = {entry["resource"]["id"] for page in pages for entry in page["entry"]}
    assert seen == {each["id"] for each in numbered}


def _pages(client: httpx.Client, url: str) -> Iterator[dict[str, Any]]:
    while url:
        page = client.get(url).raise_for_status().json()
        yield page
        url = _next(page)


def _next(page: dict[str, Any]) -> str:
    return next((link["url"] for link in page["link"] if link["relation"] == "next"), "")


def test_the_self_link_names_the_filters_that_were_applied(client: httpx.Client) -> None:
    page = client.get("/Task", params={"status": "requested", "_lastUpdated": "gt2020-01-01"}).json()
    (applied,) = [httpx.URL(link["url"]) for link in page["link"] if link["relation"] == "self"]
    assert set(applied.params) == {"status", "_lastUpdated"}


def test_a_search_for_some_elements_marks_what_it_cut_as_subsetted(client: httpx.Client) -> None:
    ours = task()
    create_once(client, ours)
    found = client.get("/Task", params={"identifier": token(ours), "_elements": "status"}).json()
    tags = found["entry"][0]["resource"]["meta"]["tag"]
    assert [tag["code"] for tag in tags] == ["SUBSETTED"]


def test_ids_may_be_chosen_by_put_unless_they_are_digits_only(client: httpx.Client) -> None:
    chosen = f"p-{uuid4().hex}"
    for identity, status in ((chosen, 201), ("20261120", 400)):
        answer = client.put(f"/Patient/{identity}", json={"resourceType": "Patient", "id": identity})
        assert answer.status_code == status


def test_validate_finds_no_error_in_a_good_task(foreign_emr: str) -> None:
    assert loading.errors_found_by(foreign_emr, task()) == []


def test_validate_finds_a_broken_invariant(foreign_emr: str) -> None:
    twice = {"reference": {"reference": "Task/x"}, "detail": {"status": "scheduled"}}
    plan = {"resourceType": "CarePlan", "status": "draft", "intent": "plan", "activity": [twice]}
    plan["subject"] = {"reference": "Patient/somebody"}
    (error,) = loading.errors_found_by(foreign_emr, plan)
    assert error.startswith("cpl-3")


def test_it_can_be_emptied_and_filled_again(client: httpx.Client, foreign_emr: str) -> None:
    person = {"resourceType": "Patient", "id": f"p-{uuid4().hex}"}
    loading.load(foreign_emr, [person])
    loading.empty(foreign_emr)
    assert client.get("/Patient").json()["total"] == 0
    assert loading.load(foreign_emr, [person]) == 1
    assert client.get(f"/Patient/{person['id']}").status_code == 200
