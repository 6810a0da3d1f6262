"""Ten EMRs as they really are: every intent on its best rung or visibly degraded, once, and found again."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import ledger
from cm_service.db.engine import Database
from cm_service.flow import passport
from cm_service.flow.care import resources
from cm_service.flow.ladder import Rung
from tests.flow.night_world import AS_OF, BASE, Json, stay
from tests.flow.personality_world import House, panel

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the store is no matter here
N, G, F, D, M, O = Rung  # noqa: E741

# Best rungs in write mode auto: (findings, plans with their goals, follow-up after a stay). Where two are
# named, the second is for what is about no stay: Epic takes a note on an encounter only.
BEST: dict[str, tuple[Rung, Rung | tuple[Rung, Rung], Rung]] = {
    "generous": (N, N, N),
    "hapi": (N, N, N),
    "medplum": (N, N, N),
    "epic": (O, (D, O), D),
    "oracle": (D, D, D),
    "athena": (G, F, F),
    "ecw": (F, F, F),
    "meditech": (F, F, F),
    "nextgen": (O, O, O),
    "canvas": (N, F, N),
}
TAKEN_BACK = {N}  # in write mode propose everything else waits on the page, but for notes of these
UPDATES_NOTES = {"oracle"}


def best(personality: str, row: Any) -> Rung:
    finding, plan, follow_up = BEST[personality]
    about_a_stay = bool(row.rule.startswith("DIS-"))
    if row.kind == "Task":
        return follow_up if about_a_stay else finding
    if isinstance(plan, tuple):
        return plan[0] if about_a_stay else plan[1]
    return plan


def proposed(personality: str, row: Any) -> Rung:
    rung = best(personality, row)
    kept = rung in TAKEN_BACK or (rung == D and personality in UPDATES_NOTES)
    return rung if kept else O


def assert_in_place(house: House, row: Any) -> None:
    """One current thing in the EMR's own store, or on the page alone with the reason."""
    if row.rung == O:
        assert (row.state, row.reference) == ("parked", None)
        assert row.degraded.startswith("only on the page: native: ") or "waits until a person" in row.degraded
        return
    assert (row.state, row.deleted) == ("written", False), row.reason
    assert row.rung == N or row.degraded.startswith("native: "), "why it is no higher rung is said"
    if row.kind == "Goal" and row.rung != N:
        plan = carrier(house, row)
        assert row.reference == plan.reference, "a goal travels inside its plan"
        return
    assert len(house.current(row)) == 1
    assert_found_again(house, row)


def carrier(house: House, goal: Any) -> Any:
    (plan,) = [row for row in house.rows(kind="CarePlan") if goal.value in row.wanted]
    return plan


def assert_found_again(house: House, row: Any) -> None:
    """By asking the EMR; an inlet alone cannot be asked."""
    found = house.found(row)
    if row.rung == G:
        assert found is None
    else:
        assert found is not None
        assert [f"{each['resourceType']}/{each['id']}" for each in found] == [row.reference]


@SQLITE
@pytest.mark.parametrize("write_mode", ["auto", "propose"])
@pytest.mark.parametrize("personality", sorted(BEST))
def test_a_night_puts_everything_on_its_best_rung_and_the_next_one_writes_nothing(
    personality: str, write_mode: str, database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path, personality, write_mode=write_mode)
    told = house.night()
    assert (told["status"], told["unknown"], told["refused"], told["pending"]) == ("complete", 0, 0, 0)
    expected = best if write_mode == "auto" else proposed
    rows = house.rows()
    assert len(rows) == 11
    assert {(row.id, row.rung) for row in rows} == {(row.id, expected(personality, row)) for row in rows}
    for row in rows:
        assert_in_place(house, row)
    before = house.writes()
    assert told["written"] == before == len({row.reference for row in rows if row.reference})
    again = house.night(days=1)
    assert (again["written"], house.writes()) == (0, before)


@SQLITE
@pytest.mark.parametrize("personality", ["athena", "canvas", "ecw", "epic", "meditech"])
def test_what_a_person_accepts_goes_out_in_the_next_night(
    personality: str, database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path, personality)
    house.night()
    house.accept_all()
    house.night(days=1)
    rows = house.rows()
    assert {(row.id, row.rung) for row in rows} == {(row.id, best(personality, row)) for row in rows}
    for row in rows:
        assert_in_place(house, row)
    before = house.writes()
    house.night(days=2)
    assert house.writes() == before


def test_the_summary_counts_what_was_degraded(database: Database, tmp_path: Path) -> None:
    house = House(database, tmp_path, "epic", write_mode="auto")
    told: Json = house.night()
    assert told["rungs"] == {"document-reference": 6, "own-store": 5}
    assert told["degraded"] == 11
    (line,) = told["degraded_by"][:1]
    assert line["rung"] in ("document-reference", "own-store") and line["count"] > 0 and line["reason"]


@SQLITE
@pytest.mark.parametrize("personality", sorted(BEST))
def test_nights_that_read_the_emr_itself_write_nothing_new(
    personality: str, database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path, personality, write_mode="auto")
    house.night()
    before = house.writes()
    for days in (1, 2):
        told = house.run(AS_OF + dt.timedelta(days=days))
        assert (told["status"], told["written"], told["deleted"]) == ("complete", 0, 0)
    assert house.writes() == before


@SQLITE
@pytest.mark.parametrize("personality", sorted(set(BEST) - {"nextgen"}))
def test_a_store_that_was_lost_finds_again_what_it_wrote(
    personality: str, database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path, personality, write_mode="auto")
    house.night()
    before = house.writes()
    house.lose_store()
    if personality in ("generous", "hapi", "medplum", "canvas"):
        house.run(AS_OF + dt.timedelta(days=1))  # what was written natively is adopted from what is read
    house.night(days=1)
    assert house.night(days=2)["written"] == 0
    assert house.writes() == before
    gaps = {row.state for row in house.rows(rung=G)}
    assert gaps == ({"parked"} if personality == "athena" else set()), "an inlet shows nothing: a person must"


@SQLITE
@pytest.mark.parametrize(
    ("personality", "kind"),
    [
        ("epic", "DocumentReference"),
        ("oracle", "DocumentReference"),
        ("ecw", "QuestionnaireResponse"),
        ("athena", "QuestionnaireResponse"),
        ("meditech", "QuestionnaireResponse"),
    ],
)
def test_that_a_search_by_patient_shows_fresh_writes_is_seen_where_none_by_identifier_can(
    personality: str, kind: str, database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path, personality, write_mode="auto")
    house.night()
    profile = passport.profile_of(house.settings, house.emr_row)
    with database.read() as connection:
        known = passport.load(connection, "clinic", profile)
    assert known.sees_fresh_writes(kind) == passport.State.PROVEN


@SQLITE
@pytest.mark.parametrize(
    ("personality", "rung"),
    [("generous", N), ("canvas", D), ("epic", D), ("meditech", M), ("ecw", O), ("nextgen", O)],
)
def test_a_contact_that_was_logged_goes_out_without_another_word(
    personality: str, rung: Rung, database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path, personality, settings={"note-encounter": "open"})
    house.holds([*panel(), stay("visit", "p1", status="in-progress", **{"class": {"code": "AMB"}})])
    house.night()
    call = contact(house)
    house.night(days=1)
    (row,) = house.rows(code="contact")
    assert (row.rung, row.state) == (rung, "parked" if rung == O else "written"), row.reason
    assert rung == O or len(house.current(row)) == 1
    before = house.writes()
    house.night(days=2)
    assert (house.writes(), row.id) == (before, call)


def contact(house: House) -> int:
    """A call by phone, as the page logs it."""
    visits = [version.resource for version in house.emr.live("Encounter") if version.resource]
    (visit,) = [each for each in visits if each["status"] == "in-progress"]
    who = visit["subject"]["reference"].partition("/")[2]
    resource = resources.contact(
        who,
        medium="phone",
        service="follow-up",
        start="2026-11-20T10:00:00-05:00",
        end="2026-11-20T10:12:00-05:00",
        minutes=12,
        by={},
        note="feels well",
    )
    value = "C" * 32
    identified = {**resource, "identifier": [{"system": f"{BASE}/id/encounter", "value": value}]}
    want = {
        "kind": "Encounter",
        "business_key": "contact|1",
        "system": f"{BASE}/id/encounter",
        "value": value,
        "rule": "",
        "code": "contact",
        "subject": "",
        "urgency": 3,
        "wanted": json.dumps({name: each for name, each in identified.items() if each is not None}),
    }
    with house.database.write() as connection:
        return ledger.add(connection, emr="clinic", patient_id=who, want=want, now=AS_OF)
