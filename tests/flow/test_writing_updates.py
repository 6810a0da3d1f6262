"""Updates under the three preconditions: nobody's edit is lost without a word."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cm_service.db import ledger
from cm_service.db.engine import Database
from cm_service.flow import ours
from cm_service.sandbox.declared import Personality
from cm_service.sandbox.personality import GENEROUS
from tests.flow.bad_network import DROPPED_BEFORE, Fault, answers, meanwhile
from tests.flow.night_world import AS_OF, out_of_range
from tests.flow.writing_world import BARE, DATED, DAY, LIAR, NEWER, Ward, ward

OUTREACH = "a1c-outreach"
NOTE = [{"text": "She prefers mornings"}]
STYLES = {"ETag": GENEROUS, "If-Unmodified-Since": DATED, "none": LIAR}


def prepare(clinic: Ward, personality: Personality) -> None:
    if personality is DATED:
        clinic.profiled(precondition="if-unmodified-since")
    if personality in (LIAR, BARE):
        clinic.profiled(precondition="none")
    clinic.run()
    clinic.emr.load([NEWER])


@pytest.mark.parametrize("personality", STYLES.values(), ids=STYLES)
def test_an_edit_between_our_read_and_our_write_stays_beside_ours(
    personality: Personality, database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, out_of_range(), personality) as clinic:
        prepare(clinic, personality)
        clinic.network.fail("PUT Task", meanwhile(lambda: clinic.edit("Task", OUTREACH, note=NOTE)))
        clinic.run(AS_OF + DAY)
        task = clinic.held("Task", OUTREACH)
        assert task["note"] == NOTE
        assert task["reasonReference"] == {"reference": "Observation/newer"}


@pytest.mark.parametrize("personality", STYLES.values(), ids=STYLES)
def test_an_edit_of_what_we_change_too_stays_and_a_person_is_told(
    personality: Personality, database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, out_of_range(), personality) as clinic:
        prepare(clinic, personality)
        theirs = {"reference": "Observation/p1-a1c", "display": "the one that matters"}
        clinic.network.fail(
            "PUT Task", meanwhile(lambda: clinic.edit("Task", OUTREACH, reasonReference=theirs))
        )
        clinic.run(AS_OF + DAY)
        row = clinic.row("Task", OUTREACH)
        assert clinic.held("Task", OUTREACH)["reasonReference"] == theirs
        assert "reasonReference" in row.human
        assert row.reason


def test_what_somebody_filled_in_before_we_first_want_it_stays_and_a_person_is_told(
    database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, out_of_range(), GENEROUS) as clinic:
        clinic.run()
        clinic.edit("CarePlan", description="talked over with her daughter")
        clinic.run(AS_OF + DAY)
        row = clinic.row("CarePlan")
        wanted = {**json.loads(row.wanted), "description": "as planned", "title": "Another plan"}
        with database.write() as connection:
            ledger.rewant(connection, row.id, wanted=json.dumps(wanted), urgency=row.urgency, now=AS_OF + DAY)
        clinic.run(AS_OF + DAY)
        held = clinic.held("CarePlan")
        assert (held["description"], held["title"]) == ("talked over with her daughter", "Another plan")
        assert clinic.row("CarePlan").reason


def test_an_overwritten_version_that_cannot_be_read_is_told_to_a_person(
    database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, out_of_range(), LIAR) as clinic:
        prepare(clinic, LIAR)
        clinic.network.fail("PUT Task", meanwhile(lambda: clinic.edit("Task", OUTREACH, note=NOTE)))
        id_ = clinic.row("Task", OUTREACH).reference
        clinic.network.fail(f"GET {id_}/_history", answers(404), always=True)
        report = clinic.run(AS_OF + DAY)
        assert (report["parked"], report["overwritten"]) == (1, 1)
        assert "version" in clinic.row("Task", OUTREACH).reason


def test_an_edit_before_and_one_after_our_write_both_stay(database: Database, tmp_path: Path) -> None:
    with ward(database, tmp_path, out_of_range(), LIAR) as clinic:
        prepare(clinic, LIAR)
        owner = {"display": "Anna"}
        edits = (
            lambda: clinic.edit("Task", OUTREACH, note=NOTE),
            lambda: clinic.edit("Task", OUTREACH, owner=owner),
        )
        clinic.network.fail("PUT Task", Fault(reaches=True, first=edits[0], then=edits[1], late=-1))
        clinic.run(AS_OF + DAY)
        task = clinic.held("Task", OUTREACH)
        assert (task["note"], task["owner"]) == (NOTE, owner)
        assert task["reasonReference"] == {"reference": "Observation/newer"}


def test_without_versions_what_was_read_a_moment_before_is_what_is_changed(
    database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, out_of_range(), BARE) as clinic:
        prepare(clinic, BARE)
        fault = meanwhile(lambda: clinic.edit("Task", OUTREACH, note=NOTE))
        clinic.network.fail(f"GET {clinic.row('Task', OUTREACH).reference}", fault)
        clinic.run(AS_OF + DAY)
        task = clinic.held("Task", OUTREACH)
        assert (task["note"], task["reasonReference"]["reference"]) == (NOTE, "Observation/newer")


def test_a_change_in_the_second_in_which_it_is_read_is_waited_out(database: Database, tmp_path: Path) -> None:
    with ward(database, tmp_path, out_of_range(), DATED) as clinic:
        prepare(clinic, DATED)

        def edit_now() -> None:
            clinic.emr.clock = clinic.hours.clock
            clinic.edit("Task", OUTREACH, note=NOTE)

        clinic.network.fail(f"GET {clinic.row('Task', OUTREACH).reference}", meanwhile(edit_now))
        clinic.run(AS_OF + DAY)
        assert 1.1 in clinic.hours.slept
        task = clinic.held("Task", OUTREACH)
        assert (task["note"], task["reasonReference"]["reference"]) == (NOTE, "Observation/newer")


@pytest.mark.parametrize("personality", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize(
    "hidden",
    [
        {"modifierExtension": [{"url": "https://emr.example/negates", "valueBoolean": True}]},
        {"meta": {"tag": [{"code": "SUBSETTED"}]}},
    ],
    ids=["modifierExtension", "SUBSETTED"],
)
def test_what_we_cannot_understand_is_not_written_over(
    hidden: dict[str, object], personality: Personality, database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, out_of_range(), personality) as clinic:
        prepare(clinic, personality)
        clinic.edit("Task", OUTREACH, **hidden)
        clinic.run(AS_OF + DAY)
        assert clinic.network.sent("PUT Task") == 0


@pytest.mark.parametrize("personality", STYLES.values(), ids=STYLES)
def test_what_a_clinician_deleted_is_not_brought_back(
    personality: Personality, database: Database, tmp_path: Path
) -> None:
    with ward(database, tmp_path, out_of_range(), personality) as clinic:
        prepare(clinic, personality)
        place = clinic.row("Task", OUTREACH).reference
        id_ = place.partition("/")[2]
        clinic.network.fail("PUT Task", meanwhile(lambda: clinic.emr.clinician_delete("Task", id_)))
        clinic.network.fail(f"GET {place}", meanwhile(lambda: clinic.emr.clinician_delete("Task", id_)))
        for days in (1, 2):
            clinic.run(AS_OF + days * DAY)
        (row,) = clinic.rows(reference=place)
        assert row.deleted
        version = clinic.emr.current("Task", id_)
        assert version is not None
        assert version.resource is None


def test_an_update_that_was_delivered_twice_and_then_unreadable_is_no_persons_work(
    database: Database, tmp_path: Path
) -> None:
    """A proxy's second delivery is refused as a conflict with the first; what stands there is ours."""
    with ward(database, tmp_path, out_of_range(), GENEROUS) as clinic:
        prepare(clinic, GENEROUS)

        def no_more() -> None:
            clinic.network.fail("GET Task/", answers(503), always=True)

        clinic.network.fail("PUT Task", replace(answers(409, reaches=True), then=no_more))
        clinic.run(AS_OF + DAY)
        assert clinic.row("Task", OUTREACH).state == "unknown"
        clinic.network.heal()
        clinic.emr.load([{**NEWER, "id": "newest", "effectiveDateTime": "2026-11-20"}])
        clinic.run(AS_OF + 2 * DAY)
        row = clinic.row("Task", OUTREACH)
        assert (row.state, row.human, row.reason) == ("written", [], None)
        assert clinic.held("Task", OUTREACH)["reasonReference"] == {"reference": "Observation/newest"}


def test_an_update_that_comes_late_is_no_persons_work(database: Database, tmp_path: Path) -> None:
    """It was taken for lost, and something else is wanted by the time it arrives."""
    with ward(database, tmp_path, out_of_range(), GENEROUS) as clinic:
        prepare(clinic, GENEROUS)
        clinic.network.fail("PUT Task", DROPPED_BEFORE, answers(503, Retry_After="600"))
        clinic.run(AS_OF + DAY)
        lost = clinic.row("Task", OUTREACH)
        assert (lost.state, '"Observation/newer"' in lost.sent) == ("pending", True)
        body = ours.merged(clinic.held("Task", OUTREACH), json.loads(lost.sent), frozenset())

        def arrive() -> None:
            clinic.emr.put(body, type_="Task", id_=body["id"], by="client")

        clinic.network.fail("GET Task?", answers(503), always=True)
        clinic.network.fail("PUT Task", meanwhile(arrive))
        clinic.emr.load([{**NEWER, "id": "newest", "effectiveDateTime": "2026-11-20"}])
        clinic.run(AS_OF + 2 * DAY)
        assert clinic.row("Task", OUTREACH).human == []
        assert clinic.held("Task", OUTREACH)["reasonReference"] == {"reference": "Observation/newest"}
