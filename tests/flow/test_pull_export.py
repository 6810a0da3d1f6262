"""Nights that read by `$export`: the same facts in the same folder, and nothing lost by waiting."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.fernet import Fernet

from cm_service.db import connections, cursors, exports
from cm_service.db.engine import Database
from cm_service.db.sealed import Sealer
from cm_service.fhir import vendor
from cm_service.flow.pull.export_plan import Job, Jobs, path_of
from tests.flow.bad_network import answers
from tests.flow.night_world import (
    AS_OF,
    Json,
    Practice,
    a1c,
    far_practice,
    out_of_range,
    patient,
    practice,
    stay,
)
from tests.flow.test_pull_per_patient import Limited

NEXT = AS_OF + dt.timedelta(days=1)
FORTY = [each for number in range(40) for each in (patient(f"q{number}"), a1c(5.1, f"q{number}"))]


def group(*who: str) -> Json:
    members = [{"entity": {"reference": f"Patient/{each}"}} for each in who]
    return {"resourceType": "Group", "id": "panel", "member": members}


class Waiting:
    """Hours go by while a run waits."""

    def __init__(self, begin: dt.datetime) -> None:
        self.now = begin
        self.waits: list[float] = []

    def clock(self) -> dt.datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += dt.timedelta(seconds=seconds)


def night(clinic: Practice, as_of: dt.datetime = AS_OF, **options: Any) -> Json:
    time = Waiting(as_of)
    clinic.tools = clinic.tools._replace(clock=time.clock, sleep=time.sleep)
    return clinic.run(as_of, **options)


def job(database: Database) -> Any:
    with database.read() as connection:
        return exports.of_emr(connection, "clinic")


def since(database: Database) -> dict[str, Any]:
    with database.read() as connection:
        return {row.type: row.value for row in cursors.of_emr(connection, "clinic") if row.query == "$export"}


def types(summary: Json) -> dict[str, str]:
    return {name: said["status"] for name, said in summary["types"].items()}


def test_a_night_by_export_decides_as_one_by_search(database: Database, tmp_path: Path) -> None:
    world = [*out_of_range("p1"), *out_of_range("p2"), stay("s2", "p2")]
    with practice(database, tmp_path, world, pull="export-system") as clinic:
        summary = night(clinic)
        assert summary["status"] == "complete", summary
        assert {row.patient_id for row in clinic.rows()} == {"p1", "p2"}
        assert job(database) is None
        assert since(database)["Observation"] == AS_OF.astimezone(dt.UTC)
        files = list((tmp_path / "data" / "landing" / "clinic").rglob("*.ndjson"))
        assert files and {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_the_next_night_asks_for_what_changed_and_hears_of_deletions(
    database: Database, tmp_path: Path
) -> None:
    world = [*out_of_range("p1"), *out_of_range("p2"), group("p1", "p2")]
    with practice(database, tmp_path, world, pull="export", group_id="panel") as clinic:
        assert night(clinic, AS_OF + dt.timedelta(hours=1))["status"] == "complete"
        clinic.emr.clock = lambda: NEXT - dt.timedelta(hours=3)
        clinic.emr.clinician_edit("Observation", "p1-a1c", lambda r: r["valueQuantity"].update(value=6.5))
        clinic.emr.clinician_delete("Condition", "p2-dm")
        summary = night(clinic, NEXT)
        assert summary["status"] == "complete", summary
        assert summary["types"]["Observation"]["resources"] == 1
        assert summary["types"]["Observation"]["changes_only"] is True
        assert summary["removed"] == 1


def test_more_deletions_than_can_be_believed_delete_nothing(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, FORTY, pull="export-system") as clinic:
        assert night(clinic, max_new=0)["status"] == "complete"
        clinic.emr.clock = lambda: NEXT - dt.timedelta(hours=3)
        for number in range(30):
            clinic.emr.clinician_delete("Observation", f"q{number}-a1c")
        summary = night(clinic, NEXT, max_new=0)
        assert summary["status"] == "partial"
        assert summary["held_back"] == {"Observation": 30}
        assert summary["removed"] == 0


def test_1c_f24_who_left_the_group_is_not_deleted_for_that(database: Database, tmp_path: Path) -> None:
    world = [*out_of_range("p1"), *out_of_range("p2"), group("p1", "p2")]
    with practice(database, tmp_path, world, pull="export", group_id="panel") as clinic:
        night(clinic)
        clinic.emr.load([group("p1")])
        summary = night(clinic, NEXT, full=True)
        assert summary["removed"] == 0
        assert summary["types"]["Patient"]["patients"] == 1


def test_who_is_new_in_the_group_is_read_with_all_that_is_old(database: Database, tmp_path: Path) -> None:
    world = [*out_of_range("p1"), *out_of_range("p2"), group("p1")]
    with practice(database, tmp_path, world, pull="export", group_id="panel") as clinic:
        night(clinic)
        assert {row.patient_id for row in clinic.rows()} == {"p1"}
        clinic.emr.load([group("p1", "p2")])
        assert night(clinic, NEXT)["status"] == "complete"
        assert {row.patient_id for row in clinic.rows()} == {"p1", "p2"}


def test_1c_f06_a_night_that_ends_before_the_export_is_followed_by_one_that_goes_on(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range(), pull="export-system") as (clinic, network):
        network.fail("GET bulk-status", answers(202, Retry_After="18000"), always=True)
        first = night(clinic)
        assert first["status"] == "partial"
        assert "goes on" in first["types"]["Patient"]["reason"]
        kept = job(database)
        assert kept is not None and "bulk-status" not in kept.url
        network.heal()
        assert night(clinic, NEXT)["status"] == "complete"
        assert sum("$export" in line for line in network.log) == 1
        assert since(database)["Patient"] <= AS_OF.astimezone(dt.UTC)
        assert job(database) is None


GROUPED = ("epic", "oracle", "athena", "ecw", "medplum", "hapi")


@pytest.mark.parametrize("kind", GROUPED)
def test_each_emr_that_exports_is_read_so(tmp_path: Path, database: Database, kind: str) -> None:
    clinic = Limited(database, tmp_path, kind, group_id="panel", pull="export", roster=None)
    clinic.emr.load([group(*clinic.ids)])
    time = Waiting(AS_OF)
    clinic.tools = clinic.tools._replace(clock=time.clock, sleep=time.sleep)
    told = clinic.run()
    assert (told["status"], told["patients"], told["eligible"]) == ("complete", 3, 3), told["problems"]
    assert told["types"]["Condition"]["pages"] == 1 and len(time.waits) >= 1
    assert clinic.run()["status"] == "complete"


@pytest.mark.parametrize(
    ("kind", "group_id", "pull", "path"),
    [
        ("ecw", "panel", None, "Group/panel"),
        ("ecw", None, None, None),
        ("ecw", "panel", "search", None),
        ("oracle", "panel", None, None),
        ("oracle", "Group/panel", "export", "Group/panel"),
        ("medplum", None, "export", "Patient"),
        ("medplum", "panel", "export-system", ""),
    ],
)
def test_a_connection_is_read_as_its_operator_says_and_else_as_its_kind_does(
    kind: str, group_id: str | None, pull: str | None, path: str | None
) -> None:
    assert path_of(SimpleNamespace(group_id=group_id, pull=pull), vendor.load(kind)) == path


def test_an_address_that_no_key_opens_any_more_is_none(database: Database) -> None:
    jobs = [Jobs(database, "clinic", Sealer([Fernet.generate_key().decode()])) for _ in range(2)]
    with database.write() as connection:
        columns = {"base_url": "http://127.0.0.1/fhir", "timezone": "America/Detroit", "auth": "none"}
        connections.add_emr(
            connection, now=AS_OF, slug="clinic", write_mode="propose", settings={}, **columns
        )
    begun = Job("http://127.0.0.1/fhir/jobs/1", "everything", None, AS_OF.astimezone(dt.UTC))
    jobs[0].save(begun)
    assert jobs[0].load() == begun
    assert jobs[1].load() is None
