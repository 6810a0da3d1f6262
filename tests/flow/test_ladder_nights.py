"""Moves between rungs, night by night: down after a refusal, up to what is proven, never in two places."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import passport as passports
from cm_service.db import placements
from cm_service.db.engine import Database
from cm_service.flow.ladder import Rung
from cm_service.flow.rungs.copies import text_in
from tests.flow.bad_network import DROPPED_BEFORE, answers, bad_network
from tests.flow.night_world import AS_OF, Json, Practice, a1c, far_practice, out_of_range, patient, practice
from tests.flow.personality_world import House, panel

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
DAY = dt.timedelta(days=1)
TWO = [*out_of_range("p1"), *out_of_range("p2")]
FOUR = [each for number in range(4) for each in out_of_range(f"p{number}")]
AUTO: Json = {"write_mode": "auto", "profile": "hapi"}


def texts(house: House) -> list[str]:
    notes = [version.resource for version in house.emr.live("DocumentReference")]
    return [text_in(note) for note in notes if note is not None and note.get("status") == "current"]


# --- down


@pytest.mark.parametrize("status", [403, 404, 405, 501])
def test_a_refusal_of_the_verb_leads_one_rung_down_in_the_same_night(
    status: int, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, TWO, **AUTO) as (clinic, network):
        network.fail("POST Task", answers(status), always=True)
        told = clinic.run()
        assert network.sent("POST Task") == 1, "the canary finds it out for all"
        tasks = clinic.rows(kind="Task")
        assert {(row.rung, row.state) for row in tasks} == {("document-reference", "written")}
        assert all(f"native: Task create: refused with {status}" in row.degraded for row in tasks[1:])
        assert (told["refused"], told["status"], told["degraded"]) == (0, "complete", 2)
        assert any(text.startswith("Task create: was") for text in told["passport_changes"])
        network.heal()
        assert clinic.run(AS_OF + DAY)["written"] == 0


@SQLITE
@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_of_the_content_stays_visible_and_disproves_nothing(
    status: int, database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, TWO, **AUTO) as (clinic, network):
        network.fail("POST Task", answers(status, "no such code here"))
        told = clinic.run()
        (refused,) = clinic.rows(state="refused")
        assert (refused.rung, refused.kind, told["refused"]) == ("native", "Task", 1)
        assert "no such code here" in refused.reason
        assert clinic.rows(kind="Task", state="written"), "the next one was taken natively"
        assert clinic.run(AS_OF + DAY)["written"] == 0


@SQLITE
def test_an_emr_that_takes_nothing_as_it_is_sees_three_canaries_a_night_and_no_more(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, FOUR, **AUTO) as (clinic, network):
        network.fail("POST Goal", answers(422), always=True)
        told = clinic.run()
        assert (network.sent("POST Goal"), told["refused"]) == (3, 3)
        (waiting,) = clinic.rows(kind="Goal", state="pending")
        assert waiting.reason == "waits for the first one that was sent this way"


@SQLITE
def test_while_the_canary_has_no_answer_the_others_of_its_rung_wait(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, FOUR, **AUTO) as (clinic, network):
        network.fail("POST Goal", DROPPED_BEFORE)
        told = clinic.run()
        assert (network.sent("POST Goal"), told["unknown"]) == (1, 1)
        assert len(clinic.rows(kind="Goal", state="pending")) == 3
        second = clinic.run(AS_OF + DAY)
        assert second["unknown"] == 1, "nobody knows of the first, and it is not sent again"
        assert network.sent("POST Goal") == 4, "another night, another canary: it works, and the rest follow"
        assert sorted(clinic.copies_of(row) for row in clinic.rows(kind="Goal")) == [0, 1, 1, 1]


@SQLITE
def test_an_unknown_placement_blocks_every_other_rung(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, out_of_range(), **AUTO) as (clinic, network):
        network.fail("POST Task", DROPPED_BEFORE)
        clinic.run()
        network.heal()
        forbid(clinic, "Task", 405)
        clinic.run(AS_OF + DAY)
        row = clinic.row("Task")
        assert (row.state, row.rung) == ("unknown", "native")
        assert clinic.emr.live("DocumentReference") == []


def forbid(clinic: Practice, kind: str, status: int) -> None:
    with clinic.database.write() as connection:
        row = passports.blank("clinic", kind, "create")
        said = {
            "declared": "yes",
            "allowed": "yes",
            "refused_status": status,
            "refused_at": AS_OF,
            "refusals": 1,
        }
        passports.save_verbs(connection, [row | said])


def allow(clinic: Practice, *kinds: str) -> None:
    with clinic.database.write() as connection:
        for kind in kinds:
            said = {
                "declared": "yes",
                "allowed": "yes",
                "worked_status": 201,
                "worked_at": AS_OF,
                "refusals": 0,
            }
            passports.save_verbs(connection, [passports.blank("clinic", kind, "create") | said])


# --- up


def on_notes(database: Database, tmp_path: Path, **columns: Any) -> Any:
    """One patient whose plan, goal and Task went to notes, on an EMR that updates notes."""
    clinic_of = practice(database, tmp_path, out_of_range(), **{**AUTO, **columns})
    clinic = clinic_of.__enter__()
    for kind in ("Goal", "CarePlan", "Task"):
        forbid(clinic, kind, 403)
    clinic.run()
    assert {(row.rung, row.state) for row in clinic.rows()} == {("document-reference", "written")}
    return clinic


def test_what_a_higher_rung_proves_to_take_climbs_and_the_lower_copy_is_superseded(
    database: Database, tmp_path: Path
) -> None:
    clinic = on_notes(database, tmp_path)
    allow(clinic, "Goal", "CarePlan", "Task")
    told = clinic.run(AS_OF + DAY)
    assert {(row.rung, row.state, row.degraded) for row in clinic.rows()} == {("native", "written", None)}
    assert set(clinic.copies().values()) == {1}
    assert {v.resource["status"] for v in clinic.emr.live("DocumentReference")} == {"superseded"}
    assert told["written"] == 5, "three created, two notes closed"
    assert clinic.held("CarePlan")["goal"] == [{"reference": f"Goal/{clinic.held('Goal')['id']}"}]
    with clinic.database.read() as connection:
        assert placements.closing(connection, "clinic") == []
    assert clinic.run(AS_OF + 2 * DAY)["written"] == 0


@SQLITE
def test_nothing_climbs_to_what_is_only_declared(database: Database, tmp_path: Path) -> None:
    clinic = on_notes(database, tmp_path)
    with clinic.database.write() as connection:
        passports.forget(connection, "clinic", facts=())
    assert clinic.run(AS_OF + DAY)["written"] == 0
    assert {row.rung for row in clinic.rows()} == {"document-reference"}


@SQLITE
def test_where_the_lower_copy_cannot_be_closed_this_episode_does_not_climb(
    database: Database, tmp_path: Path
) -> None:
    clinic = on_notes(database, tmp_path, profile=None)
    allow(clinic, "Goal", "CarePlan", "Task")
    assert clinic.run(AS_OF + DAY)["written"] == 0
    assert {row.rung for row in clinic.rows()} == {"document-reference"}


@SQLITE
def test_a_climb_that_is_refused_leaves_the_lower_copy_in_its_place(
    database: Database, tmp_path: Path
) -> None:
    clinic = on_notes(database, tmp_path)
    allow(clinic, "Task")
    with bad_network(clinic.base_url) as network:
        clinic.set(base_url=network.base)
        network.fail("POST Task", answers(422, "not this one"), always=True)
        clinic.run(AS_OF + DAY)
        row = clinic.row("Task")
        assert (row.rung, row.state) == ("document-reference", "written")
        assert "could not climb to native: error not this one" in row.reason
        assert network.sent("POST Task") == 1
        clinic.run(AS_OF + 2 * DAY)
        assert network.sent("POST Task") == 1, "it is not tried again every night"
    assert {v.resource["status"] for v in clinic.emr.live("DocumentReference")} == {"current"}


@SQLITE
def test_a_climb_without_an_answer_keeps_both_until_somebody_knows(
    database: Database, tmp_path: Path
) -> None:
    clinic = on_notes(database, tmp_path)
    allow(clinic, "Task")
    with bad_network(clinic.base_url) as network:
        clinic.set(base_url=network.base)
        network.fail("POST Task", DROPPED_BEFORE)
        clinic.run(AS_OF + DAY)
        row = clinic.row("Task")
        assert (row.rung, row.state) == ("native", "unknown")
        clinic.run(AS_OF + 2 * DAY)
        assert network.sent("POST Task") == 1
    assert {v.resource["status"] for v in clinic.emr.live("DocumentReference")} == {"current"}


# --- versions


def test_a_changed_want_is_a_new_version_that_says_which_one_it_supersedes(
    database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path, "ecw", write_mode="auto")
    house.night()
    (before,) = [row for row in house.rows(kind="Task") if row.code == "a1c-outreach"]
    house.holds(_panel_with(a1c(9.4, "p1", effectiveDateTime="2026-11-19")))
    told = house.night(days=1)
    (after,) = [row for row in house.rows(kind="Task") if row.code == "a1c-outreach"]
    assert (after.rung, after.state, told["written"]) == ("questionnaire-response", "written", 1)
    assert after.reference != before.reference
    forms = [v.resource for v in house.emr.live("QuestionnaireResponse")]
    older, newer = [text for text in map(text_in, filter(None, forms)) if after.value in text]
    assert "version 1" in older and "HbA1c 8.6 %" in older
    assert f"Supersedes version 1 of 2026-11-20 ({before.reference})" in newer
    assert "version 2" in newer and "HbA1c 9.4 %" in newer
    assert house.night(days=2)["written"] == 0


def _panel_with(*newer: Json) -> list[Json]:
    """A newer one takes the place of the one with its id."""
    of = {(each["resourceType"], each["id"]): each for each in (*panel(), *newer)}
    return list(of.values())


def test_a_withdrawal_where_nothing_can_be_changed_is_a_short_note_with_the_reason(
    database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path, "epic", write_mode="auto")
    house.night()
    before = len(texts(house))
    house.holds(_panel_with(patient("p2", deceasedDateTime="2026-11-20")))
    told = house.night(days=1)
    gone = [text for text in texts(house) if text.startswith("WITHDRAWN: ")]
    assert len(gone) == told["written"] == 5
    assert all("Supersedes version 1 of 2026-11-20 (DocumentReference/" in text for text in gone)
    assert all("Reason: GX-01" in text for text in gone)
    assert len(texts(house)) == before + 5, "what cannot be changed stays, with a pointer from the newer one"
    assert house.night(days=2)["written"] == 0
    for row in house.rows(rung=Rung.NOTE, kind="Task"):
        assert "version 2" in next(text for text in gone if row.value in text)


def test_a_withdrawal_where_notes_are_updated_changes_the_note_itself(
    database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path, "oracle", write_mode="auto")
    house.night()
    held = len(house.emr.live("DocumentReference"))
    house.holds(_panel_with(patient("p2", deceasedDateTime="2026-11-20")))
    told = house.night(days=1)
    notes = [version.resource for version in house.emr.live("DocumentReference")]
    assert (len(notes), told["written"]) == (held, 5)
    assert sum(note["status"] == "superseded" for note in notes if note) == 5
    assert house.night(days=2)["written"] == 0


def test_what_was_never_written_is_withdrawn_without_a_word(database: Database, tmp_path: Path) -> None:
    house = House(database, tmp_path, "epic")
    house.night()
    assert texts(house) == []
    house.holds(_panel_with(patient("p2", deceasedDateTime="2026-11-20")))
    assert house.night(days=1)["written"] == 0
    house.accept_all()
    house.night(days=2)
    assert not any(text.startswith("WITHDRAWN") for text in texts(house))


@SQLITE
def test_a_note_that_a_clinician_marked_as_wrong_is_not_brought_back(
    database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path, "epic", write_mode="auto")
    house.night()
    row = next(row for row in house.rows(rung=Rung.NOTE, kind="Task"))
    house.emr.clinician_delete(*row.reference.split("/"))
    house.holds(_panel_with(patient("p2", deceasedDateTime="2026-11-20")))
    house.night(days=1)
    (now,) = [each for each in house.rows() if each.id == row.id]
    assert now.deleted and not any(row.value in text for text in texts(house))
