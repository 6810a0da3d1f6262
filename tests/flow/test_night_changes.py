"""Nights that read only what changed: nothing that changed is missed, and whatever cannot be believed is
read whole. Ids such as 1B-F48 are those of the fault list that the service is held to."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from cm_service.db import care, cursors, sync
from cm_service.db.engine import Database
from cm_service.errors import Busy
from cm_service.flow.nightly import lease_of
from tests.flow.bad_network import Fault, Network, Reply, answers
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
)

DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)
THREE = [each for who in ("p1", "p2", "p3") for each in out_of_range(who)]


def searches(network: Network, kind: str) -> list[str]:
    """Of everybody: those of the sample are within one patient."""
    found = [line for line in network.log if line.startswith((f"GET {kind}?", f"POST {kind}/_search"))]
    return [line for line in found if "patient=" not in line]


def cursor_of(clinic: Practice, kind: str) -> dt.datetime | None:
    with clinic.database.read() as connection:
        rows = cursors.of_emr(connection, "clinic")
    (row,) = [row for row in rows if (row.type, row.query, row.patient_id) == (kind, "", "")]
    value: dt.datetime | None = row.value
    return value


def changed_only(report: Json, kind: str) -> bool:
    return report["types"][kind].get("changes_only", False)


def test_1B_F55_the_first_night_reads_everything_and_the_next_asks_for_what_changed(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, THREE) as (clinic, network):
        first = clinic.run()
        assert not changed_only(first, "Condition")
        clinic.run()  # reads what the first one wrote
        network.log.clear()
        clinic.emr.clock = lambda: AS_OF + 20 * MINUTE
        clinic.emr.load([a1c(6.1, who="p2")])
        second = clinic.run(AS_OF + DAY)
        assert (second["status"], second["evaluated"]) == ("complete", 1)
        assert changed_only(second, "Condition")
        assert searches(network, "Condition") == [
            "GET Condition?_lastUpdated=ge2026-11-21T00:50:00Z&_count=200"
        ]
        assert clinic.rows(kind="Task", patient_id="p2")[0].wanted.count("cancelled")


def test_a_week_after_everything_was_read_everything_is_read_again(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, THREE) as clinic:
        clinic.run()
        assert changed_only(clinic.run(AS_OF + 6 * DAY), "Condition")
        assert not changed_only(clinic.run(AS_OF + 7 * DAY), "Condition")
        assert changed_only(clinic.run(AS_OF + 8 * DAY), "Condition")


def test_what_was_deleted_is_gone_at_the_latest_when_everything_is_read(
    database: Database, tmp_path: Path
) -> None:
    """In an EMR that does not tell the history of a type."""
    with far_practice(database, tmp_path, [*THREE, condition("htn", "I10")]) as (clinic, network):
        clinic.run()
        network.fail("GET Condition/_history", answers(405))
        clinic.emr.clinician_delete("Condition", "htn")
        assert clinic.run(AS_OF + DAY)["removed"] == 0
        assert clinic.run(AS_OF + DAY, full=True)["removed"] == 1


def test_our_own_task_that_somebody_deleted_is_missed_the_next_night(
    database: Database, tmp_path: Path
) -> None:
    """Search does not tell what was deleted, so what we wrote is asked for by its id."""
    with practice(database, tmp_path, THREE) as clinic:
        clinic.run()
        clinic.run()
        gone = clinic.rows(kind="Task", patient_id="p1")[0].reference
        clinic.emr.clinician_delete("Task", gone.partition("/")[2])
        told = clinic.run(AS_OF + DAY)
        assert (changed_only(told, "Task"), told["deleted"]) == (True, 1)


def test_the_cursor_is_the_servers_moment_and_stays_where_nothing_was_seen(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, THREE) as clinic:
        clinic.run()
        assert cursor_of(clinic, "Condition") == AS_OF
        clinic.run(AS_OF + 3 * DAY)
        assert cursor_of(clinic, "Condition") == AS_OF, "nothing newer was seen"
        clinic.emr.clock = lambda: AS_OF + 4 * DAY
        clinic.emr.load([condition("new", "I10")])
        clinic.run(AS_OF + 5 * DAY)
        assert cursor_of(clinic, "Condition") == AS_OF + 4 * DAY


def test_1B_F22_1B_F54_a_change_dated_in_the_future_moves_no_cursor_ahead_of_the_server(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, THREE) as clinic:
        clinic.emr.clock = lambda: AS_OF + 30 * DAY
        clinic.emr.load([condition("early", "I10")])
        clinic.run()
        assert cursor_of(clinic, "Condition") == AS_OF
        clinic.emr.clock = lambda: AS_OF + MINUTE
        clinic.emr.load([condition("later", "I10", "p2")])
        clinic.run(AS_OF + DAY)
        with database.read() as connection:
            assert sync.owners(connection, "clinic", ["Condition/later"])


@pytest.mark.parametrize("minutes", [-10, 10])
def test_1B_F52_a_server_whose_clock_is_off_loses_no_change(
    database: Database, tmp_path: Path, minutes: int
) -> None:
    off = minutes * MINUTE
    with practice(database, tmp_path, THREE) as clinic:
        clinic.run(AS_OF)
        clinic.run(AS_OF)
        for night in range(1, 4):
            now = AS_OF + night * DAY
            clinic.emr.clock = lambda at=now + off - MINUTE: at  # type: ignore[misc]
            clinic.emr.load([a1c(8.0 + night / 10, who="p1")])
            told = clinic.run(now)
            assert (told["status"], told["evaluated"]) == ("complete", 1)


def test_1B_F48_a_filter_that_an_emr_takes_for_nothing_to_find_is_not_believed(
    database: Database, tmp_path: Path
) -> None:
    """Medplum answers an unknown parameter with nothing. What the cursor was taken from must come back."""
    nothing = {"resourceType": "Bundle", "type": "searchset", "total": 0}
    with far_practice(database, tmp_path, THREE) as (clinic, network):
        clinic.run()
        clinic.run()
        clinic.emr.clock = lambda: AS_OF + MINUTE
        clinic.emr.load([condition("new", "I10")])
        network.fail("GET Condition?_lastUpdated", bundle(nothing), always=True)
        told = clinic.run(AS_OF + DAY)
        assert (told["evaluated"], changed_only(told, "Condition")) == (1, False)


def bundle(body: Json) -> Fault:
    return Fault(False, Reply(200, json.dumps(body).encode(), {"Content-Type": "application/fhir+json"}))


def test_1B_F48_a_filter_that_is_taken_and_not_used_is_noticed_and_everything_read(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, THREE) as (clinic, network):
        clinic.run()
        clinic.emr.clock = lambda: AS_OF + DAY
        clinic.emr.load([condition("new", "I10")])
        clinic.run(AS_OF + DAY)
        rows = [version.resource for version in clinic.emr.live("Condition")]
        link = f"{network.base}/Condition?_lastUpdated=ge2026-11-21&_count=200"
        entries = [{"resource": row, "search": {"mode": "match"}} for row in rows]
        all_of_them = {
            "resourceType": "Bundle",
            "type": "searchset",
            "link": [{"relation": "self", "url": link}],
            "entry": entries,
        }
        network.fail("GET Condition?_lastUpdated", bundle(all_of_them), always=True)
        told = clinic.run(AS_OF + 2 * DAY)
        assert told["types"]["Condition"]["dropped_filters"] == 1
        assert "did not filter by it" in told["types"]["Condition"]["notes"][0]
        assert not changed_only(told, "Condition")


@pytest.mark.parametrize("status", [400, 422])
def test_a_filter_that_is_refused_is_answered_by_reading_everything(
    database: Database, tmp_path: Path, status: int
) -> None:
    with far_practice(database, tmp_path, THREE) as (clinic, network):
        clinic.run()
        network.fail("GET Condition?_lastUpdated", answers(status), always=True)
        told = clinic.run(AS_OF + DAY)
        assert (told["status"], changed_only(told, "Condition")) == ("complete", False)
        assert changed_only(told, "Encounter") is False, "of which there are none, so there is no cursor"


def test_a_line_in_quarantine_holds_the_cursor_of_its_type_and_of_no_other(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, THREE) as clinic:
        clinic.run()
        clinic.emr.clock = lambda: AS_OF + 2 * DAY
        clinic.emr.load([condition("odd", "I10", subject={"display": "somebody"}), a1c(9.0)])
        told = clinic.run(AS_OF + 3 * DAY)
        assert (told["status"], told["holes"]) == ("partial", 1)
        assert cursor_of(clinic, "Condition") == AS_OF
        assert clinic.run(AS_OF + 3 * DAY)["holes"] == 1, "it is read again until somebody mends it"
        clinic.emr.load([condition("odd", "I10")])
        assert clinic.run(AS_OF + 4 * DAY)["status"] == "complete"
        assert cursor_of(clinic, "Condition") == AS_OF + 3 * DAY


def test_1B_F41_a_type_that_failed_keeps_its_cursor_whatever_others_do(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, THREE) as (clinic, network):
        clinic.run()
        clinic.emr.clock = lambda: AS_OF + DAY
        clinic.emr.load([condition("new", "I10"), patient("p4")])
        network.fail("GET Condition?", answers(503), always=True)
        assert clinic.run(AS_OF + DAY)["status"] == "partial"
        assert (cursor_of(clinic, "Condition"), cursor_of(clinic, "Patient")) == (AS_OF, AS_OF + DAY)
        network.heal()
        assert clinic.run(AS_OF + 20 * DAY)["status"] == "complete"
        assert cursor_of(clinic, "Condition") == AS_OF + DAY


def test_what_a_folder_brought_makes_the_next_pull_read_everything(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, THREE) as clinic:
        clinic.run()
        folder = tmp_path / "old"
        folder.mkdir()
        (folder / "Condition.ndjson").write_text(json.dumps(diabetes("p1", onsetDateTime="2020")))
        clinic.run(AS_OF, source=folder)
        assert not changed_only(clinic.run(AS_OF + DAY), "Condition")


def test_an_old_version_from_a_node_that_lags_does_not_undo_a_new_one(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, THREE) as (clinic, network):
        clinic.run()
        old = clinic.emr.live("Condition")[0].resource
        clinic.emr.clock = lambda: AS_OF + MINUTE
        clinic.emr.load([diabetes("p1", clinicalStatus={"coding": [{"code": "resolved"}]})])
        clinic.run(AS_OF + 2 * MINUTE)
        assert outcome(clinic, "p1", "A1C-OUT") == "not_eligible"
        link = f"{network.base}/Condition?_lastUpdated=ge2026"
        body = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": old}]}
        network.fail("GET Condition?", bundle(body | {"link": [{"relation": "self", "url": link}]}))
        assert changed_only(clinic.run(AS_OF + 3 * MINUTE), "Condition")
        assert outcome(clinic, "p1", "A1C-OUT") == "not_eligible"


def outcome(clinic: Practice, who: str, rule: str) -> str:
    with clinic.database.read() as connection:
        return str(care.decisions_of(connection, "clinic", [who])[who][rule].outcome)


def test_1B_F36_a_merge_and_an_unmerge_are_seen_among_what_changed(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [*out_of_range("p1"), patient("p2")]) as clinic:
        clinic.run()
        clinic.emr.clock = lambda: AS_OF + MINUTE
        link = {"other": {"reference": "Patient/p2"}, "type": "replaced-by"}
        clinic.emr.load([patient("p1", link=[link])])
        assert changed_only(clinic.run(AS_OF + DAY), "Patient")
        assert outcome(clinic, "p2", "A1C-OUT") == "eligible"
        assert outcome(clinic, "p1", "A1C-OUT") == "not_eligible"
        clinic.run(AS_OF + DAY)
        assert outcome(clinic, "p2", "A1C-OUT") == "eligible", "a quiet night un-merges nobody"
        clinic.emr.clock = lambda: AS_OF + DAY + MINUTE
        clinic.emr.load([patient("p1")])
        clinic.run(AS_OF + 2 * DAY)
        assert outcome(clinic, "p1", "A1C-OUT") == "eligible"
        assert outcome(clinic, "p2", "A1C-OUT") == "not_eligible"


def test_1B_F35_what_is_about_nobody_whom_we_know_leads_to_no_decision(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.emr.clock = lambda: AS_OF + MINUTE
        clinic.emr.load([diabetes("stranger"), a1c(9.9, who="stranger")])
        told = clinic.run(AS_OF + DAY)
        assert (told["status"], told["patients"]) == ("complete", 1)


def test_1B_F53_the_hour_that_comes_twice_loses_no_change(database: Database, tmp_path: Path) -> None:
    first = dt.datetime.fromisoformat("2026-11-01T01:30:00-04:00")
    again = dt.datetime.fromisoformat("2026-11-01T01:10:00-05:00")
    with practice(database, tmp_path, THREE) as clinic:
        clinic.run(first)
        clinic.run(first)
        clinic.emr.clock = lambda: first + 30 * MINUTE
        clinic.emr.load([a1c(9.9, who="p2", effectiveDateTime="2026-10-20")])
        assert clinic.run(again)["evaluated"] == 1


def test_1B_F56_a_second_run_at_the_same_time_is_told_to_wait(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, THREE) as clinic:
        other = Database(database.url, lock_dir=database.lock_dir)
        with other.lease(lease_of("clinic")), pytest.raises(Busy):
            clinic.run()
        other.engine.dispose()
        assert clinic.run()["status"] == "complete", "the lease went with the one who held it"
