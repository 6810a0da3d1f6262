"""A server that is many nodes: clocks apart, late commits, uneven pages, filters that are dropped."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cm_service.sandbox.declared import Paging, Personality
from cm_service.sandbox.front import front_door
from cm_service.sandbox.index import Dropped
from cm_service.sandbox.nodes import NodeClocks
from cm_service.sandbox.personality import GENEROUS
from cm_service.sandbox.store import Store
from cm_service.sandbox.transport import InProcess

NOW = dt.datetime(2026, 11, 20, 20, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


def ask(store: Store, path: str, personality: Personality = GENEROUS) -> dict[str, Any]:
    async def get() -> httpx.Response:
        transport = InProcess(front_door(store, personality))
        async with httpx.AsyncClient(transport=transport, base_url="http://emr/fhir/") as client:
            return await client.get(path)

    answer = asyncio.run(get())
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def link(bundle: dict[str, Any], relation: str) -> str:
    urls: list[str] = [each["url"] for each in bundle["link"] if each["relation"] == relation]
    return urls[0] if urls else ""


def ids(bundle: dict[str, Any]) -> list[str]:
    return [each["resource"]["id"] for each in bundle.get("entry", [])]


def with_patients(count: int = 3, **more: Any) -> Store:
    store = Store(**{"clock": lambda: NOW, **more})
    store.load([{"resourceType": "Patient", "id": f"p{number}"} for number in range(count)])
    return store


def test_each_write_carries_the_clock_of_one_of_the_nodes() -> None:
    clocks = NodeClocks(lambda: NOW, (-100, 0, 100), rng=random.Random(1))
    store = with_patients(30, clock=clocks, time=lambda: NOW)
    stamps = {version.updated - NOW for version in store.live("Patient")}
    assert stamps == {-100 * SECOND, 0 * SECOND, 100 * SECOND}


def test_a_late_commit_keeps_its_stamp_and_is_in_no_search_before() -> None:
    now = NOW
    store = with_patients(time=lambda: now)
    store.lateness = lambda: 90.0
    store.clinician_edit("Patient", "p0", lambda patient: patient.update(gender="other"))
    store.load([{"resourceType": "Patient", "id": "new"}])
    now = NOW + 89 * SECOND
    assert ids(ask(store, "Patient?gender=other")) == []
    assert "new" not in ids(ask(store, "Patient"))
    assert ask(store, "Patient/p0")["gender"] == "other", "reading by id passes the index by"
    now = NOW + 90 * SECOND
    assert ids(ask(store, "Patient?gender=other")) == ["p0"]
    assert ask(store, "Patient/new")["meta"]["lastUpdated"].startswith("2026-11-20T20:00:00")
    assert "new" in ids(ask(store, "Patient"))


@pytest.mark.parametrize(
    ("how", "found", "named"),
    [(Dropped.SILENTLY, 3, False), (Dropped.SHOWN, 3, True), (Dropped.EMPTY, 0, True)],
)
def test_a_dropped_filter_is_dropped_in_one_of_three_ways(how: Dropped, found: int, named: bool) -> None:
    store = with_patients()
    query = "Patient?_lastUpdated=gt2026-11-21"
    assert ask(store, query)["total"] == 0
    store.clock = lambda: NOW + dt.timedelta(days=2)
    store.load([{"resourceType": "Patient", "id": "p0"}])
    assert ids(ask(store, query)) == ["p0"]
    store.index.dropped = {"Patient": how}
    bundle = ask(store, query)
    assert bundle["total"] == found
    assert ("_lastUpdated" in link(bundle, "self")) == named


def test_pages_can_be_uneven_and_still_hold_everything_once() -> None:
    store = with_patients(10)
    uneven = replace(GENEROUS, paging=Paging(parameter="_offset", snapshot=False, of_type=True, uneven=True))
    sizes, seen, path = [], [], "Patient?_count=4"
    while path:
        bundle = ask(store, path, uneven)
        sizes.append(len(ids(bundle)))
        seen += ids(bundle)
        path = link(bundle, "next")
    assert len(set(sizes[:-1])) > 1
    assert seen == [f"p{number}" for number in range(10)]


def test_what_changed_last_can_stand_last() -> None:
    store = with_patients()
    store.clock = lambda: NOW + SECOND
    store.clinician_edit("Patient", "p0", lambda patient: patient.update(gender="other"))
    assert ids(ask(store, "Patient")) == ["p0", "p1", "p2"]
    moving = replace(GENEROUS, paging=Paging(by_change=True))
    assert ids(ask(store, "Patient", moving)) == ["p1", "p2", "p0"]
