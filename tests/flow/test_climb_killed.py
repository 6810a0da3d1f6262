"""The process is killed (SIGKILL) while things climb to a higher rung: started again until nothing moves,
each stands open in one place, and what nobody knows is listed, with the lower copy kept."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import placements
from cm_service.db.engine import Database
from cm_service.flow.ladder import Rung
from cm_service.flow.rungs.copies import version_of
from tests.flow.night_world import Practice
from tests.flow.test_ladder_nights import allow, on_notes
from tests.flow.test_night_killed import on_both_stores
from tests.flow.test_night_killed_anywhere import start, until_quiet

# Each lies between two of: begin to climb, write the higher, read it back, supersede the lower.
POINTS = (
    "after the transaction of placing._climb",
    "as it leaves: POST CarePlan",
    "when it was answered: POST CarePlan",
    "after the transaction of updating.written",
    "as it leaves: POST Task",
    "when it was answered: POST Task",
    "as it leaves: GET DocumentReference by id",
    "as it leaves: PUT DocumentReference",
    "when it was answered: PUT DocumentReference",
    "after the transaction of closing._close",
)


def notes(clinic: Practice, row: Any) -> list[str]:
    """The state of each note of this intent in the EMR's own store."""
    held = [version.resource for version in clinic.emr.live("DocumentReference") if version.resource]
    return [str(each["status"]) for each in held if version_of(each, row.system, row.value) is not None]


@on_both_stores(
    dict.fromkeys(POINTS), "when it was answered: POST Task", "as it leaves: PUT DocumentReference"
)
def test_a_climb_that_was_killed(name: str, database: Database, tmp_path: Path) -> None:
    clinic = on_notes(database, tmp_path)
    before = {row.id for row in clinic.rows()}
    allow(clinic, "Goal", "CarePlan", "Task")
    ended = start(clinic, die_at=name)
    assert ended.exit == -signal.SIGKILL, ended
    until_quiet(clinic)
    rows = clinic.rows()
    assert {row.id for row in rows} == before, "nothing is lost"
    for row in rows:
        natively = clinic.copies_of(row)
        assert (natively, row.state == "written", row.rung) in (
            (1, True, Rung.NATIVE),
            (0, False, Rung.NATIVE),
        )
        assert row.state in ("written", "unknown") or (row.kind, row.state) == ("Task", "pending"), (
            "of its plan"
        )
        if row.kind != "Goal":  # which has no note of its own
            assert notes(clinic, row) == (["superseded"] if natively else ["current"])
    assert len(clinic.rows(state="unknown")) == ("as it leaves: POST" in name)
    with database.read() as connection:
        open_ends = placements.closing(connection, "clinic")
    assert {row.id for row in open_ends} <= {row.id for row in rows if row.state != "written"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_undisturbed_all_of_it_climbs(database: Database, tmp_path: Path) -> None:
    clinic = on_notes(database, tmp_path)
    allow(clinic, "Goal", "CarePlan", "Task")
    passed = tmp_path / "points"
    assert start(clinic, points=passed).exit == 0
    assert set(POINTS) <= set(passed.read_text().splitlines())
    assert {row.rung for row in clinic.rows()} == {Rung.NATIVE}
