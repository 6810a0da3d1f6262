"""Each fault as a client meets it: over a real connection, and without a socket just the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from cm_service.sandbox import counters
from cm_service.sandbox.app import sandbox_handler
from cm_service.sandbox.exchange import Incoming, Outgoing
from cm_service.sandbox.faults import Faults
from cm_service.sandbox.plan import Fault, FaultKind, FaultPlan, Rule
from cm_service.sandbox.store import Store
from cm_service.sandbox.transport import InProcess
from tests.sandbox.builders import OURS, Hands, RunningEmr, patient, running_as, task

BASE = "http://emr.example/fhir"


class InLoop:
    """The same calls without a socket, one asyncio loop for each."""

    def __init__(self, store: Store, plan: FaultPlan) -> None:
        self.store = store
        self._transport = InProcess(sandbox_handler(store, faults=plan))

    def request(self, method: str, url: str, **more: Any) -> httpx.Response:
        async def go() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url=BASE) as client:
                return await client.request(method, url, **more)

        return asyncio.run(go())


class OverHttp:
    def __init__(self, emr: RunningEmr) -> None:
        self.store, self._http = emr.store, emr.http

    def request(self, method: str, url: str, **more: Any) -> httpx.Response:
        return self._http.request(method, url, **more)


Way = InLoop | OverHttp


@pytest.fixture(params=["over HTTP", "in process"])
def through(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`with through(rules) as way`: a sandbox with these faults, reached either way."""

    @contextmanager
    def opened(*rules: Rule) -> Iterator[Way]:
        if request.param == "over HTTP":
            with running_as(faults=FaultPlan(rules)) as emr:
                yield OverHttp(emr)
        else:
            store = Store(clock=Hands())
            store.load([patient("p1"), patient("p2")])
            yield InLoop(store, FaultPlan(rules))

    return opened


def on_posts(kind: FaultKind, *, times: int | None = 1, **more: Any) -> Rule:
    return Rule(Fault(kind, **more), methods=frozenset({"POST"}), times=times)


def post(way: Way, value: str = "t1", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return way.request("POST", "Task", json=task(value), headers=named)


def copies(way: Way, value: str = "t1") -> int:
    return way.store.count_identifier("Task", OURS, value)


def test_a_drop_before_the_commit_leaves_nothing_behind(through: Any) -> None:
    with through(on_posts(FaultKind.DROP_BEFORE)) as way:
        with pytest.raises(httpx.ReadError):
            post(way)
        assert copies(way) == 0
        assert post(way).status_code == 201, "the next request is served"


def test_a_drop_after_the_commit_looks_the_same_and_is_not(through: Any) -> None:
    with through(on_posts(FaultKind.DROP_AFTER)) as way:
        with pytest.raises(httpx.ReadError):
            post(way)
        assert copies(way) == 1


@pytest.mark.parametrize("left", [0, 20])
def test_a_body_is_cut_after_so_many_bytes(through: Any, left: int) -> None:
    with through(on_posts(FaultKind.CUT, bytes=left)) as way:
        with pytest.raises(httpx.RemoteProtocolError):
            post(way)
        assert copies(way) == 1
        assert post(way, "t2").status_code == 201


def test_a_request_that_is_delivered_twice_acts_twice(through: Any) -> None:
    with through(on_posts(FaultKind.DUPLICATE)) as way:
        assert post(way).status_code == 201
        assert copies(way) == 2
        assert len(counters.duplicates(way.store)[(OURS, "t1")]) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
@pytest.mark.parametrize("acts", [True, False])
def test_a_wrong_status_says_nothing_of_what_was_done(through: Any, status: int, acts: bool) -> None:
    with through(on_posts(FaultKind.STATUS, status=status, acts=acts, retry_after="7")) as way:
        answer = post(way)
        assert (answer.status_code, answer.headers["Retry-After"]) == (status, "7")
        assert copies(way) == int(acts)


def test_html_with_200_is_no_success(through: Any) -> None:
    with through(on_posts(FaultKind.HTML)) as way:
        answer = post(way)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html")
        assert copies(way) == 0


def test_a_stale_index_finds_nothing_new_for_so_many_requests(through: Any) -> None:
    with through(on_posts(FaultKind.STALE_INDEX, requests=3)) as way:
        made = post(way, If_None_Exist=f"identifier={OURS}|t1").json()
        assert way.request("GET", "Task?patient=p1").json()["total"] == 0
        assert way.request("GET", f"Task/{made['id']}").status_code == 200, "a read by id is never stale"
        again = post(way, If_None_Exist=f"identifier={OURS}|t1")
        assert again.status_code == 200, "the index has caught up"
        assert copies(way) == 1


def test_a_stale_index_makes_a_conditional_create_a_second_copy(through: Any) -> None:
    with through(on_posts(FaultKind.STALE_INDEX, requests=9)) as way:
        for _ in range(2):
            assert post(way, If_None_Exist=f"identifier={OURS}|t1").status_code == 201
        assert copies(way) == 2


def test_a_stale_index_still_finds_what_was_there_before_an_update(through: Any) -> None:
    stale = Rule(Fault(FaultKind.STALE_INDEX, seconds=60), methods=frozenset({"PUT"}))
    with through(stale) as way:
        made = post(way).json()
        way.request("PUT", f"Task/{made['id']}", json={**made, "status": "accepted"})
        assert way.request("GET", "Task?patient=p1&status=requested").json()["total"] == 1
        way.store.clock.forward(seconds=60)
        assert way.request("GET", "Task?patient=p1&status=requested").json()["total"] == 0


def test_the_condition_of_a_create_is_stripped(through: Any) -> None:
    with through(on_posts(FaultKind.STRIPPED, times=None)) as way:
        for _ in range(2):
            assert post(way, If_None_Exist=f"identifier={OURS}|t1").status_code == 201


def test_a_clinician_edits_between_our_read_and_our_write(through: Any) -> None:
    edited = Rule(Fault(FaultKind.EDITED), methods=frozenset({"PUT"}), times=1)
    with through(edited) as way:
        made = post(way).json()
        url, changed = f"Task/{made['id']}", {**made, "status": "accepted"}
        refused = way.request("PUT", url, json=changed, headers={"If-Match": 'W/"1"'})
        assert refused.status_code == 412
        assert "seen at the visit" in way.request("GET", url).json()["note"][0]["text"]
        assert counters.lost_updates(way.store) == []


def test_a_clinician_deletes_between_our_read_and_our_write(through: Any) -> None:
    deleted = Rule(Fault(FaultKind.DELETED), methods=frozenset({"PUT"}), times=1)
    with through(deleted) as way:
        made = post(way).json()
        assert way.request("PUT", f"Task/{made['id']}", json=made).status_code == 201, "it came back to life"
        assert counters.brought_back(way.store) == [f"Task/{made['id']}"]


def test_a_late_request_acts_when_the_client_has_long_given_up(through: Any) -> None:
    late = on_posts(FaultKind.LATE, requests=1, seconds=600)
    with through(late) as way:
        with pytest.raises((httpx.ReadTimeout, httpx.ReadError)):
            post(way)
        looked = way.request("GET", f"Task?identifier={OURS}|t1")
        assert looked.json()["total"] == 0, "one look is no proof"
        assert way.request("GET", f"Task?identifier={OURS}|t1").json()["total"] == 1


def test_rules_pick_requests_by_number_method_and_type(through: Any) -> None:
    rules = (
        Rule(Fault(FaultKind.STATUS, status=502), numbers=frozenset({2})),
        Rule(Fault(FaultKind.STATUS, status=504), methods=frozenset({"GET"}), types=frozenset({"Patient"})),
    )
    with through(*rules) as way:
        asked = ["Task", "Task", "Task", "Patient", "Patient/p1", "metadata"]
        statuses = [way.request("GET", url).status_code for url in asked]
        assert statuses == [200, 502, 200, 504, 504, 200]


# What needs more than one request at a time, and an injected sleep


def _recording(order: list[str]) -> Callable[[Incoming], Awaitable[Outgoing]]:
    async def inner(incoming: Incoming) -> Outgoing:
        order.append(incoming.path)
        return Outgoing(200)

    return inner


def _run_together(plan: FaultPlan, paths: list[str]) -> tuple[list[str], list[float]]:
    """Requests started in this order; gives the order in which they arrived, and the naps taken."""
    order, naps = list[str](), list[float]()

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        await asyncio.sleep(0)

    async def go() -> None:
        faults = Faults(plan, _recording(order), store=Store(clock=Hands()), sleep=sleep)
        await asyncio.gather(*(faults(Incoming("GET", BASE, path)) for path in paths))

    asyncio.run(go())
    return order, naps


def test_a_delay_is_slept_and_nothing_else() -> None:
    plan = FaultPlan([Rule(Fault(FaultKind.DELAY, seconds=2.5))])
    assert _run_together(plan, ["a"]) == (["a"], [2.5])


def test_a_request_is_overtaken_by_those_that_came_after_it() -> None:
    plan = FaultPlan([Rule(Fault(FaultKind.REORDER, requests=2, seconds=1.0), numbers=frozenset({1}))])
    order, naps = _run_together(plan, ["a", "b", "c"])
    assert order == ["b", "c", "a"]
    assert sum(naps) <= 1.0


def test_nobody_waits_for_others_that_do_not_come() -> None:
    plan = FaultPlan([Rule(Fault(FaultKind.REORDER, requests=2, seconds=1.0))])
    order, naps = _run_together(plan, ["a"])
    assert (order, round(sum(naps), 6)) == (["a"], 1.0)


def test_what_is_late_arrives_when_the_campaign_is_settled() -> None:
    order: list[str] = []
    plan = FaultPlan([Rule(Fault(FaultKind.LATE, requests=99, seconds=9999.0))])

    async def go() -> None:
        faults = Faults(plan, _recording(order), store=Store(clock=Hands()))
        with pytest.raises(Exception, match="without an answer"):
            await faults(Incoming("POST", BASE, "/fhir/Task"))
        assert order == []
        await faults.settle()

    asyncio.run(go())
    assert order == ["/fhir/Task"]


# Plans


def _dealt(plan: FaultPlan, requests: int = 400) -> list[Fault | None]:
    methods = ("GET", "POST", "PUT", "DELETE")
    return [plan.next(methods[number % 4], "Task") for number in range(requests)]


def test_the_same_seed_deals_the_same_faults() -> None:
    first, second = (_dealt(FaultPlan.seeded(7, share=0.3)) for _ in range(2))
    assert first == second
    assert first != _dealt(FaultPlan.seeded(8, share=0.3))


def test_a_seeded_plan_deals_its_share_and_every_kind_to_whom_it_can_hit() -> None:
    plan = FaultPlan.seeded(1, share=0.25)
    dealt = _dealt(plan, 8000)
    assert plan.faults == sum(fault is not None for fault in dealt) == plan.counts.total()
    assert 0.22 < plan.faults / 8000 < 0.28
    assert plan.counts.keys() == set(FaultKind)
    reads = {fault.kind for fault in dealt[::4] if fault}
    assert reads.isdisjoint({FaultKind.EDITED, FaultKind.DELETED, FaultKind.STRIPPED, FaultKind.LATE})
    creates = {fault.kind for fault in dealt[1::4] if fault}
    assert creates.isdisjoint({FaultKind.EDITED, FaultKind.DELETED})


def test_nothing_was_done_where_somebody_asks_to_come_back_later() -> None:
    faults = [f for f in _dealt(FaultPlan.seeded(3, share=1.0, kinds=[FaultKind.STATUS]), 4000) if f]
    assert {fault.status for fault in faults} == {429, 500, 502, 503, 504}
    assert not any(fault.acts for fault in faults if fault.status == 429 or fault.retry_after)
    assert {fault.acts for fault in faults if fault.status == 502} == {True, False}


def test_a_plan_of_some_kinds_deals_no_others() -> None:
    plan = FaultPlan.seeded(2, share=0.5, kinds=[FaultKind.DROP_AFTER, FaultKind.EDITED])
    _dealt(plan)
    assert plan.counts.keys() == {FaultKind.DROP_AFTER, FaultKind.EDITED}
