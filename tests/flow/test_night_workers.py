"""A night with workers stores what a night without them stores."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cm_service.db.engine import Database
from cm_service.db.tables import DecisionRow, Intent, Record, ResourceOwner
from cm_service.flow.crew import spare_cores
from cm_service.flow.intents import Change, Known
from cm_service.flow.plan import PlanContext, plan
from cm_service.flow.sources import Source, from_folder
from cm_service.rules.decision import Decision
from cm_service.rules.view import PatientView
from cm_service.sandbox.panel import build_panel, write_panel
from tests.flow.test_night_incremental import AS_OF, ZONE, add_clinic, at, keep

TABLES = (Record, ResourceOwner, DecisionRow, Intent)
VOLATILE = {"id", "created_at", "updated_at"}


@dataclass
class Stored:
    rows: dict[str, list[Any]]
    counts: dict[str, int]
    source: Source


def planner(view: PatientView, decisions: list[Decision], known: list[Known]) -> list[Change]:
    return plan(
        emr=PlanContext(identifier_base="https://cm.example", readable=view.holds),
        patient_id=decisions[0].patient,
        decisions=decisions,
        view=view,
        known=known,
        as_of=AS_OF,
        zone=ZONE,
    )


def night(database: Database, folder: Path, workers: int) -> Stored:
    with database.write() as connection:
        for table in reversed(TABLES):
            connection.execute(sa.delete(table))
    source = from_folder(folder, base_url=None, concept_map={}, max_line_bytes=20_000_000, full=False)
    plans = at(AS_OF)._replace(planner=planner)
    counts = dict(keep(database, source, plans=plans, workers=workers).counts)
    with database.read() as connection:
        rows = {
            table.__tablename__: sorted(
                tuple(value for name, value in row._mapping.items() if name not in VOLATILE)
                for row in connection.execute(sa.select(table.__table__))
            )
            for table in TABLES
        }
    return Stored(rows, counts, source)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A panel, and lines of people in it that nobody can read."""
    target = tmp_path / "landing"
    write_panel(build_panel(as_of=AS_OF, zone=ZONE), target)
    people = [json.loads(line)["id"] for line in (target / "Patient.ndjson").read_text().splitlines()]
    with (target / "Observation.ndjson").open("a") as out:
        for who in people[::40]:
            owner = f'"subject":{{"reference":"Patient/{who}"}}}}'
            out.write(
                '{"resourceType":"Observation","status":"final","code":{"text":"4548-4"},' + owner + "\n"
            )
            out.write(
                '{"resourceType":"Observation","id":"1","id":"2","code":{"text":"4548-4"},' + owner + "\n"
            )
            out.write('{"resourceType":"Observation","id":"' + who + "\n")
    return target


def test_workers_change_nothing_that_is_stored_counted_or_rejected(database: Database, folder: Path) -> None:
    add_clinic(database)
    alone, shared = (night(database, folder, workers) for workers in (0, 2))
    assert alone.rows == shared.rows
    assert all(alone.rows.values()), "or else nothing was compared"
    assert alone.counts == shared.counts
    assert alone.source.rejects == shared.source.rejects != []
    assert alone.source.reading.holes == shared.source.reading.holes
    assert alone.source.reading.findings == shared.source.reading.findings


def test_a_process_with_other_threads_is_not_forked() -> None:
    waits = threading.Event()
    other = threading.Thread(target=waits.wait)
    other.start()
    try:
        assert spare_cores() == 0
    finally:
        waits.set()
        other.join()
