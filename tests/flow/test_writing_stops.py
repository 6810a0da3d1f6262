"""What stops the writing, and what does not: a pause, a cap, a busy EMR, a row that cannot be sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cm_service.db import ledger
from cm_service.db.engine import Database
from cm_service.flow.rungs.native import Native
from tests.flow.bad_network import answers, meanwhile
from tests.flow.night_world import AS_OF, out_of_range
from tests.flow.writing_world import DAY, NEWER, ward

TWO = [*out_of_range("p1"), *out_of_range("p2")]


def test_a_pause_stops_a_running_night_before_its_next_write(database: Database, tmp_path: Path) -> None:
    with ward(database, tmp_path, TWO) as clinic:
        clinic.network.fail("POST Goal", meanwhile(lambda: clinic.set(paused_at=AS_OF)))
        report = clinic.run()
        assert (report["status"], report["written"], report["pending"]) == ("partial", 1, 5)
        assert any("paused" in problem for problem in report["problems"])
        writes = clinic.writes()
        clinic.emr.load([NEWER])
        assert clinic.run(AS_OF + DAY)["changed_records"] > 0, "reads go on"
        assert clinic.writes() == writes
        clinic.set(paused_at=None)
        assert clinic.run(AS_OF + DAY)["pending"] == 0
        assert set(clinic.copies().values()) == {1}


def test_a_pause_before_a_create_leaves_no_trace_of_a_request(database: Database, tmp_path: Path) -> None:
    with ward(database, tmp_path, out_of_range()) as clinic:
        clinic.set(paused_at=AS_OF)
        clinic.run()
        assert clinic.writes() == 0
        assert {(row.state, row.sent_at, row.attempts) for row in clinic.rows()} == {("pending", None, 0)}


def test_no_more_is_written_in_one_night_than_is_set(database: Database, tmp_path: Path) -> None:
    with ward(database, tmp_path, TWO) as clinic:
        clinic.set(max_writes=2)
        counts = [clinic.run() for _ in range(3)]
        assert [(told["written"], told["pending"]) for told in counts] == [(2, 4), (2, 2), (2, 0)]
        assert any("max-writes" in problem for problem in counts[0]["problems"])
        assert (counts[0]["status"], counts[2]["status"]) == ("partial", "complete")


@pytest.mark.parametrize("status", [429, 503])
def test_a_long_retry_after_ends_the_writing_and_is_not_sat_out(
    status: int, database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, TWO) as clinic:
        clinic.network.fail("POST Goal", answers(status, Retry_After="3600"))
        report = clinic.run()
        assert (report["status"], report["written"], report["pending"]) == ("partial", 0, 6)
        assert clinic.network.sent("POST Goal") == 1
        assert clinic.hours.slept == []
        assert clinic.run()["written"] == 6


def test_a_row_that_breaks_our_own_code_is_parked_and_blocks_nobody(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = Native.build

    def breaks(self: Native, connection: Any, row: Any) -> Any:
        if row.kind == "Task" and row.patient_id == "p1":
            raise KeyError("a name that must not be told")
        return build(self, connection, row)

    monkeypatch.setattr(Native, "build", breaks)
    with ward(database, tmp_path, TWO) as clinic:
        report = clinic.run()
        assert (report["written"], report["parked"]) == (5, 1)
        (row,) = clinic.rows(state="parked")
        assert "KeyError" in row.reason
        assert "name" not in row.reason


def test_what_was_sent_five_times_without_an_end_is_parked(database: Database, tmp_path: Path) -> None:
    with ward(database, tmp_path, TWO) as clinic:
        clinic.set(paused_at=AS_OF)
        clinic.run()
        row = clinic.rows(kind="Goal", patient_id="p1")[0]
        with database.write() as connection:
            ledger.move(connection, row.placement_id, now=AS_OF, attempts=5)
        clinic.set(paused_at=None)
        report = clinic.run()
        assert report["parked"] == 1
        assert clinic.rows(kind="Goal", patient_id="p1")[0].reason.startswith("sent 5 times")
        assert {row.state for row in clinic.rows(patient_id="p2")} == {"written"}
