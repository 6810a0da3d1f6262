"""Creates, updates with and without a precondition, deletes, patches."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.servers import FHIR, Server, condition, content, refused, token

# --- create


def test_a_create_answers_201_with_location_version_and_body(server: Server) -> None:
    task = server.task()
    answer = server.post(task)
    made = answer.json()
    assert (answer.status_code, answer.headers["ETag"], made["meta"]["versionId"]) == (201, 'W/"1"', "1")
    assert answer.headers["Location"] == f"{server.base}/Task/{made['id']}/_history/1"
    assert "Last-Modified" in answer.headers
    assert content(made) == content(task)


def test_a_create_gives_its_own_id_a_number(server: Server) -> None:
    made = server.made(id="wanted-by-us").json()
    assert made["id"].isdecimal()


@pytest.mark.parametrize("verb", ["post", "put"])
@pytest.mark.parametrize("preferred", ["minimal", "representation", "OperationOutcome"])
def test_as_much_comes_back_as_is_preferred(server: Server, verb: str, preferred: str) -> None:
    prefer = {"Prefer": f"return={preferred}"}
    task = server.task(id=f"t-{uuid4().hex}")
    answer = server.put(task, **prefer) if verb == "put" else server.post(task, **prefer)
    assert (answer.status_code, answer.headers["ETag"]) == (201, 'W/"1"')
    expected = {"minimal": None, "representation": "Task", "OperationOutcome": "OperationOutcome"}[preferred]
    assert (answer.json()["resourceType"] if answer.content else None) == expected


def test_the_same_condition_answers_200_with_the_first(server: Server) -> None:
    task = server.task()
    first, second = (server.post(task, **condition(task)) for _ in range(2))
    third = server.post(task, If_None_Exist=f"Task?identifier={token(task)}", Prefer="return=minimal")
    assert [each.status_code for each in (first, second, third)] == [201, 200, 200]
    assert first.headers["Location"] == second.headers["Location"] == third.headers["Location"]
    assert (second.json()["id"], third.content) == (first.json()["id"], b"")
    assert server.found(f"/Task?identifier={token(task)}") == [first.json()["id"]]


def test_the_condition_does_not_update(server: Server) -> None:
    task = server.task()
    first = server.post(task, **condition(task)).json()
    again = server.post({**task, "status": "accepted"}, **condition(task))
    assert (again.status_code, again.json()["status"], again.json()["id"]) == (200, "requested", first["id"])


def test_a_condition_that_finds_two_is_a_412(server: Server) -> None:
    task = server.task()
    for _ in range(2):
        server.post(task).raise_for_status()
    refused(server.post(task, **condition(task)), 412)


def test_the_condition_does_not_see_what_was_deleted(server: Server) -> None:
    """So the ledger, not the EMR, has to remember that somebody wanted it gone."""
    task = server.task()
    first = server.post(task, **condition(task)).json()
    server.delete(f"/Task/{first['id']}").raise_for_status()
    again = server.post(task, **condition(task))
    assert (again.status_code, again.json()["id"] == first["id"]) == (201, False)


@pytest.mark.parametrize("asked", ["no-such=x", "Task?"])
def test_a_condition_that_is_not_understood_is_refused(server: Server, asked: str) -> None:
    refused(server.post(server.task(), If_None_Exist=asked), 400)


def test_an_empty_condition_is_none(server: Server) -> None:
    assert server.post(server.task(), If_None_Exist="").status_code == 201


# --- what a body may be


@pytest.mark.parametrize("body", [b'{"resourceType":"Task",', b"", b"[]", b"<Task/>", b"null"])
def test_what_is_no_json_object_is_a_400(server: Server, body: bytes) -> None:
    refused(server.http.post("/Task", content=body, headers={"Content-Type": FHIR}), 400)


@pytest.mark.parametrize("body", [{"resourceType": "Goal"}, {"status": "requested"}, {"resourceType": "No"}])
def test_another_type_than_the_url_says_is_a_400(server: Server, body: dict[str, Any]) -> None:
    refused(server.http.post("/Task", json=body, headers={"Content-Type": FHIR}), 400)
    refused(server.http.put("/Task/t", json={**body, "id": "t"}, headers={"Content-Type": FHIR}), 400)


@pytest.mark.parametrize(
    ("media", "status"),
    [
        (FHIR, 201),
        (f"{FHIR}; charset=utf-8", 201),
        ("application/json", 201),
        ("text/plain", 400),
        ("x/y", 400),
    ],
)
def test_the_content_type_of_a_body_counts(server: Server, media: str, status: int) -> None:
    body = json.dumps(server.task()).encode()
    answer = server.http.post("/Task", content=body, headers={"Content-Type": media})
    assert answer.status_code == status, answer.text


def test_a_code_that_fhir_does_not_know_is_a_400(server: Server) -> None:
    refused(server.post(server.task(status="bogus")), 400)


def test_missing_elements_are_taken(server: Server) -> None:
    """It validates nothing: what we send must be valid by our own doing."""
    assert server.post(server.task(status=None)).status_code == 201


# --- references


def test_a_reference_that_leads_nowhere_makes_an_empty_resource_there(server: Server) -> None:
    nobody = f"p-{uuid4().hex}"
    server.made(**{"for": {"reference": f"Patient/{nobody}"}})
    placeholder = server.get(f"/Patient/{nobody}")
    assert placeholder.status_code == 200
    assert set(content(placeholder.json())) <= {"resourceType", "text"}


def test_a_number_that_nobody_has_is_refused_as_a_target(server: Server) -> None:
    refused(server.post(server.task(**{"for": {"reference": "Patient/999999999"}})), 400)


def test_a_deleted_target_is_refused(server: Server) -> None:
    server.delete(f"/Patient/{server.patient}").raise_for_status()
    refused(server.post(server.task()), 400)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("{base}/Patient/{patient}", "Patient/{patient}"),
        ("https://other.example/fhir/Patient/1", "https://other.example/fhir/Patient/1"),
    ],
)
def test_references_to_itself_become_relative(server: Server, sent: str, kept: str) -> None:
    names = {"base": server.base, "patient": server.patient}
    made = server.made(**{"for": {"reference": sent.format(**names)}}).json()
    assert server.get(f"/Task/{made['id']}").json()["for"]["reference"] == kept.format(**names)


# --- update


@pytest.mark.parametrize("tag", ['W/"1"', '"1"'])
def test_an_update_with_the_current_version_makes_the_next(server: Server, tag: str) -> None:
    made = server.made().json()
    answer = server.put({**made, "status": "accepted"}, If_Match=tag)
    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
    assert (answer.json()["status"], answer.json()["meta"]["versionId"]) == ("accepted", "2")
    assert answer.headers["Content-Location"] == f"{server.base}/Task/{made['id']}/_history/2"
    assert "Location" not in answer.headers


@pytest.mark.parametrize("tag", ['W/"1"', 'W/"7"'])
def test_another_version_is_a_409_and_changes_nothing(server: Server, tag: str) -> None:
    made = server.made().json()
    server.put({**made, "status": "accepted"}).raise_for_status()
    refused(server.put({**made, "status": "failed"}, If_Match=tag), 409)
    refused(server.put({**made, "status": "accepted"}, If_Match=tag), 409)
    now = server.get(f"/Task/{made['id']}").json()
    assert (now["status"], now["meta"]["versionId"]) == ("accepted", "2")


def test_an_update_that_changes_nothing_keeps_the_version(server: Server) -> None:
    made = server.made().json()
    again = server.put(made)
    assert (again.status_code, again.headers["ETag"]) == (200, 'W/"1"')


def test_the_version_in_the_body_guards_nothing(server: Server) -> None:
    made = server.made().json()
    server.put({**made, "status": "accepted"}).raise_for_status()
    over = server.put({**made, "status": "failed"})
    assert (over.status_code, over.headers["ETag"]) == (200, 'W/"3"')


def test_the_id_of_the_body_must_be_that_of_the_url(server: Server) -> None:
    made = server.made().json()
    for body in ({**made, "id": "other"}, {k: v for k, v in made.items() if k != "id"}):
        answer = server.http.put(f"/Task/{made['id']}", json=body, headers={"Content-Type": FHIR})
        refused(answer, 400)


def test_an_id_may_be_chosen_but_no_number(server: Server) -> None:
    chosen = server.task(id=f"t-{uuid4().hex}")
    answer = server.put(chosen)
    assert (answer.status_code, answer.headers["ETag"]) == (201, 'W/"1"')
    assert server.get(f"/Task/{chosen['id']}").json()["description"] == chosen["description"]
    refused(server.put(server.task(id="20261120")), 400)


def test_if_match_on_what_never_was_is_ignored(server: Server) -> None:
    assert server.put(server.task(id=f"t-{uuid4().hex}"), If_Match='W/"1"').status_code == 201


# --- delete


def test_a_delete_answers_200_and_can_be_repeated(server: Server) -> None:
    path = f"/Task/{server.made().json()['id']}"
    for _ in range(2):
        answer = server.delete(path)
        assert answer.status_code == 200
        assert answer.json()["resourceType"] == "OperationOutcome"
    refused(server.get(path), 410)
    refused(server.delete("/Task/nobody-knows-it"), 404)


def test_a_delete_has_no_precondition(server: Server) -> None:
    made = server.made().json()
    assert server.delete(f"/Task/{made['id']}", If_Match='W/"9"').status_code == 200


def test_what_was_deleted_comes_back_by_an_update_and_not_by_one_with_its_old_version(server: Server) -> None:
    made = server.made().json()
    server.delete(f"/Task/{made['id']}").raise_for_status()
    refused(server.put(made, If_Match='W/"1"'), 409)
    back = server.put(made)
    assert back.status_code == 201
    assert int(back.json()["meta"]["versionId"]) > 2


# --- patch, and what is not done


def test_a_patch_changes_one_element_and_a_wrong_path_is_a_400(server: Server) -> None:
    path, media = f"/Task/{server.made().json()['id']}", {"Content-Type": "application/json-patch+json"}
    change = [{"op": "replace", "path": "/status", "value": "ready"}]
    answer = server.http.patch(path, json=change, headers=media)
    assert (answer.status_code, server.get(path).json()["status"]) == (200, "ready")
    wrong = [{"op": "replace", "path": "/no-such/3", "value": 1}]
    refused(server.http.patch(path, json=wrong, headers=media), 400)
    refused(server.http.patch(path, json=change, headers={"Content-Type": FHIR}), 400)


@pytest.mark.parametrize(("method", "path"), [("PUT", "/Task"), ("DELETE", "/Task"), ("POST", "/Task/{id}")])
def test_what_is_not_done_at_an_address_is_a_400(server: Server, method: str, path: str) -> None:
    made = server.made().json()
    refused(server.http.request(method, path.format(id=made["id"]), json=made), 400)
    refused(server.post({"resourceType": "Nonsense"}), 404)
