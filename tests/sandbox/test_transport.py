"""Without a socket the sandbox answers as it does over one, and a long campaign stays exact."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from cm_service.errors import WriteOutcomeUnknown
from cm_service.fhir.client import FhirClient
from cm_service.fhir.credentials import NoCredentials
from cm_service.fhir.http import EmrHttp
from cm_service.sandbox import counters
from cm_service.sandbox.app import sandbox_handler
from cm_service.sandbox.faults import Faults
from cm_service.sandbox.front import front_door, seen_by_client
from cm_service.sandbox.personality import GENEROUS, personality_named
from cm_service.sandbox.plan import Fault, FaultKind, FaultPlan, Rule
from cm_service.sandbox.store import Store
from cm_service.sandbox.transport import InProcess
from tests.sandbox.builders import OURS, Hands, RunningEmr, bundle, entry, patient, task

FHIR = {"Content-Type": "application/fhir+json"}
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "metadata", {}),
    ("GET", "Patient/p1", {}),
    ("GET", "Patient?name=%C3%A9tienne&_count=1", {}),
    ("POST", "Task", {"json": task(id="x"), "headers": {**FHIR, "Prefer": "return=minimal"}}),
    ("PUT", "Task/x", {"json": task(id="x"), "headers": FHIR}),
    ("GET", f"Task?identifier={OURS}|t1", {}),
    ("POST", "Task/_search", {"data": {"patient": "p1"}}),
    ("DELETE", "Task/x", {}),
    ("GET", "Task/x", {}),
    ("POST", "Task", {"content": b"{", "headers": FHIR}),
    ("POST", "", {"json": bundle("batch", entry("GET", "Patient/p2")), "headers": FHIR}),
    ("GET", "Nonsense", {}),
    ("GET", "Patient/a%20b", {}),
]
CHANGING = {"date", "content-length", "location"}


def test_both_ways_say_the_same(emr: RunningEmr) -> None:
    store = Store(clock=Hands())
    store.load([patient("p1"), patient("p2")])

    async def asked() -> list[httpx.Response]:
        transport = InProcess(sandbox_handler(store))
        async with httpx.AsyncClient(transport=transport, base_url=emr.base) as client:
            return [await client.request(method, url, **more) for method, url, more in CALLS]

    for (method, url, more), mine in zip(CALLS, asyncio.run(asked()), strict=True):
        theirs = emr.http.request(method, url, **more)
        assert mine.status_code == theirs.status_code, url
        assert _without_chance(mine) == _without_chance(theirs), url
        assert {k: v for k, v in mine.headers.items() if k not in CHANGING} == {
            k: v for k, v in theirs.headers.items() if k not in CHANGING
        }


def _without_chance(answer: httpx.Response) -> Any:
    body = answer.json() if answer.content else None
    if isinstance(body, dict) and body.get("type") == "searchset":
        return body["total"], [sorted(e["resource"]["resourceType"] for e in body.get("entry", []))]
    return body


async def _careless(client: httpx.AsyncClient, values: range) -> None:
    """A client that sends a write again whenever it has not seen a 201: what nobody should do."""
    for value in values:
        for _ in range(20):
            try:
                answer = await client.post("Task", json=task(f"t{value}"), headers=FHIR)
            except httpx.HTTPError:
                continue
            if answer.status_code == 201:
                break


@pytest.mark.parametrize("seed", [1, 2])
def test_a_campaign_finds_the_copies_that_a_careless_client_makes(seed: int) -> None:
    """The counters can see what they are for."""
    store, plan = Store(clock=Hands()), FaultPlan.seeded(seed, share=0.3)
    store.load([patient("p1")])

    async def campaign() -> None:
        faults = Faults(plan, front_door(store, GENEROUS), store=store, sleep=_no_wait)
        transport = InProcess(seen_by_client(store, faults))
        async with httpx.AsyncClient(transport=transport, base_url="http://emr.example/fhir") as client:
            parts = (range(start, start + 25) for start in range(0, 200, 25))
            await asyncio.gather(*(_careless(client, part) for part in parts))
        await faults.settle()

    asyncio.run(campaign())
    assert plan.faults > 40
    assert len(counters.copies(store, system=OURS)) == 200
    assert len(counters.duplicates(store, system=OURS)) > 5


async def _no_wait(_: float) -> None:
    await asyncio.sleep(0)


def test_a_personality_without_a_socket_is_the_same_personality() -> None:
    store = Store(clock=Hands())

    async def asked() -> int:
        transport = InProcess(sandbox_handler(store, personality=personality_named("nextgen")))
        async with httpx.AsyncClient(transport=transport, base_url="http://emr.example/fhir") as client:
            return (await client.post("Task", json=task())).status_code

    assert asyncio.run(asked()) == 404


def test_the_services_own_client_works_without_a_socket_and_meets_the_same_faults() -> None:
    store = Store(clock=Hands())
    store.load([patient("p1")])
    drop = Rule(Fault(FaultKind.DROP_AFTER), methods=frozenset({"POST"}), times=1)

    async def asked() -> list[Any]:
        transport = InProcess(sandbox_handler(store, faults=FaultPlan([drop])))
        async with EmrHttp("http://127.0.0.1/fhir", NoCredentials(), transport=transport) as http:
            client = FhirClient(http)
            with pytest.raises(WriteOutcomeUnknown):
                await client.create(task())
            return await client.find_by_identifier("Task", OURS, "t1")

    assert [found["status"] for found in asyncio.run(asked())] == ["requested"]
