"""Whoever asks for `server` is asked twice."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from cm_service.sandbox.personality import personality_named
from cm_service.sandbox.server import running
from cm_service.sandbox.store import Store
from tests.contract.servers import Server


@pytest.fixture(scope="session")
def sandbox_hapi() -> Iterator[str]:
    with running(Store(), personality=personality_named("hapi")) as base:
        yield base


@pytest.fixture(
    scope="module", params=["sandbox_hapi", pytest.param("foreign_emr", marks=pytest.mark.foreign_emr)]
)
def http(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=request.getfixturevalue(request.param), timeout=60) as opened:
        yield opened


@pytest.fixture
def server(http: httpx.Client) -> Server:
    return Server(http)
