"""Transactions stand whole or not at all; batches are many requests."""

from __future__ import annotations

from uuid import uuid4

from tests.contract.servers import Json, Server, bundle, condition, entry, refused, token


def status(each: Json) -> int:
    return int(each["response"]["status"].partition(" ")[0])


def test_entries_may_point_to_each_other(server: Server) -> None:
    goal, task = f"urn:uuid:{uuid4()}", f"urn:uuid:{uuid4()}"
    wanted = {"resourceType": "Goal", "lifecycleStatus": "proposed", "description": {"text": "HbA1c"}}
    wanted["subject"] = {"reference": f"Patient/{server.patient}"}
    answer = server.post(
        bundle(
            "transaction",
            entry("POST", "Task", server.task(focus={"reference": goal}), full_url=task),
            entry("POST", "Goal", wanted, full_url=goal),
        )
    )
    assert (answer.status_code, answer.json()["type"]) == (200, "transaction-response")
    first, second = answer.json()["entry"]
    assert [status(each) for each in (first, second)] == [201, 201]
    assert first["response"]["status"] == "201 Created"
    made = server.get("/" + first["response"]["location"].partition("/_history")[0]).json()
    assert made["focus"]["reference"] == second["response"]["location"].partition("/_history")[0]


def test_an_answer_names_place_version_and_moment(server: Server) -> None:
    (made,) = server.post(bundle("transaction", entry("POST", "Task", server.task()))).json()["entry"]
    type_, id_, *rest = made["response"]["location"].split("/")
    assert (type_, rest, made["response"]["etag"]) == ("Task", ["_history", "1"], "1")
    assert "lastModified" in made["response"]
    assert "resource" not in made
    assert server.get(f"/Task/{id_}").status_code == 200


def test_a_conditional_create_in_a_transaction_is_done_once(server: Server) -> None:
    task = server.task()
    one = entry("POST", "Task", task, ifNoneExist=condition(task)["If_None_Exist"])
    answers = [server.post(bundle("transaction", one)).json()["entry"][0] for _ in range(2)]
    assert [status(each) for each in answers] == [201, 200]
    assert answers[0]["response"]["location"] == answers[1]["response"]["location"]


def test_reads_see_what_the_same_transaction_wrote(server: Server) -> None:
    task = server.task(id=f"t-{uuid4().hex}")
    read = entry("GET", f"Task?identifier={token(task)}")
    answer = server.post(bundle("transaction", entry("PUT", f"Task/{task['id']}", task), read)).json()
    assert status(answer["entry"][0]) == 201
    found = answer["entry"][1]["resource"]
    assert [each["resource"]["id"] for each in found["entry"]] == [task["id"]]


def test_one_entry_that_fails_undoes_all(server: Server) -> None:
    good, other = server.task(), server.made().json()
    stale = entry("PUT", f"Task/{other['id']}", {**other, "status": "failed"}, ifMatch='W/"9"')
    refused(server.post(bundle("transaction", entry("POST", "Task", good), stale)), 409)
    bad = entry("POST", "Task", server.task(**{"for": {"reference": "Patient/999999999"}}))
    refused(server.post(bundle("transaction", entry("POST", "Task", good), bad)), 400)
    assert server.found(f"/Task?identifier={token(good)}") == []
    assert server.get(f"/Task/{other['id']}").json()["meta"]["versionId"] == "1"


def test_the_same_thing_twice_in_one_transaction_is_refused(server: Server) -> None:
    task = server.task(id=f"t-{uuid4().hex}")
    put = entry("PUT", f"Task/{task['id']}", task)
    ours = server.task()
    post = entry("POST", "Task", ours, ifNoneExist=condition(ours)["If_None_Exist"])
    refused(server.post(bundle("transaction", put, put)), 400)
    refused(server.post(bundle("transaction", post, post)), 400)


def test_a_conditional_reference_finds_its_resource(server: Server) -> None:
    made = server.made().json()
    pointing = server.task(basedOn=[{"reference": f"Task?identifier={token(made)}"}])
    (answer,) = server.post(bundle("transaction", entry("POST", "Task", pointing))).json()["entry"]
    stored = server.get("/" + answer["response"]["location"]).json()
    assert stored["basedOn"] == [{"reference": f"Task/{made['id']}"}]


def test_what_is_no_transaction_or_batch_is_refused(server: Server) -> None:
    refused(server.post(bundle("collection")), 400)
    refused(server.post(bundle("transaction", {"resource": server.task()})), 400)
    answer = server.http.post("", json=server.task(), headers={"Content-Type": "application/fhir+json"})
    refused(answer, 400)


def test_in_a_batch_each_entry_stands_for_itself(server: Server) -> None:
    good, bad = server.task(), server.task(**{"for": {"reference": "Patient/999999999"}})
    entries = [entry("POST", "Task", good), entry("POST", "Task", bad), entry("GET", "Task/nobody-knows-it")]
    answer = server.post(bundle("batch", *entries)).json()
    assert answer["type"] == "batch-response"
    assert [status(each) for each in answer["entry"]] == [201, 400, 404]
    assert len(server.found(f"/Task?identifier={token(good)}")) == 1
