"""`$export` of the sandbox, and how each EMR limits it."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest

from cm_service.sandbox.personality import PERSONALITIES
from tests.sandbox.builders import RunningEmr, patient, running_as

ASYNC = {"Prefer": "respond-async"}
GROUP = {
    "resourceType": "Group",
    "id": "panel",
    "member": [
        {"entity": {"reference": "Patient/p1"}},
        {"entity": {"reference": "Patient/p2"}, "inactive": True},
    ],
}


def kick_off(emr: RunningEmr, path: str = "$export", **params: str) -> httpx.Response:
    return emr.http.get(path, params=params, headers=ASYNC)


def manifest(emr: RunningEmr, job: httpx.Response) -> dict[str, Any]:
    assert job.status_code == 202, job.text
    for _ in range(5):
        answer = emr.http.get(job.headers["Content-Location"])
        if answer.status_code == 200:
            return dict(answer.json())
        assert answer.headers["Retry-After"] == "1" and answer.headers["X-Progress"]
    raise AssertionError("it does not end")


def lines(emr: RunningEmr, entry: dict[str, Any]) -> list[dict[str, Any]]:
    answer = emr.http.get(entry["url"], headers={"Accept": "application/fhir+ndjson"})
    assert answer.headers["Content-Type"] == "application/fhir+ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_an_export_is_of_the_moment_of_its_kick_off(emr: RunningEmr) -> None:
    job = kick_off(emr, _type="Patient")
    emr.store.load([patient("p3")])
    (entry,) = manifest(emr, job)["output"]
    assert [each["id"] for each in lines(emr, entry)] == ["p1", "p2"]
    assert entry["count"] == 2


def test_parameters_may_be_posted(emr: RunningEmr) -> None:
    body = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Patient"}]}
    headers = {**ASYNC, "Content-Type": "application/fhir+json"}
    job = emr.http.post("Patient/$export", content=json.dumps(body), headers=headers)
    assert [entry["type"] for entry in manifest(emr, job)["output"]] == ["Patient"]


def test_a_group_is_its_active_members(emr: RunningEmr) -> None:
    emr.store.load([GROUP])
    (entry,) = manifest(emr, kick_off(emr, "Group/panel/$export", _type="Patient"))["output"]
    assert [each["id"] for each in lines(emr, entry)] == ["p1"]


def test_what_is_unknown_is_refused_or_leniently_told(emr: RunningEmr) -> None:
    assert kick_off(emr, _type="Patient,Nothing").status_code == 400
    lenient = {"Prefer": "respond-async, handling=lenient"}
    job = emr.http.get("$export", params={"_type": "Patient,Nothing"}, headers=lenient)
    (entry,) = manifest(emr, job)["error"]
    assert lines(emr, entry)[0]["issue"][0]["severity"] == "information"


@pytest.mark.parametrize(
    ("path", "params", "headers", "status"),
    [
        ("$export", {}, {}, 400),
        ("Group/none/$export", {}, ASYNC, 404),
        ("$export", {"_since": "yesterday"}, ASYNC, 400),
        ("$export", {"_outputFormat": "csv"}, ASYNC, 400),
        ("bulk-status/none", {}, {}, 404),
    ],
)
def test_what_cannot_be_exported_is_refused(
    emr: RunningEmr, path: str, params: dict[str, str], headers: dict[str, str], status: int
) -> None:
    assert emr.http.get(path, params=params, headers=headers).status_code == status


def test_a_deleted_export_is_gone_with_its_files(emr: RunningEmr) -> None:
    job = kick_off(emr, _type="Patient")
    (entry,) = manifest(emr, job)["output"]
    assert emr.http.delete(job.headers["Content-Location"]).status_code == 202
    assert emr.http.get(job.headers["Content-Location"]).status_code == 404
    assert emr.http.get(entry["url"]).status_code == 404


def test_files_come_zipped_where_that_is_wanted(emr: RunningEmr) -> None:
    (entry,) = manifest(emr, kick_off(emr, _type="Patient"))["output"]
    with emr.http.stream("GET", entry["url"], headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert len(gzip.decompress(raw).splitlines()) == 2


@pytest.mark.parametrize("name", ["epic", "oracle", "ecw", "athena"])
def test_these_export_groups_only_and_few_at_a_time(name: str) -> None:
    kind = PERSONALITIES[name].bulk
    assert kind is not None
    with running_as(PERSONALITIES[name]) as emr:
        emr.store.load([GROUP])
        assert kick_off(emr).status_code == 404
        jobs = [kick_off(emr, "Group/panel/$export", _type="Patient") for _ in range(kind.most_jobs or 0)]
        one_more = kick_off(emr, "Group/panel/$export", _type="Patient")
        assert {job.status_code for job in jobs} == {202}
        assert one_more.status_code == kind.refusal
        assert one_more.json()["issue"][0]["code"] in ("throttled", "duplicate")
        emr.http.delete(jobs[0].headers["Content-Location"])
        assert kick_off(emr, "Group/panel/$export", _type="Patient").status_code == 202


@pytest.mark.parametrize("name", ["meditech", "canvas", "nextgen"])
def test_these_export_nothing(name: str) -> None:
    with running_as(PERSONALITIES[name]) as emr:
        assert kick_off(emr).status_code == 404


def test_one_hides_what_changed_for_patients_who_did_not() -> None:
    with running_as(PERSONALITIES["hapi"]) as emr:
        emr.store.load([GROUP])
        emr.clock.forward(hours=1)
        since = emr.clock.now.isoformat()
        emr.clock.forward(hours=1)
        emr.store.clinician_edit("Encounter", "e1", lambda resource: resource.update(status="in-progress"))
        job = kick_off(emr, "Group/panel/$export", _type="Encounter", _since=since)
        assert manifest(emr, job)["output"] == []
