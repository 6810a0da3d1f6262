"""`make lost-changes` on a small scale: sound code loses nothing, and code that is broken on purpose does."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from campaigns import changes, roads
from campaigns.roads import Roads

from cm_service.flow.pull import reader, walk
from cm_service.flow.pull.walk import Walk
from cm_service.sandbox.index import Dropped


def lost_of(folder: Path, *, count: int = 500, seed: int = 1) -> Counter[str]:
    return changes.campaign(folder, count=count, seed=seed)


def test_nothing_is_lost_and_no_run_with_a_hole_calls_itself_complete(tmp_path: Path) -> None:
    figures = lost_of(tmp_path, count=1000)
    assert not changes.is_bad(figures)
    assert 1000 <= figures["changes"] <= 1200
    faults = ("killed runs", "expired links", "network faults", "answers of failing types")
    assert all(figures[name] > 0 for name in ("dropped_filters", *faults)), figures
    assert figures["types read for changes"] > 100


def test_the_same_seed_gives_the_same_figures_and_another_seed_others(tmp_path: Path) -> None:
    runs = []
    for number, seed in enumerate((3, 3, 4)):
        folder = tmp_path / str(number)
        folder.mkdir()
        runs.append(lost_of(folder, count=100, seed=seed))
    assert runs[0] == runs[1] != runs[2]


def first_harm(folder: Path, *names: str, count: int = 500) -> Counter[str]:
    """Figures of the first seed with harm of every one of these names; which seed that is changes with every
    request that the nights make more or less."""
    for seed in range(1, 13):
        (home := folder / str(seed)).mkdir()
        figures = lost_of(home, count=count, seed=seed)
        if all(figures[name] > 0 for name in names):
            return figures
    raise AssertionError(f"no harm in {seed} campaigns: {names}")


def test_a_window_without_overlap_loses_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = reader.window
    monkeypatch.setattr(
        reader, "window", lambda cursor, _overlap, since: really(cursor, dt.timedelta(0), since)
    )
    assert changes.is_bad(first_harm(tmp_path, "lost", "false_complete"))


def test_pages_read_only_once_make_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Walk, "settled", lambda *_: True)
    monkeypatch.setattr(Walk, "lacks", False)  # counting alone sees many a shift, too
    monkeypatch.setattr(roads, "_AT_WORK", 1.0)
    assert changes.is_bad(first_harm(tmp_path, "false_complete"))


def test_who_does_not_look_at_what_comes_back_notices_no_dropped_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def believe(*_: Any) -> None:
        pass

    monkeypatch.setattr(walk, "check_effect", believe)
    monkeypatch.setattr(Roads, "_drop", lambda _: (0, Dropped.SHOWN))
    figures = first_harm(tmp_path, "dropped_filters", count=200)
    assert figures["dropped_filters_noticed"] < figures["dropped_filters"]
    assert changes.is_bad(figures)
