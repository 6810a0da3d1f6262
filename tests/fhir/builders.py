"""Clients of a scripted EMR that do not really wait, and the shortest way to ask something."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from cm_service.fhir.client import FhirClient
from cm_service.fhir.credentials import Credentials, NoCredentials
from cm_service.fhir.hold import Hold
from cm_service.fhir.http import EmrHttp
from cm_service.fhir.searchset import Page
from tests.fhir.scripted import Json, ScriptedEmr

T = TypeVar("T")


class Waits:
    """A sleep that only remembers how long it was to be."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)

    def clock(self) -> float:
        """A clock that only such waiting moves."""
        return sum(self.seconds)


def ask(
    emr: ScriptedEmr | str,
    question: Callable[[FhirClient], Awaitable[T]],
    *,
    waits: Waits | None = None,
    credentials: Credentials | None = None,
    max_pages: int = 100_000,
    max_bytes: int = 100_000_000_000,
    **http: Any,
) -> T:
    async def run() -> T:
        base = emr if isinstance(emr, str) else emr.base
        sleep = waits or Waits()
        hold = Hold(clock=sleep.clock)
        options = {"timeout_seconds": 5.0, "sleep": sleep, "hold": hold, **http}
        async with EmrHttp(base, credentials or NoCredentials(), **options) as connection:
            return await question(FhirClient(connection, max_pages=max_pages, max_bytes=max_bytes))

    return asyncio.run(run())


def pages(emr: ScriptedEmr, type_: str = "Observation", **options: Any) -> list[Page]:
    params = options.pop("params", [("_count", "2")])

    async def collect(client: FhirClient) -> list[Page]:
        return [page async for page in client.search(type_, params)]

    return ask(emr, collect, **options)


def lines(emr: ScriptedEmr, **options: Any) -> list[bytes]:
    return [line for page in pages(emr, **options) for line in page.resources]


def observation(id: str = "o1", **changed: Any) -> Json:
    return {"resourceType": "Observation", "id": id, "status": "final"} | changed


def task(**changed: Any) -> Json:
    return {"resourceType": "Task", "status": "requested", "intent": "order"} | changed
