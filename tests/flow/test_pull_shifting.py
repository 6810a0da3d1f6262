"""Pages that are a new search each time, while people write: what slips from one to another is found."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cm_service.flow.landing import PullReport, TypeReport
from cm_service.flow.pull import Reach, Source, pull
from cm_service.flow.pull.source import Since
from cm_service.sandbox import server
from cm_service.sandbox.declared import Paging
from cm_service.sandbox.index import Dropped
from cm_service.sandbox.personality import GENEROUS
from cm_service.sandbox.store import Store
from tests.fhir.builders import ask
from tests.flow.night_world import condition, patient

SHIFTING = replace(GENEROUS, max_count=3, paging=Paging(parameter="_offset", snapshot=False, of_type=True))
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
PATIENTS = [f"p{number}" for number in range(2)]


@pytest.fixture
def emr() -> Iterator[tuple[Store, str]]:
    store = Store()
    store.load([patient(who) for who in PATIENTS])
    store.load([condition(f"c{number}", "I10", PATIENTS[number % 2]) for number in range(5)])
    with server.running(store, personality=SHIFTING) as base:
        yield store, base


def read(base: str, folder: Path, meanwhile: Callable[[TypeReport], object]) -> PullReport:
    source = Source("east")
    return ask(base, lambda client: pull(client, source, folder, progress=meanwhile))


def landed(folder: Path) -> set[str]:
    lines = (folder / "Condition.ndjson").read_bytes().splitlines()
    return {json.loads(line)["id"] for line in lines}


def test_1B_F14_a_row_that_slips_to_a_page_that_was_read_is_found_by_the_second_reading(
    emr: tuple[Store, str], tmp_path: Path
) -> None:
    store, base = emr

    def meanwhile(report: TypeReport) -> None:
        if report.type == "Condition" and report.pages == 1:
            store.clinician_delete("Condition", "c0")  # c3 moves to the first page

    report = read(base, tmp_path / "run", meanwhile)
    assert report.types["Condition"].status == "complete"
    assert landed(tmp_path / "run") == {"c0", "c1", "c2", "c3", "c4"}


def test_1B_F15_pages_that_never_rest_are_split_by_patient(emr: tuple[Store, str], tmp_path: Path) -> None:
    store, base = emr
    made = 5

    def meanwhile(report: TypeReport) -> None:
        nonlocal made
        if report.type == "Condition" and report.patients is None and report.status == "reading":
            clock, store.clock = store.clock, lambda: LONG_AGO  # no later window would bring it
            store.load([condition(f"c{made}", "I10", PATIENTS[made % 2])])
            store.clock = clock
            store.clinician_delete("Condition", f"c{made - 5}")
            made += 1

    said = read(base, tmp_path / "run", meanwhile).types["Condition"]
    assert (said.status, said.patients) == ("complete", PATIENTS)
    assert "change faster than they can be read" in said.notes[0]
    assert {version.id for version in store.live("Condition")} <= landed(tmp_path / "run")


def test_a_second_reading_that_finds_nothing_at_all_proves_nothing(
    emr: tuple[Store, str], tmp_path: Path
) -> None:
    """What the cursor was taken from should have come again: the EMR stopped using the filter meanwhile."""
    store, base = emr
    key, since = ("Condition", "", ""), store.clock() - dt.timedelta(minutes=1)
    reach = {"Condition": Reach(since=Since.INSTANT)}

    def meanwhile(report: TypeReport) -> None:
        if report.type == "Condition" and report.pages == 1:
            store.clinician_delete("Condition", "c0")  # c3 moves to the first page
            store.index.dropped = {"Condition": Dropped.EMPTY}

    source = Source("east", reach=reach, cursors={key: since})
    report = ask(base, lambda client: pull(client, source, tmp_path / "run", progress=meanwhile))
    assert report.types["Condition"].status == "complete"
    assert [point.full for point in report.points if point.type == "Condition"] == [True]
    assert landed(tmp_path / "run") == {"c0", "c1", "c2", "c3", "c4"}
