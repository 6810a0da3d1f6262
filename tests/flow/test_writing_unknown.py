"""What was sent and never answered: found by reading, sent again only where its absence is proven."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cm_service.db.engine import Database
from tests.flow.bad_network import DROPPED_AFTER, DROPPED_BEFORE, FINE, Fault, Reply, answers, empty
from tests.flow.night_world import AS_OF, BASE, out_of_range
from tests.flow.writing_world import DAY, Ward, ward

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # elsewhere the audit stays
TWO = [*out_of_range("p1"), *out_of_range("p2")]
THERE_ALREADY = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "duplicate", "details": {"coding": [{"code": "59189"}]}}],
}


def one_unknown(clinic: Ward) -> None:
    """A night after which one Task of two is unknown, and really is not there."""
    clinic.network.fail("POST Task", DROPPED_BEFORE)
    assert clinic.run()["unknown"] == 1


def test_what_two_looks_apart_do_not_find_goes_again_where_searches_show_fresh_writes(
    database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, TWO) as clinic:
        one_unknown(clinic)
        clinic.knows("read-after-write", "proven")
        unknown = []
        for seconds in (200, 150, 200, 150):  # too early, first look, too early after it, second look
            clinic.hours.forward(seconds=seconds)
            unknown.append(clinic.run()["unknown"])
        assert unknown == [1, 1, 1, 0]
        assert set(clinic.copies().values()) == {1}
        assert {row.state for row in clinic.rows()} == {"written"}


def test_a_look_that_finds_it_between_the_two_ends_the_matter(database: Database, tmp_path: Path) -> None:
    with ward(database, tmp_path, TWO) as clinic:
        clinic.network.fail("POST Task", DROPPED_AFTER)
        clinic.network.fail("GET Task", answers(403), always=True)
        assert clinic.run()["unknown"] == 1
        clinic.knows("read-after-write", "proven")
        clinic.network.heal()
        clinic.hours.forward(hours=1)
        assert clinic.run()["unknown"] == 0
        assert set(clinic.copies().values()) == {1}


@pytest.mark.parametrize("proof", ["missed", None])
def test_where_a_search_may_hide_a_fresh_write_a_person_must_look(
    proof: str | None, database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, TWO) as clinic:
        one_unknown(clinic)
        if proof:
            clinic.knows("read-after-write", proof)
        reasons = set()
        for _ in range(4):
            clinic.hours.forward(hours=24)
            assert clinic.run()["unknown"] == 1
            reasons.add(clinic.rows(state="unknown")[0].reason)
        assert len(reasons) == 1, "the reason does not grow from night to night"
        assert "not proven" in reasons.pop()


def test_a_search_that_no_longer_shows_anything_proves_no_absence(database: Database, tmp_path: Path) -> None:
    with ward(database, tmp_path, TWO) as clinic:
        one_unknown(clinic)
        clinic.knows("read-after-write", "proven")
        clinic.network.fail("GET Task?identifier", empty(), always=True)
        for _ in range(3):
            clinic.hours.forward(hours=24)
            assert clinic.run()["unknown"] == 1
        reason = clinic.rows(state="unknown")[0].reason
        assert "was a scope lost?" in reason or "not proven that a search here" in reason
        assert sorted(clinic.copies().values()) == [0, 1, 1, 1, 1, 1]


def test_a_type_in_the_holding_tank_is_left_to_a_person(database: Database, tmp_path: Path) -> None:
    with ward(database, tmp_path, TWO) as clinic:
        clinic.profiled(holding_tank=["Task"])
        one_unknown(clinic)
        clinic.knows("read-after-write", "proven")
        for _ in range(3):
            clinic.hours.forward(hours=24)
            assert clinic.run()["unknown"] == 1
        assert "hides fresh writes" in clinic.rows(state="unknown")[0].reason


def test_a_look_up_that_is_refused_every_night_leaves_one_short_reason(
    database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, TWO) as clinic:
        one_unknown(clinic)
        clinic.network.fail("GET Task?identifier", answers(401), always=True)
        for _ in range(4):
            clinic.run()
        reason = clinic.rows(state="unknown")[0].reason
        assert reason.count("; looked up: ") == 1


def test_two_copies_of_one_create_are_shown_to_a_person_with_both_places(
    database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, out_of_range()) as clinic:
        clinic.network.fail("POST Task", DROPPED_AFTER)
        clinic.network.fail("GET Task", answers(403), always=True)
        clinic.run()
        (task,) = clinic.emr.live("Task")
        assert task.resource is not None
        clinic.emr.load([{**task.resource, "id": "twin"}])
        clinic.network.heal()
        clinic.network.fail("GET Task?patient", answers(403), always=True)
        clinic.network.fail("GET Task?_count", answers(403), always=True)
        report = clinic.run(AS_OF + DAY)
        (row,) = clinic.rows(state="parked")
        assert report["parked"] == 1
        assert f"Task/{task.id}" in row.reason
        assert "Task/twin" in row.reason


def test_an_emr_that_says_it_is_there_already_is_searched_for_it(database: Database, tmp_path: Path) -> None:
    with ward(database, tmp_path, out_of_range()) as clinic:
        clinic.profiled(already_there=[{"code": "59189"}])
        headers = {"Content-Type": "application/fhir+json"}
        clinic.network.fail("POST Task", Fault(True, Reply(400, json.dumps(THERE_ALREADY).encode(), headers)))
        report = clinic.run()
        assert (report["refused"], report["unknown"]) == (0, 0)
        assert clinic.row("Task").state == "written"
        assert set(clinic.copies().values()) == {1}


def test_without_metadata_everything_is_searched_before_it_is_sent(
    database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, out_of_range()) as clinic:
        clinic.network.fail("GET metadata", answers(403), always=True)
        assert clinic.run()["written"] == 3
        (task,) = [place for place, line in enumerate(clinic.network.log) if line.startswith("POST Task")]
        assert clinic.network.log[task - 1].startswith("GET Task?identifier")


def test_where_nothing_guards_a_create_the_ledger_alone_does_until_an_answer_is_lost(
    database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, TWO) as clinic:
        clinic.network.plain = True
        for kind in ("Goal", "CarePlan", "Task"):
            clinic.network.fail(f"GET {kind}?identifier", answers(403), always=True)
            clinic.network.fail(f"GET {kind}?patient", answers(403), always=True)
        clinic.network.fail("POST Task", DROPPED_AFTER)
        clinic.network.fail("GET metadata", FINE, FINE, DROPPED_BEFORE, always=True)  # read, deliver, no look
        report = clinic.run()
        assert (report["written"], report["unknown"], report["pending"]) == (4, 1, 1), "the first of a kind"
        assert sorted(clinic.copies().values()) == [0, 1, 1, 1, 1, 1]


@SQLITE
def test_where_nothing_guards_a_create_a_store_that_was_lost_sends_nothing_new(
    database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, out_of_range()) as clinic:
        clinic.network.plain = True
        for kind in ("Goal", "CarePlan", "Task"):
            clinic.network.fail(f"GET {kind}?identifier", answers(403), always=True)
        assert clinic.run()["written"] == 3
        clinic.lose_store()
        clinic.emr.load(out_of_range("p2"))
        report = clinic.run(AS_OF + DAY)
        assert (report["adopted"], report["written"]) == (3, 0)
        assert "older store" in clinic.rows(state="parked")[0].reason
        assert clinic.settings.identifier_base == BASE
