"""The worklist is what decisions, ledger and enrolments say, after every night and every act."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from cm_service.db import connections, worklist
from cm_service.db.engine import Database
from cm_service.flow.care import acts
from cm_service.flow.care.desk import Desk, undo
from tests.flow.night_world import AS_OF, BASE, Practice, a1c, diabetes, out_of_range, patient, practice

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
NOW = AS_OF + dt.timedelta(hours=1)


def listed(clinic: Practice, **wanted: object) -> list[str]:
    with clinic.database.read() as connection:
        rows = worklist.page(connection, worklist.Filter(emrs=("clinic",), **wanted))  # type: ignore[arg-type]
    return [row.patient_id for row in rows]


def test_the_most_urgent_stands_first_and_pages_follow_each_other(database: Database, tmp_path: Path) -> None:
    urgent = [patient("p9"), diabetes("p9"), a1c(11.2, "p9")]
    others = [each for n in range(5) for each in out_of_range(f"p{n}")]
    with practice(database, tmp_path, [*others, *urgent]) as clinic:
        clinic.run()
        everybody = listed(clinic)
        assert everybody[0] == "p9" and len(everybody) == 6
        found: list[str] = []
        after = None
        while True:
            with database.read() as connection:
                rows = worklist.page(connection, worklist.Filter(emrs=("clinic",), after=after, limit=2))
            if not rows:
                break
            found.extend(row.patient_id for row in rows)
            last = rows[-1]
            after = (last.urgency, (last.due_at or worklist.FAR).isoformat(), last.emr, last.patient_id)
        assert found == everybody


@SQLITE
def test_who_has_nothing_open_leaves_the_worklist(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        assert listed(clinic) == ["p1"]
        clinic.emr.load([a1c(6.2)])
        clinic.run(AS_OF + dt.timedelta(days=1))
        assert listed(clinic) == []


@SQLITE
def test_an_act_and_its_undoing_are_seen_at_once(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        with database.write() as connection:
            emr = connections.get_emr(connection, "clinic")
            act = acts.accept(
                Desk(connection, emr, "p1", base=BASE, by="Practitioner/n", now=NOW),
                care_manager="Practitioner/n",
            )
        assert listed(clinic, status="accepted", care_manager="Practitioner/n") == ["p1"]
        with database.write() as connection:
            undo(connection, act, emr="clinic", by="Practitioner/n", now=NOW)
        assert listed(clinic, status="candidate") == ["p1"]
        assert listed(clinic, rule="A1C-OUT") == ["p1"] and listed(clinic, rule="DIS-TCM") == []
        assert listed(clinic, due_before=AS_OF) == []
