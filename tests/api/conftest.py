"""A service and an EMR that launches it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.launch_attack_world import Both
from tests.api.launch_world import launching


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    with launching(tmp_path) as both:
        yield both


@pytest.fixture(scope="module")
def _once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with launching(tmp_path_factory.mktemp("launches")) as both:
        yield both


@pytest.fixture
def shared(_once: Both) -> Both:
    """One service for many attacks; the EMR is a good one again each time, and the browser a new one."""
    world, emr = _once
    kept = emr.base, emr.key
    emr.__init__()  # type: ignore[misc]
    emr.base, emr.key = kept
    world.http.cookies.clear()
    return world, emr
