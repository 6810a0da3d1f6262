"""Every way in which a write can fail: at most one copy for ever, and nothing lost without a trace."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from cm_service.db.engine import Database
from cm_service.fhir import rawjson
from cm_service.flow import ours
from cm_service.flow.updating import Updating
from tests.flow.bad_network import (
    CUT,
    DROPPED_AFTER,
    DROPPED_BEFORE,
    FINE,
    NEVER,
    TOO_LATE,
    Fault,
    answers,
    html,
    meanwhile,
)
from tests.flow.night_world import AS_OF, Json, a1c, far_practice, out_of_range

DAY = dt.timedelta(days=1)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the store is no matter here
NEWER = a1c(9.8, id_="newer", effectiveDateTime="2026-11-19")
OUTREACH = "a1c-outreach"

ARRIVES = {
    "the answer is lost after the EMR has acted": DROPPED_AFTER,
    "the answer comes too late": TOO_LATE,
    "the body of the answer is cut": CUT,
    "a gateway says 502 though the EMR has acted": answers(502, reaches=True),
    "a gateway says 504 though the EMR has acted": answers(504, reaches=True),
    "a gateway sends its sign-in page instead": html(reaches=True),
    "the EMR is busy for a moment (429)": answers(429, Retry_After="0.05"),
    "the EMR is down for a moment (503 with Retry-After)": answers(503, Retry_After="0.05"),
}
IN_THE_DARK = {
    "the connection breaks before the EMR has acted": DROPPED_BEFORE,
    "nothing ever answers": NEVER,
    "a gateway says 502 and the EMR never heard of it": answers(502),
    "a 503 without Retry-After": answers(503),
}


@SQLITE
@pytest.mark.parametrize("plain", [False, True], ids=["If-None-Exist", "search first"])
@pytest.mark.parametrize("fault", ARRIVES.values(), ids=ARRIVES)
def test_a_create_is_there_once_and_known_although(
    fault: Fault, plain: bool, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.plain = plain
        network.fail("POST Task", fault)
        report = clinic.run()
        assert (report["status"], report["written"], report["unknown"]) == ("complete", 3, 0)
        assert clinic.run()["written"] == 0
        assert clinic.run(AS_OF + DAY)["written"] == 0
        assert set(clinic.copies().values()) == {1}


@SQLITE
@pytest.mark.parametrize("plain", [False, True], ids=["If-None-Exist", "search first"])
@pytest.mark.parametrize("fault", IN_THE_DARK.values(), ids=IN_THE_DARK)
def test_a_create_is_never_sent_again_when(
    fault: Fault, plain: bool, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.plain = plain
        network.fail("POST Task", fault)
        report = clinic.run()
        assert (report["status"], report["written"], report["unknown"]) == ("partial", 2, 1)
        for days in (0, 1, 8):
            assert clinic.run(AS_OF + days * DAY)["unknown"] == 1
        assert network.sent("POST Task") == 1
        assert sorted(clinic.copies().values()) == [0, 1, 1]
        assert clinic.row("Task").reason


@SQLITE
def test_an_unknown_create_that_shows_up_late_is_taken_as_it_is(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.fail("POST Task", DROPPED_AFTER)
        for search in ("GET Task?identifier", "GET Task?patient", "GET Task?subject"):
            network.fail(search, answers(403), always=True)
        network.fail("GET metadata", FINE, FINE, DROPPED_BEFORE, always=True)  # read, deliver, no look
        assert clinic.run()["unknown"] == 1
        network.heal()
        report = clinic.run()
        assert (report["status"], report["unknown"], report["written"]) == ("complete", 0, 0)
        assert set(clinic.copies().values()) == {1}


@SQLITE
def test_what_a_person_did_to_an_unknown_create_meanwhile_is_kept(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.fail("POST Task", DROPPED_AFTER)
        network.fail("GET Task", answers(403), always=True)
        clinic.run()
        (there,) = clinic.emr.live("Task")
        clinic.emr.clinician_edit("Task", there.id, lambda task: task.update(description="I do it"))
        clinic.emr.load([NEWER])
        network.heal()
        clinic.run(AS_OF + DAY)
        assert clinic.held("Task")["description"] == "I do it"
        assert clinic.held("Task")["reasonReference"] == {"reference": "Observation/newer"}
        assert clinic.row("Task").human == ["description"]


@SQLITE
def test_what_changed_while_a_create_was_unknown_goes_out_when_it_is_found(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.fail("POST Task", DROPPED_AFTER)
        network.fail("GET Task", answers(403), always=True)
        clinic.run()
        clinic.emr.load([NEWER])
        assert clinic.run(AS_OF + DAY)["unknown"] == 1
        network.heal()
        report = clinic.run(AS_OF + DAY)
        assert (report["written"], report["unknown"], report["pending"]) == (1, 0, 0)
        assert clinic.held("Task")["reasonReference"] == {"reference": "Observation/newer"}
        assert clinic.row("Task").human == []
        assert set(clinic.copies().values()) == {1}


@SQLITE
@pytest.mark.parametrize("fault", (ARRIVES | IN_THE_DARK).values(), ids=ARRIVES | IN_THE_DARK)
def test_an_update_arrives_in_the_same_night_although(
    fault: Fault, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        clinic.run()
        clinic.emr.load([NEWER])
        network.fail("PUT Task", fault)
        writes = clinic.writes()
        report = clinic.run(AS_OF + DAY)
        assert clinic.held("Task", OUTREACH)["reasonReference"] == {"reference": "Observation/newer"}
        assert (report["status"], report["unknown"], report["pending"]) == ("complete", 0, 0)
        assert report["written"] == clinic.writes() - writes
        assert clinic.row("Task", OUTREACH).human == []
        assert clinic.run(AS_OF + DAY)["written"] == 0


class KilledError(BaseException):
    """The process ends here."""


@SQLITE
def test_an_update_that_arrives_after_the_process_died_over_the_next_one_is_no_persons_change(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = Updating.update

    async def dies_over_a_task(self: Updating, row: Any, sent: Json) -> None:
        if row.kind == "Task":
            raise KilledError
        await update(self, row, sent)

    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        clinic.run()
        clinic.emr.load([NEWER])
        network.fail("PUT Task", DROPPED_BEFORE, always=True)
        clinic.run(AS_OF + DAY)
        wandering = ours.merged(clinic.held("Task"), rawjson.loads(clinic.row("Task").sent.encode()), set())
        assert wandering["reasonReference"] == {"reference": "Observation/newer"}
        network.heal()
        clinic.emr.load([a1c(8.1, id_="newest", effectiveDateTime="2026-11-21T09:00:00-05:00")])
        with monkeypatch.context() as broken, pytest.raises(KilledError):
            broken.setattr(Updating, "update", dies_over_a_task)
            clinic.run(AS_OF + 2 * DAY)
        clinic.emr.put(wandering, type_="Task", id_=wandering["id"])
        clinic.run(AS_OF + 2 * DAY)
        assert clinic.held("Task")["reasonReference"] == {"reference": "Observation/newest"}
        assert clinic.row("Task").human == []


@SQLITE
def test_what_changed_while_an_update_was_unknown_is_no_persons_change(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        clinic.run()
        clinic.emr.load([NEWER])
        network.fail("PUT Task", DROPPED_AFTER)
        network.fail("GET Task/", answers(403), always=True)
        assert clinic.run(AS_OF + DAY)["unknown"] == 1
        network.fail("GET Task", answers(403), always=True)
        clinic.emr.load([a1c(8.1, id_="newest", effectiveDateTime="2026-11-21T09:00:00-05:00")])
        assert clinic.run(AS_OF + 2 * DAY)["unknown"] == 1
        network.heal()
        clinic.run(AS_OF + 2 * DAY)
        task = clinic.held("Task", OUTREACH)
        assert (task["reasonReference"], task["priority"]) == (
            {"reference": "Observation/newest"},
            "routine",
        )
        assert clinic.row("Task", OUTREACH).human == []


@SQLITE
@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_refused_create_is_visible_with_the_emrs_words_and_blocks_nobody(
    status: int, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, [*out_of_range("p1"), *out_of_range("p2")]) as (clinic, network):
        network.fail("POST Goal", answers(status, "not in this clinic"))
        report = clinic.run()
        assert (report["refused"], report["written"], report["pending"]) == (1, 5, 0)
        assert report["status"] == "complete", "nothing is left open by us; the refusal stays in the figures"
        (refused,) = clinic.rows(state="refused")
        assert "not in this clinic" in refused.reason
        assert clinic.run()["refused"] == 1
        assert network.sent("POST Goal") == 2, "a refusal is not asked for again"
        assert sorted(clinic.copies().values()) == [0, 1, 1, 1, 1, 1]


@SQLITE
@pytest.mark.parametrize("status", [403, 405, 422])
def test_a_refused_update_is_visible_and_blocks_nobody(
    status: int, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, [*out_of_range("p1"), *out_of_range("p2")]) as (clinic, network):
        clinic.run()
        clinic.emr.load([NEWER, a1c(9.8, "p2", id_="newer2", effectiveDateTime="2026-11-19")])
        network.fail("PUT Task", answers(status, "read only"))
        report = clinic.run(AS_OF + DAY)
        assert report["refused"] == 1
        assert report["written"] >= 1
        assert [row.reason for row in clinic.rows(state="refused")] == ["error read only"]


@SQLITE
@pytest.mark.parametrize("what", ["POST Goal", "POST Task"])
def test_a_401_stops_the_writing_and_the_next_night_goes_on(
    what: str, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, [*out_of_range("p1"), *out_of_range("p2")]) as (clinic, network):
        network.fail(what, answers(401))
        report = clinic.run()
        assert report["status"] == "partial"
        assert any("writing stopped" in problem for problem in report["problems"])
        assert report["pending"] == 6 - report["written"]
        second = clinic.run()
        assert (second["status"], second["pending"]) == ("complete", 0)
        assert set(clinic.copies().values()) == {1}


@SQLITE
def test_an_emr_that_stays_busy_is_left_alone_until_the_next_night(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.fail("POST", answers(429, Retry_After="0.01"), always=True)
        report = clinic.run()
        assert (report["status"], report["written"], report["pending"]) == ("partial", 0, 3)
        assert network.sent("POST Goal") == 3
        network.heal()
        assert clinic.run()["written"] == 3
        assert set(clinic.copies().values()) == {1}


@SQLITE
def test_a_create_that_collides_goes_again_in_the_next_night(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.fail("POST Goal", answers(409))
        report = clinic.run()
        assert (report["written"], report["pending"]) == (0, 3), "what links to the Goal waits for it"
        assert clinic.run()["written"] == 3
        assert clinic.held("CarePlan")["goal"] == [{"reference": f"Goal/{clinic.held('Goal')['id']}"}]
        assert set(clinic.copies().values()) == {1}


@SQLITE
def test_an_update_that_collides_once_keeps_what_the_other_wrote(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        clinic.run()
        clinic.emr.load([NEWER])
        network.fail("PUT Task", meanwhile(lambda: clinic.edit("Task", OUTREACH, owner={"display": "Anna"})))
        report = clinic.run(AS_OF + DAY)
        task = clinic.held("Task", OUTREACH)
        assert task["owner"] == {"display": "Anna"}
        assert task["reasonReference"] == {"reference": "Observation/newer"}
        assert (report["status"], report["conflict"]) == ("complete", 0)
        assert clinic.row("Task", OUTREACH).human == ["owner"]


@SQLITE
def test_an_update_that_collides_again_and_again_waits_for_the_next_night(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        clinic.run()
        clinic.emr.load([NEWER])
        network.fail("PUT Task", answers(409), always=True)
        assert clinic.run(AS_OF + DAY)["conflict"] == 1
        network.heal()
        assert clinic.run(AS_OF + DAY)["conflict"] == 0
        assert clinic.held("Task", OUTREACH)["reasonReference"] == {"reference": "Observation/newer"}


@SQLITE
def test_a_resource_deleted_between_our_read_and_our_write_is_not_brought_back(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        clinic.run()
        clinic.emr.load([NEWER])
        id_ = clinic.row("Task", OUTREACH).reference.partition("/")[2]
        network.fail("PUT Task", meanwhile(lambda: clinic.emr.clinician_delete("Task", id_)))
        clinic.run(AS_OF + DAY)
        assert clinic.row("Task", OUTREACH).deleted
        clinic.run(AS_OF + 2 * DAY)
        assert clinic.emr.live("Task") == [] or clinic.emr.current("Task", id_).resource is None  # type: ignore[union-attr]
        assert clinic.rows(kind="Task", code=OUTREACH)[0].deleted


@SQLITE
def test_a_written_resource_that_cannot_be_read_back_yet_keeps_a_persons_later_change(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        network.fail("POST Task", CUT)
        network.fail("GET Task/", answers(403))
        assert clinic.run()["written"] == 3
        clinic.edit("Task", description="Ask in Spanish")
        clinic.emr.load([NEWER])
        clinic.run(AS_OF + DAY)
        task = clinic.held("Task", OUTREACH)
        assert task["description"] == "Ask in Spanish"
        assert task["reasonReference"] == {"reference": "Observation/newer"}


def test_an_emr_that_vanishes_in_the_middle_loses_nothing(database: Database, tmp_path: Path) -> None:
    world = [resource for number in range(4) for resource in out_of_range(f"p{number}")]
    with far_practice(database, tmp_path, world) as (clinic, network):
        network.fail("POST CarePlan", DROPPED_AFTER, DROPPED_BEFORE)
        network.fail("POST Task", answers(502, reaches=True), TOO_LATE)
        network.fail("POST Goal", answers(429, Retry_After="0.05"), answers(422))
        first = clinic.run()
        assert (first["refused"], first["unknown"]) == (1, 1)
        second = clinic.run(AS_OF + DAY)
        assert second["written"] == 0
        assert second["unknown"] == 1
        states = sorted((row.state, clinic.copies_of(row)) for row in clinic.rows())
        assert {pair for pair in states if pair[0] == "written"} == {("written", 1)}
        assert [pair for pair in states if pair[0] != "written"] == [
            ("pending", 0),
            ("refused", 0),
            ("unknown", 0),
        ], "the Task of the plan whose fate is unknown waits"
