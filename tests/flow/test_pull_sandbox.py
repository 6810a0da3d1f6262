"""A pull of the synthetic practice over HTTP brings what the EMR holds, as far as rules can use it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cm_service.flow.landing import PullReport
from cm_service.flow.pull import Source, pull
from cm_service.flow.wanted import WHOLE
from cm_service.sandbox.panel import build_panel
from cm_service.sandbox.server import running
from cm_service.sandbox.store import Store
from cm_service.sandbox.wire import Resource
from tests.fhir.builders import ask

AS_OF = dt.datetime(2026, 11, 20, 20, 0, tzinfo=dt.UTC)
PANEL = build_panel(as_of=AS_OF, zone=ZoneInfo("America/Detroit"))


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PullReport, Path]]:
    store = Store(clock=lambda: AS_OF)
    store.load(PANEL)
    folder = tmp_path_factory.mktemp("landing") / "run"
    with running(store) as base:
        yield ask(base, lambda c: pull(c, Source("sandbox"), folder, progress=lambda _: None)), folder


def held(type_: str) -> list[Resource]:
    return [resource for resource in PANEL if resource["resourceType"] == type_]


def landed(folder: Path, type_: str) -> dict[str, Resource]:
    path = folder / f"{type_}.ndjson"
    lines = path.read_bytes().splitlines() if path.exists() else []
    return {resource["id"]: resource for resource in map(json.loads, lines)}


def test_every_type_is_complete(pulled: tuple[PullReport, Path]) -> None:
    report, _ = pulled
    assert report.complete, {name: item.reason for name, item in report.types.items() if item.reason}
    assert {name: item.notes for name, item in report.types.items() if item.notes} == {}


@pytest.mark.parametrize("type_", WHOLE)
def test_types_that_are_read_whole_land_whole(pulled: tuple[PullReport, Path], type_: str) -> None:
    assert landed(pulled[1], type_).keys() == {resource["id"] for resource in held(type_)}


def test_every_hba1c_of_the_practice_lands(pulled: tuple[PullReport, Path]) -> None:
    wanted = {resource["id"] for resource in held("Observation") if "4548-4" in json.dumps(resource)}
    assert len(wanted) > 50
    assert wanted <= landed(pulled[1], "Observation").keys()


def test_every_organization_that_an_encounter_names_lands(pulled: tuple[PullReport, Path]) -> None:
    providers = [encounter.get("serviceProvider", {}) for encounter in held("Encounter")]
    named = {provider["reference"].partition("/")[2] for provider in providers if "reference" in provider}
    assert named
    assert landed(pulled[1], "Organization").keys() == named & {item["id"] for item in held("Organization")}
