"""The campaigns on a small scale: sound code passes, and code that is broken on purpose does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from campaigns import edits, faults
from campaigns.world import Shared

from cm_service.errors import WriteOutcomeUnknown
from cm_service.fhir.client import FhirClient
from cm_service.fhir.writes import WriteResult
from cm_service.flow import updating

COUNT = 300
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def shared(tmp_path: Path, database_url: str) -> Iterator[Shared]:
    made = faults.shared_by_all(tmp_path, database_url)
    yield made
    made.db.engine.dispose()


def faults_of(shared: Shared, *, seed: int = 1, count: int = COUNT, name: str = "generous") -> Counter[str]:
    return faults.campaign(shared, count=count, seed=seed, names=(name,))


def test_after_some_hundred_faults_everything_is_there_once_or_is_visible(shared: Shared) -> None:
    figures = faults_of(shared)
    assert (figures["duplicates"], figures["lost"]) == (0, 0)
    assert COUNT <= figures["faults"] <= COUNT + 100
    assert figures["crashes"] > 0
    assert figures["resolved"] > 0
    assert figures["intents"] >= 100


def test_the_same_seed_gives_the_same_figures_and_another_seed_others(tmp_path: Path) -> None:
    runs = []
    for number, seed in enumerate((3, 3, 4)):
        folder = tmp_path / str(number)
        folder.mkdir()
        runs.append(faults_of(faults.shared_by_all(folder, None), seed=seed))
    assert runs[0] == runs[1] != runs[2]


@on_sqlite
def test_a_service_that_sends_again_whenever_it_hears_nothing_makes_copies(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = FhirClient.create

    async def blindly(client: FhirClient, resource: dict[str, Any], **_: Any) -> WriteResult:
        for _ in range(3):
            try:
                return await once(client, resource)
            except WriteOutcomeUnknown:
                continue
        return await once(client, resource)

    monkeypatch.setattr(FhirClient, "create", blindly)
    assert faults_of(shared)["duplicates"] > 0


@on_sqlite
def test_a_service_that_takes_silence_for_success_loses_things(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = FhirClient.update

    async def hopefully(client: FhirClient, resource: dict[str, Any], **more: Any) -> WriteResult:
        try:
            return await really(client, resource, **more)
        except WriteOutcomeUnknown:
            return WriteResult(status=200, id=resource["id"], version=None, etag=None, body=resource)

    monkeypatch.setattr(FhirClient, "update", hopefully)
    assert faults_of(shared)["lost"] > 0


def edits_of(shared: Shared, style: str) -> Counter[str]:
    return edits.campaign(shared, count=COUNT, seed=1, styles=(style,))


@pytest.mark.parametrize("style", edits.STYLES)
def test_nobodys_edit_vanishes_without_a_word(shared: Shared, style: str) -> None:
    figures = edits_of(shared, style)
    assert figures["lost"] == 0
    assert figures["edits"] >= COUNT
    assert (figures["conflicts"] > 30) == (style != "none")  # without a precondition nothing is refused


@on_sqlite
def test_a_service_that_names_no_version_and_looks_at_none_loses_edits(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    careful = FhirClient.update

    async def carelessly(client: FhirClient, resource: dict[str, Any], **_: Any) -> WriteResult:
        return await careful(client, resource)

    monkeypatch.setattr(FhirClient, "update", carelessly)
    monkeypatch.setattr(updating, "_between", lambda *_: None)
    assert edits_of(shared, "etag")["lost"] > 0
