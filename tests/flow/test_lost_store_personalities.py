"""The data folder is gone, on each kind of EMR: nothing is there twice, counted from the EMR's own store."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import placements
from cm_service.db.engine import Database
from cm_service.flow import high_water
from cm_service.flow.ladder import Rung
from cm_service.flow.resolve import resolve
from cm_service.flow.rungs.copies import texts
from tests.flow.night_world import AS_OF
from tests.flow.personality_world import House
from tests.flow.test_ladder_personalities import BEST, SQLITE

DAY = dt.timedelta(days=1)
NATIVE = ("Task", "CarePlan", "Goal")
CARRIERS = ("MeasureReport", "QuestionnaireResponse", "DocumentReference", "Communication")
_LINE = re.compile(r"^cm-service id \S+\|([A-Z2-7]{32}) version (\d+)", re.MULTILINE)


def copies(house: House) -> Counter[tuple[str, ...]]:
    """How often each version of each thing of ours stands in the EMR's own store, of whatever type."""
    found: Counter[tuple[str, ...]] = Counter()
    for kind in (*NATIVE, *CARRIERS):
        for version in house.emr.live(kind):
            resource: Any = version.resource
            if kind in NATIVE:
                found.update((each["value"],) for each in resource.get("identifier", [])[:1])
            else:
                found.update({said for text in texts(resource) for said in _LINE.findall(text)})
    return found


def lose(house: House, *, and_the_mark: bool) -> None:
    """The store; with the mark beside it this is a new machine, without it the database was lost alone."""
    house.lose_store()
    if and_the_mark:
        (house.settings.data_dir / high_water.FILE).unlink()


def accept(house: House, **filters: Any) -> None:
    with house.database.write() as connection:
        for row in house.rows(**filters):
            placements.accept(connection, row.id, by="nurse", now=AS_OF)


def nothing_is_there_twice(house: House, *, and_the_mark: bool) -> None:
    house.night()
    house.accept_all()
    house.night(days=1)
    before = copies(house)
    assert bool(before) == (house.personality.name != "nextgen"), "or else nothing is shown"
    lose(house, and_the_mark=and_the_mark)
    house.run(AS_OF + 2 * DAY)  # what was written natively is read
    house.night(days=2)
    house.accept_all()
    house.night(days=3)
    assert copies(house) == before
    assert set(before.values()) <= {1}


@pytest.mark.parametrize("personality", sorted(BEST))
def test_nothing_is_written_a_second_time(personality: str, database: Database, tmp_path: Path) -> None:
    nothing_is_there_twice(House(database, tmp_path, personality, write_mode="auto"), and_the_mark=True)


@SQLITE
@pytest.mark.parametrize("personality", sorted(BEST))
def test_nothing_that_a_person_accepted_is_written_a_second_time(
    personality: str, database: Database, tmp_path: Path
) -> None:
    nothing_is_there_twice(House(database, tmp_path, personality), and_the_mark=False)


@pytest.mark.parametrize("and_the_mark", [False, True], ids=["the mark is left", "a new machine"])
def test_a_care_gap_alone_waits_for_a_person_who_then_may_send_it(
    and_the_mark: bool, database: Database, tmp_path: Path
) -> None:
    """Of p1 the EMR shows nothing, of p2 only forms: they tell that there was an older store."""
    house = House(database, tmp_path, "athena")
    house.night()
    accept(house, patient_id="p1", kind="Task")
    accept(house, patient_id="p2")
    house.night(days=1)
    before = copies(house)
    lose(house, and_the_mark=and_the_mark)
    house.night(days=2)
    accept(house, patient_id="p1", kind="Task")
    for days in (3, 4):
        house.night(days=days)
        (gap,) = house.rows(rung=Rung.CARE_GAP)
        assert (gap.state, gap.reference) == ("parked", None)
        assert "a person must look" in gap.reason
    assert copies(house) == before
    resolve(house.tools, gap.id, written_as=None)
    for days in (5, 6):
        house.night(days=days)
        assert house.rows(rung=Rung.CARE_GAP)[0].state == "written"
    assert copies(house) == before + Counter({(gap.value, "1"): 1}), "as the person said, once"


@SQLITE
def test_an_emr_that_was_never_written_to_gets_its_care_gaps(database: Database, tmp_path: Path) -> None:
    house = House(database, tmp_path, "athena", write_mode="auto")
    house.night()
    assert {row.state for row in house.rows(rung=Rung.CARE_GAP)} == {"written"}


@SQLITE
def test_an_emr_that_is_removed_and_added_again_is_one_whose_store_was_lost(
    database: Database, tmp_path: Path
) -> None:
    house = House(database, tmp_path, "athena", write_mode="auto")
    folder = house.settings.data_dir
    high_water.forget(folder, "clinic")
    assert not high_water.was_lost(database, folder, "clinic"), "no night ran yet"
    house.night()
    assert not high_water.was_lost(database, folder, "clinic")
    house.lose_store()
    high_water.forget(folder, "clinic")
    assert high_water.was_lost(database, folder, "clinic")
    high_water.check(database, folder, "clinic")
