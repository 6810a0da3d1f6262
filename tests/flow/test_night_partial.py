"""A night that could not read everything says so, and takes nothing back for it."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import care, sync
from cm_service.db.engine import Database
from cm_service.errors import EmrError, NothingToRead
from tests.flow.bad_network import CUT, Fault, answers, empty, html
from tests.flow.night_world import (
    AS_OF,
    Json,
    Practice,
    a1c,
    condition,
    diabetes,
    far_practice,
    out_of_range,
    patient,
    practice,
    stay,
)

DAY = dt.timedelta(days=1)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
OUTREACH, OFFER = "a1c-outreach", "enrolment-offer"
WORLD = [*out_of_range(), condition("htn", "I10"), stay()]


def decisions(clinic: Practice, who: str = "p1") -> dict[str, Json]:
    with clinic.database.read() as connection:
        rows = care.decisions_of(connection, "clinic", [who])[who]
    return {rule: json.loads(row.line) for rule, row in rows.items()}


def rejects(clinic: Practice, run: int) -> list[Any]:
    with clinic.database.read() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT file, line, type, reason, hole FROM reject WHERE run_id = {run}"
        )
        return list(rows)


def dump(clinic: Practice, folder: Path, *kinds: str) -> Path:
    """What the EMR holds of these types, as NDJSON."""
    folder.mkdir(exist_ok=True)
    for kind in kinds:
        lines = [version.body + b"\n" for version in clinic.emr.live(kind)]
        (folder / f"{kind}.ndjson").write_bytes(b"".join(lines))
    return folder


READ = ("Patient", "Condition", "Observation", "Encounter")

BROKEN = {
    "refused (403)": answers(403),
    "unknown (404)": answers(404),
    "down (500)": answers(500),
    "a sign-in page": html(reaches=False),
    "a page that breaks": CUT,
}


OFTEN = [("Observation", name) for name in BROKEN]
ONCE = [(kind, "refused (403)") for kind in ("Condition", "Encounter", "Patient", "Task", "Goal")]


@SQLITE
@pytest.mark.parametrize(("kind", "name"), [*OFTEN, *ONCE])
def test_a_type_that_cannot_be_read_is_named_and_nothing_of_it_is_removed(
    kind: str, name: str, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, WORLD) as (clinic, network):
        clinic.run()
        writes = clinic.writes()
        network.fail(f"GET {kind}?", BROKEN[name], always=True)
        report = clinic.run()
        assert report["status"] == "partial"
        assert any(kind in problem for problem in report["problems"])
        assert report["removed"] == 0
        assert clinic.writes() == writes
        network.heal()
        assert clinic.run()["status"] == "complete"
        assert clinic.writes() == writes


@SQLITE
def test_without_observations_a_would_be_no_becomes_cannot_tell(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, [patient(), diabetes(), a1c(6.5)]) as (clinic, network):
        clinic.run()
        assert decisions(clinic)["A1C-OUT"]["outcome"] == "not_eligible"
        network.fail("GET Observation?", answers(500), always=True)
        report = clinic.run()
        line = decisions(clinic)["A1C-OUT"]
        assert (line["outcome"], line["reasons"]) == (
            "insufficient_data",
            ["input_incomplete", "at_target"],
        )
        assert report["insufficient_data"] > 0
        network.heal()
        clinic.run()
        assert decisions(clinic)["A1C-OUT"]["outcome"] == "not_eligible"


@SQLITE
def test_a_line_that_cannot_be_read_is_quarantined_with_its_place(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [patient(), diabetes(), a1c(6.5)]) as clinic:
        folder = dump(clinic, tmp_path / "drop", *READ)
        with (folder / "Observation.ndjson").open("ab") as file:
            file.write(b'{"resourceType":"Observation","id":"cut","subject":{"reference":"Patient/p1"},"co\n')
        report = clinic.run(source=folder)
        assert (report["status"], report["holes"]) == ("partial", 1)
        assert [problem for problem in report["problems"] if "Observation.ndjson line 2" in problem]
        assert [tuple(row) for row in rejects(clinic, report["run"])] == [
            ("Observation.ndjson", 2, "Observation", "malformed_json", True)
        ]
        assert decisions(clinic)["A1C-OUT"]["outcome"] == "insufficient_data"
        assert decisions(clinic)["CHR-MULTI"]["outcome"] == "not_eligible", "Conditions were read whole"


@pytest.mark.parametrize("kind", ["Observation", "Condition", "Task"])
def test_an_empty_answer_after_a_lost_scope_withdraws_nothing(
    kind: str, database: Database, tmp_path: Path
) -> None:
    world = [
        each
        for n in range(21)
        for each in (*out_of_range(f"p{n}"), condition(f"htn{n}", "I10", f"p{n}"), stay(f"s{n}", f"p{n}"))
    ]
    with far_practice(database, tmp_path, world) as (clinic, network):
        clinic.run()
        writes, before = clinic.writes(), decisions(clinic, "p3")
        network.fail(f"GET {kind}?", empty(), always=True)
        network.fail(f"POST {kind}/_search", empty(), always=True)
        report = clinic.run()
        assert report["status"] == "partial"
        assert any(kind in problem for problem in report["problems"])
        assert (report["removed"], report["deleted"]) == (0, 0)
        assert clinic.writes() == writes
        now = decisions(clinic, "p3")
        assert {rule: line["outcome"] for rule, line in now.items()} == {
            rule: line["outcome"] for rule, line in before.items()
        }


@SQLITE
@pytest.mark.parametrize(("gone", "status"), [(20, "complete"), (21, "partial")])
def test_the_guard_lets_twenty_deletions_pass_and_no_more(
    gone: int, status: str, database: Database, tmp_path: Path
) -> None:
    world = [each for n in range(40) for each in (patient(f"p{n}"), diabetes(f"p{n}"))]
    with practice(database, tmp_path, world) as clinic:
        clinic.run()
        for n in range(gone):
            clinic.emr.clinician_delete("Condition", f"p{n}-dm")
        report = clinic.run(full=True)
        assert (report["status"], report["removed"]) == (status, gone if status == "complete" else 0)


@SQLITE
def test_too_many_tasks_deleted_at_once_are_not_taken_for_peoples_doing(
    database: Database, tmp_path: Path
) -> None:
    world = [each for n in range(21) for each in out_of_range(f"p{n}")]
    with practice(database, tmp_path, world) as clinic:
        clinic.run()
        for version in clinic.emr.live("Task"):
            clinic.emr.clinician_delete("Task", version.id)
        report = clinic.run()
        assert (report["status"], report["deleted"], report["written"]) == ("partial", 0, 0)
        assert any("21 Task resources that we wrote" in problem for problem in report["problems"])


@SQLITE
def test_five_in_a_hundred_may_go_at_once_of_a_large_type(database: Database, tmp_path: Path) -> None:
    world = [patient(), *(condition(f"c{n}", "I10") for n in range(500))]
    with practice(database, tmp_path, world) as clinic:
        clinic.run()
        for n in range(25):
            clinic.emr.clinician_delete("Condition", f"c{n}")
        assert clinic.run(full=True)["removed"] == 25
        for n in range(100, 124):
            clinic.emr.clinician_delete("Condition", f"c{n}")
        report = clinic.run(full=True)
        assert (report["status"], report["removed"]) == ("partial", 0), "24 of 475 are more than 5 %"


def test_a_patient_who_left_the_emr_has_no_decision_and_gets_nothing(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [*out_of_range("p1"), *out_of_range("p2")]) as clinic:
        clinic.run(max_new=1)
        waiting = next(row.patient_id for row in clinic.rows(state="pending"))
        for kind, id_ in (("Observation", f"{waiting}-a1c"), ("Condition", f"{waiting}-dm")):
            clinic.emr.clinician_delete(kind, id_)
        clinic.emr.clinician_delete("Patient", waiting)
        report = clinic.run(full=True)
        assert (report["patients"], report["written"], report["refused"]) == (1, 0, 0)


@SQLITE
def test_a_patient_whose_facts_stay_behind_is_not_judged_and_gets_nothing(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [*out_of_range("p1"), *out_of_range("p2")]) as clinic:
        clinic.run(max_new=1)
        waiting = next(row.patient_id for row in clinic.rows(state="pending"))
        clinic.emr.clinician_delete("Patient", waiting)
        report = clinic.run(full=True)
        assert (report["patients"], report["written"], report["refused"]) == (1, 0, 0)


# --- a folder in place of a pull


def test_a_folder_adds_and_updates_and_removes_nothing(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [*out_of_range(), condition("htn", "I10")]) as clinic:
        assert clinic.run(source=dump(clinic, tmp_path / "all", *READ))["written"] > 0
        few = tmp_path / "few"
        few.mkdir()
        lines = [json.dumps(a1c(9.8)).encode(), json.dumps(a1c(9.9, "p2")).encode()]
        (few / "Observation.ndjson.gz").write_bytes(gzip.compress(b"\n".join(lines)))
        report = clinic.run(AS_OF + DAY, source=few)
        assert (report["status"], report["removed"]) == ("complete", 0)
        assert clinic.held("Task", OUTREACH)["priority"] == "urgent"
        assert clinic.held("Task", OFFER)["status"] == "requested"


def test_a_folder_removes_only_with_full(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [*out_of_range(), condition("htn", "I10")]) as clinic:
        clinic.run(source=dump(clinic, tmp_path / "all", *READ))
        clinic.emr.clinician_delete("Condition", "htn")
        without = dump(clinic, tmp_path / "without", *READ)
        assert clinic.run(source=without)["removed"] == 0
        assert clinic.held("Task", OFFER)["status"] == "requested"
        assert clinic.run(source=without, full=True)["removed"] == 1
        assert clinic.held("Task", OFFER)["status"] == "cancelled"


@SQLITE
def test_a_full_folder_with_a_hole_removes_nothing_of_the_type_with_the_hole(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [*out_of_range(), condition("htn", "I10")]) as clinic:
        clinic.run(source=dump(clinic, tmp_path / "all", *READ))
        clinic.emr.clinician_delete("Condition", "htn")
        cut = dump(clinic, tmp_path / "cut", *READ)
        (cut / "Condition.ndjson").unlink()
        body = b"".join(version.body + b"\n" for version in clinic.emr.live("Condition"))
        (cut / "Condition.ndjson.gz").write_bytes(gzip.compress(body)[:-12])
        report = clinic.run(source=cut, full=True)
        assert (report["status"], report["removed"]) == ("partial", 0)
        assert clinic.held("Task", OFFER)["status"] == "requested"


@SQLITE
def test_a_place_that_comes_later_makes_its_patients_due(database: Database, tmp_path: Path) -> None:
    there = [{"location": {"reference": "Location/er"}}]
    with practice(database, tmp_path, [patient(), stay(location=there)]) as clinic:
        folder = dump(clinic, tmp_path / "drop", *READ)
        clinic.run(source=folder)
        place = {"resourceType": "Location", "id": "er", "type": [{"coding": [{"code": "ER"}]}]}
        late = tmp_path / "late"
        late.mkdir()
        (late / "Location.ndjson").write_text(json.dumps(place) + "\n")
        assert clinic.run(source=late)["evaluated"] == 1


@SQLITE
def test_an_empty_folder_is_an_error_and_changes_nothing(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        (tmp_path / "empty").mkdir()
        with pytest.raises(NothingToRead):
            clinic.run(source=tmp_path / "empty", full=True)
        with database.read() as connection:
            last = sync.recent_runs(connection, "clinic")[0]
        assert (last["status"], last["figures"]) == ("failed", {"reason": "NothingToRead"})
        assert clinic.held("Task")["status"] == "requested"


@SQLITE
@pytest.mark.parametrize("fault", [answers(401), answers(403), answers(503)], ids=["401", "403", "503"])
def test_an_emr_that_gives_nothing_at_all_is_a_failed_run_and_changes_nothing(
    fault: Fault, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        clinic.run()
        network.fail("", fault, always=True)
        with pytest.raises(EmrError):
            clinic.run()
        network.heal()
        assert clinic.run()["written"] == 0
        assert clinic.held("Task")["status"] == "requested"


@SQLITE
def test_a_run_that_died_is_closed_by_the_next(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        with database.write() as connection:
            sync.start_run(connection, emr="clinic", as_of=AS_OF, started=AS_OF, source="pull")
        clinic.run()
        with database.read() as connection:
            newest, dead = sync.recent_runs(connection, "clinic")
        assert (newest["status"], dead["status"]) == ("complete", "failed")
        assert dead["figures"] == {"reason": "the process ended"}
