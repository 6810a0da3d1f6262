"""Reads, versions, histories, and what /metadata says."""

from __future__ import annotations

import datetime as dt
import time
from email.utils import parsedate_to_datetime

import pytest

from tests.contract.servers import FHIR, Json, Server, content, link, refused

VERBS = {"read", "vread", "update", "patch", "delete", "create", "search-type"}
VERBS |= {"history-instance", "history-type"}


def test_what_was_written_is_read_with_its_version(server: Server) -> None:
    task = server.task()
    made = server.post(task)
    answer = server.get(f"/Task/{made.json()['id']}")
    assert answer.status_code == 200
    assert content(answer.json()) == content(task)
    assert (answer.headers["ETag"], answer.json()["meta"]["versionId"]) == ('W/"1"', "1")
    assert answer.headers["Content-Location"] == f"{server.base}/Task/{made.json()['id']}/_history/1"


def test_last_modified_is_the_second_of_last_updated(server: Server) -> None:
    answer = server.get(f"/Task/{server.made().json()['id']}")
    moment = parsedate_to_datetime(answer.headers["Last-Modified"])
    assert answer.json()["meta"]["lastUpdated"].startswith(moment.strftime("%Y-%m-%dT%H:%M:%S."))


@pytest.mark.parametrize("accept", [FHIR, "application/json", "*/*", f"{FHIR}, application/json;q=0.9"])
def test_json_is_answered_as_fhir_json_whatever_name_it_is_asked_by(server: Server, accept: str) -> None:
    answer = server.get(f"/Patient/{server.patient}", Accept=accept)
    assert answer.headers["Content-Type"].partition(";")[0] in (FHIR, accept)
    assert answer.json()["id"] == server.patient


def test_format_goes_before_the_header(server: Server) -> None:
    answer = server.get(f"/Patient/{server.patient}?_format=json", Accept="application/xml")
    assert answer.json()["id"] == server.patient


def test_some_elements_are_marked_as_subsetted(server: Server) -> None:
    made = server.made().json()
    some = server.get(f"/Task/{made['id']}?_elements=status").json()
    assert [tag["code"] for tag in some["meta"]["tag"]] == ["SUBSETTED"]
    assert (content(some), some["meta"]["versionId"]) == (
        {"resourceType": "Task", "status": "requested"},
        "1",
    )
    assert "tag" not in server.get(f"/Task/{made['id']}").json()["meta"]


@pytest.mark.parametrize(
    "path", ["/Task/nobody-knows-it", "/Task/999999999", "/Task/not_an_id", "/Nonsense/1"]
)
def test_what_never_was_is_a_404(server: Server, path: str) -> None:
    refused(server.get(path), 404)


def test_every_version_can_be_read_and_the_history_has_them_newest_first(server: Server) -> None:
    made = server.made().json()
    path = f"/Task/{made['id']}"
    server.put({**made, "status": "accepted"}).raise_for_status()
    server.delete(path).raise_for_status()
    statuses = [server.get(f"{path}/_history/{number}").json()["status"] for number in (1, 2)]
    assert statuses == ["requested", "accepted"]
    history = server.get(f"{path}/_history").json()
    assert (history["type"], history["total"]) == ("history", 3)
    assert [each["request"]["method"] for each in history["entry"]] == ["DELETE", "PUT", "POST"]
    versions = [each.get("resource", {}).get("meta", {}).get("versionId") for each in history["entry"]]
    assert versions == [None, "2", "1"]


def test_the_history_of_a_type_tells_what_changed_since_and_what_was_deleted(server: Server) -> None:
    old = server.made().json()
    kept, gone = server.made().json(), server.made().json()
    server.delete(f"/Task/{gone['id']}").raise_for_status()
    since = instant_after(old["meta"]["lastUpdated"])
    while instant_after(kept["meta"]["lastUpdated"], seconds=0) < since:  # in the same second as `old`
        time.sleep(0.2)
        kept = server.put({**kept, "description": f"Call by {time.time()}"}).json()
        gone = server.made().json()
        server.delete(f"/Task/{gone['id']}").raise_for_status()
    page = server.get(f"/Task/_history?_since={since}&_count=200").json()
    assert page["type"] == "history"
    told = [(each["request"]["method"], id_in(each)) for each in page["entry"]]
    assert ("DELETE", gone["id"]) in told
    assert kept["id"] in {id_ for method, id_ in told if method != "DELETE"}
    assert old["id"] not in {id_ for _, id_ in told}
    assert told.index(("DELETE", gone["id"])) < told.index(("POST", gone["id"])), "the newest first"


def test_a_long_history_of_a_type_comes_whole_or_says_that_it_does_not(server: Server) -> None:
    """The foreign server gives one page, of the size that was asked for (else 20), without a link to the
    next one: only `total` tells."""
    first = server.made().json()
    ids = {server.made().json()["id"] for _ in range(24)}
    since = instant_after(first["meta"]["lastUpdated"], seconds=0)
    page, found = server.get(f"/Task/_history?_since={since}&_count=1000").json(), list[str]()
    while True:
        found += [id_in(each) for each in page.get("entry", ())]
        if not link(page, "next"):
            break
        page = server.http.get(link(page, "next")).json()
    assert ids <= set(found)
    some = server.get(f"/Task/_history?_since={since}&_count=2").json()
    assert link(some, "next") or some["total"] > len(some["entry"])


def instant_after(instant: str, *, seconds: int = 1) -> str:
    moment = dt.datetime.fromisoformat(instant).astimezone(dt.UTC).replace(microsecond=0)
    return f"{moment + dt.timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def id_in(each: Json) -> str:
    """What an entry of a history is about."""
    url = str(each["request"]["url"])
    return str(each["resource"]["id"]) if "resource" in each else url.partition("Task/")[2].partition("/")[0]


def test_versions_and_histories_that_are_not_there_are_404(server: Server) -> None:
    made = server.made().json()
    refused(server.get(f"/Task/{made['id']}/_history/9"), 404)
    refused(server.get("/Task/nobody-knows-it/_history/1"), 404)
    refused(server.get("/Task/nobody-knows-it/_history"), 404)


def test_metadata_promises_what_the_tests_here_try(server: Server) -> None:
    answer = server.get("/metadata")
    statement = answer.json()
    assert (answer.status_code, statement["fhirVersion"]) == (200, "4.0.1")
    assert FHIR in statement["format"]
    (rest,) = statement["rest"]
    assert "transaction" in {each["code"] for each in rest["interaction"]}
    types = {each["type"]: each for each in rest["resource"]}
    for kind in ("Task", "Goal", "CarePlan", "Communication", "DocumentReference"):
        assert {each["code"] for each in types[kind]["interaction"]} >= VERBS
        assert types[kind]["conditionalCreate"] is True
        names = {each["name"] for each in types[kind]["searchParam"]}
        assert names >= {"_id", "identifier", "patient", "status" if kind != "Goal" else "lifecycle-status"}


def test_the_base_itself_is_no_resource(server: Server) -> None:
    refused(server.get(""), 400)
    refused(server.get("?_getpages=nobody-knows-it"), 410)
