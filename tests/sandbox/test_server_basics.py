"""Read, create, update, delete and history over real HTTP."""

from __future__ import annotations

import pytest

from tests.sandbox.builders import OURS, RunningEmr, observation, patient, task


def _issue(answer: object) -> dict[str, str]:
    body = answer.json()  # type: ignore[attr-defined]
    assert body["resourceType"] == "OperationOutcome"
    return body["issue"][0]


def test_a_created_resource_can_be_read_where_its_location_says(emr: RunningEmr) -> None:
    made = emr.post(task())
    assert made.status_code == 201
    assert made.headers["Location"].startswith(f"{emr.base}/Task/")
    assert made.headers["ETag"] == 'W/"1"'
    assert made.headers["Last-Modified"] == "Fri, 20 Nov 2026 20:00:00 GMT"
    assert emr.http.get(made.headers["Location"]).json() == made.json()
    assert made.json()["meta"] == {"versionId": "1", "lastUpdated": "2026-11-20T20:00:00.000+00:00"}


def test_an_id_and_a_version_that_the_client_sends_in_a_create_are_ignored(emr: RunningEmr) -> None:
    made = emr.post(task(id="mine", meta={"versionId": "9", "lastUpdated": "1999-01-01T00:00:00Z"})).json()
    assert made["id"] != "mine"
    assert made["meta"]["versionId"] == "1"


def test_profiles_and_tags_in_meta_are_kept(emr: RunningEmr) -> None:
    assert emr.post(task(meta={"profile": ["http://x.example/p"]})).json()["meta"]["profile"] == [
        "http://x.example/p"
    ]


@pytest.mark.parametrize(
    ("prefer", "body"),
    [
        ("return=minimal", None),
        ("return=representation", "Task"),
        ("return=OperationOutcome", "OperationOutcome"),
        ("handling=strict, return=minimal", None),
    ],
)
def test_prefer_says_how_much_of_an_answer_comes_back(emr: RunningEmr, prefer: str, body: str | None) -> None:
    made = emr.post(task(), Prefer=prefer)
    assert made.headers["Location"]
    assert (made.json()["resourceType"] if made.content else None) == body


def test_decimals_keep_every_digit_that_was_sent(emr: RunningEmr) -> None:
    raw = (
        b'{"resourceType":"Observation","status":"final","code":{"text":"x"},'
        b'"valueQuantity":{"value":7.10,"unit":"%"}}'
    )
    made = emr.http.post("Observation", content=raw, headers={"Content-Type": "application/fhir+json"})
    assert b'"value":7.10,' in made.content


def test_an_update_makes_a_new_version_and_the_old_one_stays_readable(emr: RunningEmr) -> None:
    made = emr.post(task()).json()
    emr.clock.forward(seconds=1)
    changed = emr.put({**made, "status": "accepted"}, If_Match='W/"1"')
    assert (changed.status_code, changed.headers["ETag"]) == (200, 'W/"2"')
    assert changed.json()["meta"]["lastUpdated"] == "2026-11-20T20:00:01.000+00:00"
    assert emr.http.get(f"Task/{made['id']}/_history/1").json()["status"] == "requested"
    assert emr.http.get(f"Task/{made['id']}/_history/3").status_code == 404


def test_a_stale_if_match_is_refused_and_nothing_is_changed(emr: RunningEmr) -> None:
    made = emr.post(task()).json()
    emr.put({**made, "status": "accepted"})
    refused = emr.put({**made, "status": "cancelled"}, If_Match='W/"1"')
    assert (refused.status_code, _issue(refused)["code"]) == (412, "conflict")
    assert emr.http.get(f"Task/{made['id']}").json()["status"] == "accepted"


def test_an_update_without_if_match_is_taken(emr: RunningEmr) -> None:
    made = emr.post(task()).json()
    assert emr.put({**made, "status": "accepted"}).status_code == 200


def test_an_if_match_that_is_no_version_tag_is_refused(emr: RunningEmr) -> None:
    assert emr.put({**emr.post(task()).json()}, If_Match="one").status_code == 400


def test_an_update_of_an_unknown_id_creates_it_there(emr: RunningEmr) -> None:
    assert emr.put(task(id="chosen")).status_code == 201
    assert emr.http.get("Task/chosen").status_code == 200
    assert emr.http.get("Task/chosen/_history").json()["entry"][0]["request"]["method"] == "PUT"


def test_an_if_match_on_what_does_not_exist_is_a_conflict(emr: RunningEmr) -> None:
    assert emr.put(task(id="chosen"), If_Match='W/"1"').status_code == 412


def test_the_id_in_the_body_must_be_the_id_in_the_url(emr: RunningEmr) -> None:
    for body in (task(id="other"), task()):
        refused = emr.http.put("Task/chosen", json=body, headers={"Content-Type": "application/fhir+json"})
        assert refused.status_code == 400


def test_what_was_deleted_is_gone_but_its_versions_can_be_read(emr: RunningEmr) -> None:
    made = emr.post(task()).json()
    url = f"Task/{made['id']}"
    assert emr.http.delete(url).status_code == 204
    assert (emr.http.get(url).status_code, _issue(emr.http.get(url))["code"]) == (410, "deleted")
    assert emr.http.get(f"{url}/_history/1").status_code == 200
    assert emr.http.get(f"{url}/_history/2").status_code == 410
    assert emr.found(f"Task?identifier={OURS}|t1") == []
    assert emr.http.delete(url).status_code == 204
    assert len(emr.store.history("Task", made["id"])) == 2


def test_a_delete_with_a_stale_if_match_is_refused(emr: RunningEmr) -> None:
    made = emr.post(task()).json()
    emr.put(made)
    assert emr.http.delete(f"Task/{made['id']}", headers={"If-Match": 'W/"1"'}).status_code == 412


def test_what_was_deleted_can_be_written_again_under_its_id(emr: RunningEmr) -> None:
    made = emr.post(task()).json()
    emr.http.delete(f"Task/{made['id']}")
    again = emr.put(made)
    assert (again.status_code, again.headers["ETag"]) == (201, 'W/"3"')


def test_history_tells_every_version_newest_first(emr: RunningEmr) -> None:
    made = emr.post(task()).json()
    emr.put({**made, "status": "accepted"})
    emr.http.delete(f"Task/{made['id']}")
    history = emr.http.get(f"Task/{made['id']}/_history").json()
    assert history["type"] == "history"
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "PUT", "POST"]
    assert [entry["response"]["etag"] for entry in history["entry"]] == ['W/"3"', 'W/"2"', 'W/"1"']
    assert [entry.get("resource", {}).get("status") for entry in history["entry"]] == [
        None,
        "accepted",
        "requested",
    ]


def test_what_never_was_is_not_found(emr: RunningEmr) -> None:
    for url in ("Task/nothing", "Task/nothing/_history", "Task/nothing/_history/1"):
        answer = emr.http.get(url)
        assert (answer.status_code, _issue(answer)["code"]) == (404, "not-found")
    assert emr.http.delete("Task/nothing").status_code == 404


def test_if_none_exist_creates_once_and_then_gives_what_is_there(emr: RunningEmr) -> None:
    first = emr.post(task(), If_None_Exist=f"identifier={OURS}|t1")
    second = emr.post(task(status="accepted"), If_None_Exist=f"identifier={OURS}|t1")
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.headers["Location"] == first.headers["Location"]
    assert second.json()["status"] == "requested", "the second body must be ignored"
    assert emr.store.count_identifier("Task", OURS, "t1") == 1


def test_if_none_exist_that_matches_two_is_refused(emr: RunningEmr) -> None:
    emr.post(task())
    emr.post(task())
    refused = emr.post(task(), If_None_Exist=f"identifier={OURS}|t1")
    assert (refused.status_code, _issue(refused)["code"]) == (412, "multiple-matches")
    assert emr.store.count_identifier("Task", OURS, "t1") == 2


def test_if_none_exist_creates_anew_what_a_clinician_deleted(emr: RunningEmr) -> None:
    made = emr.post(task()).json()
    emr.store.clinician_delete("Task", made["id"])
    assert emr.post(task(), If_None_Exist=f"identifier={OURS}|t1").status_code == 201
    assert emr.store.count_identifier("Task", OURS, "t1") == 1
    assert emr.store.count_identifier("Task", OURS, "t1", ever=True) == 2


@pytest.mark.parametrize("condition", ["bogus=1", "identifier=new&bogus=1", "", "identifier=", "_count=1"])
def test_if_none_exist_never_ignores_what_it_does_not_understand(emr: RunningEmr, condition: str) -> None:
    assert emr.post(task(), If_None_Exist=condition).status_code == 400
    assert emr.store.written() == []


def test_a_dangling_reference_is_refused(emr: RunningEmr) -> None:
    refused = emr.post(task(focus={"reference": "Goal/nowhere"}))
    assert (refused.status_code, _issue(refused)["code"]) == (400, "not-found")
    gone = emr.post(task()).json()["id"]
    emr.http.delete(f"Task/{gone}")
    assert emr.post(task(partOf=[{"reference": f"Task/{gone}"}])).status_code == 400
    assert (
        emr.post(task(focus={"reference": "urn:uuid:00000000-0000-0000-0000-000000000001"})).status_code
        == 400
    )


def test_references_that_can_be_held_are_taken(emr: RunningEmr) -> None:
    for reference in (
        {"identifier": {"system": "urn:x", "value": "y"}, "display": "a device"},
        {"reference": "https://other.example/fhir/Device/1"},
        {"reference": "Patient/p1/_history/1"},
    ):
        assert emr.post(task(requester=reference)).status_code == 201
    held = task(contained=[{"resourceType": "Device", "id": "d"}], requester={"reference": "#d"})
    assert emr.post(held).status_code == 201
    assert emr.post(task(requester={"reference": "#other"})).status_code == 400


def test_an_absolute_reference_to_this_server_becomes_relative(emr: RunningEmr) -> None:
    made = emr.post(task(**{"for": {"reference": f"{emr.base}/Patient/p1"}})).json()
    assert made["for"]["reference"] == "Patient/p1"
    assert emr.found("Task?patient=p1") == [made["id"]]


@pytest.mark.parametrize(
    ("resource", "status"),
    [
        ({"resourceType": "Task", "status": "requested"}, 422),
        (task(status="nonsense"), 422),
        (task(priority="soon"), 422),
        (
            {"resourceType": "Goal", "lifecycleStatus": "proposed", "subject": {"reference": "Patient/p1"}},
            422,
        ),
        (
            {
                "resourceType": "Goal",
                "lifecycleStatus": "proposed",
                "description": {"text": "x"},
                "subject": {"reference": "Patient/p1"},
                "target": [{"detailString": "without a measure"}],
            },
            422,
        ),
        ({"resourceType": "CarePlan", "status": "draft", "intent": "plan"}, 422),
        (task(meta="text"), 400),
    ],
)
def test_content_that_r4_does_not_allow_is_refused(
    emr: RunningEmr, resource: dict[str, object], status: int
) -> None:
    assert emr.post(resource).status_code == status
    assert emr.store.written() == []


def test_the_body_must_be_the_type_of_the_url(emr: RunningEmr) -> None:
    refused = emr.http.post("Goal", json=task(), headers={"Content-Type": "application/fhir+json"})
    assert refused.status_code == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"resourceType": "Task"', b"\xff\xfe", b"[" * 5000])
def test_a_body_that_is_no_json_object_is_refused(emr: RunningEmr, body: bytes) -> None:
    refused = emr.http.post("Task", content=body, headers={"Content-Type": "application/fhir+json"})
    assert (refused.status_code, _issue(refused)["code"]) == (400, "structure")


def test_only_json_is_spoken(emr: RunningEmr) -> None:
    assert (
        emr.http.post(
            "Task", content=b"<Task/>", headers={"Content-Type": "application/fhir+xml"}
        ).status_code
        == 415
    )
    assert emr.http.get("Patient/p1", headers={"Accept": "application/fhir+xml"}).status_code == 406
    assert emr.http.get("Patient/p1?_format=xml").status_code == 406
    answer = emr.http.get("Patient/p1", headers={"Accept": "application/fhir+json; fhirVersion=4.0"})
    assert answer.headers["Content-Type"] == "application/fhir+json; charset=utf-8"


def test_the_date_header_is_the_servers_own_clock(emr: RunningEmr) -> None:
    assert emr.http.get("metadata").headers["Date"] == "Fri, 20 Nov 2026 20:00:00 GMT"


def test_a_clinicians_edit_is_a_version_of_its_own(emr: RunningEmr) -> None:
    made = emr.post(task()).json()
    emr.store.clinician_edit("Task", made["id"], lambda copy: copy.update(status="rejected"))
    read = emr.http.get(f"Task/{made['id']}")
    assert (read.json()["status"], read.headers["ETag"]) == ("rejected", 'W/"2"')
    assert [version.by for version in emr.store.history("Task", made["id"])] == ["client", "clinician"]
    assert emr.put(made, If_Match='W/"1"').status_code == 412


def test_what_was_loaded_is_not_counted_as_written(emr: RunningEmr) -> None:
    emr.store.load([patient("p3"), observation("o1")])
    assert emr.store.written() == []
    emr.post(task())
    assert [version.type for version in emr.store.written()] == ["Task"]
