"""A real server on a real port for every test that asks for `emr`."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from cm_service.sandbox.server import running
from cm_service.sandbox.store import Store
from tests.sandbox.builders import START, Hands, RunningEmr, patient


@pytest.fixture(scope="session")
def _served() -> Iterator[RunningEmr]:
    clock = Hands()
    store = Store(clock=clock)
    with running(store) as base, httpx.Client(base_url=base) as http:
        yield RunningEmr(store, clock, http, base)


@pytest.fixture
def emr(_served: RunningEmr) -> RunningEmr:
    """An EMR with two patients and nothing else, at 20:00 UTC on a Friday."""
    _served.clock.now = START
    _served.store.clear()
    _served.store.load([patient("p1"), patient("p2")])
    return _served
