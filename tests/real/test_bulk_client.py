"""Somebody else's client exports from our sandbox, so that its `$export` is no agreement with ourselves."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.bulk_client import exported, run
from tests.sandbox.builders import RunningEmr, observation, patient, running_as

TYPES = "--type=Patient,Encounter,Observation"
MANY = [observation(f"o{number}", subject={"reference": "Patient/p2"}) for number in range(1200)]


@pytest.fixture
def emr() -> Iterator[RunningEmr]:
    with running_as() as running:
        members = [{"entity": {"reference": "Patient/p2"}}]
        running.store.load([patient("p3"), *MANY])
        running.store.load([{"resourceType": "Group", "id": "panel", "member": members}])
        yield running


def ids(resources: list[dict[str, str]]) -> list[str]:
    return sorted(resource["id"] for resource in resources)


def test_a_whole_system_is_exported_by_somebody_elses_client_in_several_files(
    emr: RunningEmr, tmp_path: Path
) -> None:
    found = exported(emr.base, tmp_path / "out", TYPES, "--no-default-filters")
    assert ids(found["Patient"]) == ["p1", "p2", "p3"]
    assert ids(found["Observation"]) == sorted(each["id"] for each in MANY)
    log = [json.loads(line) for line in next((tmp_path / "out").rglob("log.ndjson")).read_text().splitlines()]
    assert sum(each["eventId"] == "download_complete" for each in log) >= 4
    assert log[-1]["eventId"] == "export_complete"


def test_a_group_brings_its_members_only(emr: RunningEmr, tmp_path: Path) -> None:
    found = exported(emr.base, tmp_path / "out", TYPES, "--group=panel", "--no-default-filters")
    assert ids(found["Patient"]) == ["p2"]
    assert ids(found["Encounter"]) == ["e2"]


def test_since_brings_what_changed_and_what_was_deleted(emr: RunningEmr, tmp_path: Path) -> None:
    emr.clock.forward(hours=1)
    since = emr.clock.now - dt.timedelta(minutes=1)
    emr.store.clinician_edit("Encounter", "e1", lambda resource: resource.update(status="in-progress"))
    emr.store.clinician_delete("Patient", "p3")
    options = (TYPES, f"--since={since.isoformat()}", "--since-mode=updated", "--no-default-filters")
    found = exported(emr.base, tmp_path / "out", *options)
    assert ids(found["Encounter"]) == ["e1"]
    assert "Patient" not in found
    gone = [entry["request"]["url"] for bundle in found["Bundle"] for entry in bundle["entry"]]
    assert gone == ["Patient/p3"]


def test_a_filter_of_a_type_holds(emr: RunningEmr, tmp_path: Path) -> None:
    options = ("--type=Encounter", "--type-filter=Encounter?patient=p1,p9")
    found = exported(emr.base, tmp_path / "out", *options)
    assert ids(found["Encounter"]) == ["e1"]


def test_its_export_is_gone_when_it_has_ended(emr: RunningEmr, tmp_path: Path) -> None:
    exported(emr.base, tmp_path / "out", TYPES, "--no-default-filters")
    log = next((tmp_path / "out").rglob("log.ndjson")).read_text()
    export = json.loads(log.splitlines()[0])["exportId"]
    assert emr.http.get(export).status_code == 404


def test_a_group_that_does_not_exist_is_refused(emr: RunningEmr, tmp_path: Path) -> None:
    assert run(emr.base, tmp_path / "out", TYPES, "--group=nobody").returncode != 0
