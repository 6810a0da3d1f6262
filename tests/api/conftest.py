"""A service and an EMR that launches it, or notifies it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.launch_attack_world import Both
from tests.api.launch_world import launching
from tests.api.notify_world import PEOPLE, Notified


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


@pytest.fixture
def clinic(tmp_path: Path) -> Notified:
    return Notified(tmp_path, PEOPLE)


@pytest.fixture
def told(clinic: Notified) -> Notified:
    """With a subscription that shook hands."""
    clinic.shake()
    return clinic
