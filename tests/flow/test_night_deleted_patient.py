"""A patient whom the EMR has deleted: nothing more is decided or written, and nothing is undone for it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from cm_service.db import care, worklist
from cm_service.db.engine import Database
from cm_service.db.ledger import PATIENT_GONE
from tests.flow.bad_network import answers
from tests.flow.night_world import AS_OF, Practice, a1c, far_practice, out_of_range, practice, stay

DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)
BOTH = [*out_of_range("p1"), *out_of_range("p2")]


def states(clinic: Practice, who: str = "p1") -> dict[str, str]:
    return {row.kind: row.state for row in clinic.rows(patient_id=who)}


def about(clinic: Practice, who: str = "p1") -> tuple[bool, bool]:
    """Is anything decided, and is the patient on the worklist?"""
    with clinic.database.read() as connection:
        return who in care.patients(connection, "clinic"), worklist.of(connection, "clinic", who) is not None


def delete(clinic: Practice, at: dt.datetime, who: str = "p1") -> None:
    clinic.emr.clock = lambda: at
    clinic.emr.clinician_delete("Patient", who)


def test_an_incremental_night_sees_it_and_leaves_what_was_written(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, BOTH) as clinic:
        clinic.run()
        assert about(clinic) == (True, True)
        before, writes = states(clinic), clinic.writes()
        delete(clinic, AS_OF + DAY - MINUTE)
        report = clinic.run(AS_OF + DAY)
        assert report["types"]["Patient"]["changes_only"]
        assert (report["status"], report["departed"], report["removed"]) == ("complete", 1, 1)
        assert (about(clinic), about(clinic, "p2")) == ((False, False), (True, True))
        again = clinic.run(AS_OF + 2 * DAY)
        assert (again["status"], again["departed"], again["written"]) == ("complete", 0, 0)
        assert (states(clinic), clinic.writes()) == (before, writes)


def test_what_waits_is_parked_and_goes_out_when_the_patient_is_back(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, BOTH) as clinic:
        clinic.run(max_new=0)
        assert set(states(clinic).values()) == {"pending"}
        delete(clinic, AS_OF + DAY - MINUTE)
        report = clinic.run(AS_OF + DAY)
        assert (report["written"], report["parked"], set(states(clinic).values())) == (3, 3, {"parked"})
        assert {row.reason for row in clinic.rows(patient_id="p1")} == {PATIENT_GONE}
        assert {row.patient_id for row in clinic.rows(state="written")} == {"p2"}
        clinic.emr.clock = lambda: AS_OF + 2 * DAY - MINUTE
        clinic.emr.load(out_of_range("p1"))
        report = clinic.run(AS_OF + 2 * DAY)
        assert (report["written"], report["parked"]) == (3, 0)
        assert (set(states(clinic).values()), about(clinic)) == ({"written"}, (True, True))
        assert set(clinic.copies().values()) == {1}


def test_news_of_a_deleted_patient_is_not_written_into_the_chart(database: Database, tmp_path: Path) -> None:
    """Some EMRs keep what was filed under a patient whom they deleted."""
    with practice(database, tmp_path, BOTH) as clinic:
        clinic.run()
        delete(clinic, AS_OF + DAY - MINUTE)
        clinic.emr.load([a1c(9.9, id_="newer"), stay()])
        writes = clinic.writes()
        report = clinic.run(AS_OF + DAY)
        assert (report["departed"], report["written"], clinic.writes()) == (1, 0, writes)
        assert clinic.run(AS_OF + 8 * DAY)["written"] == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_where_no_history_tells_the_next_reading_of_everything_does(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, BOTH) as (clinic, network):
        clinic.run()
        network.fail("GET Patient/_history", answers(405), always=True)
        delete(clinic, AS_OF + DAY - MINUTE)
        assert clinic.run(AS_OF + DAY)["departed"] == 0
        assert clinic.run(AS_OF + 8 * DAY)["departed"] == 1
        assert about(clinic) == (False, False)
