"""A layer that does harm, around the sandbox or around the way to any other server.

It is a handler around a handler, so the same faults hit a real connection, where the application
closes it, and a client without a socket, whose transport raises what httpx would raise.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from cm_service.sandbox.exchange import BrokenConnectionError, Handler, Incoming, Outgoing
from cm_service.sandbox.plan import Fault, FaultKind, FaultPlan
from cm_service.sandbox.store import Store
from cm_service.sandbox.wire import Resource

__all__ = ["Fault", "FaultKind", "FaultPlan", "Faults"]

_HTML = b"<!DOCTYPE html><html><body><h1>Please wait</h1></body></html>"
Change = Callable[[Resource], object]


@dataclass
class _Late:
    """A request that somebody still has to deliver."""

    incoming: Incoming
    request: int
    moment: dt.datetime


def _note(number: int) -> Change:
    """What a clinician adds: a note that nobody may lose."""
    return lambda resource: resource.setdefault("note", []).append({"text": f"seen at the visit, {number}"})


class Faults:
    """`store` is needed for what happens inside the EMR (stale index, clinicians) and for its clock.

    `sleep` is injected, so that a long campaign need not wait. One asyncio loop at a time.
    """

    def __init__(
        self,
        plan: FaultPlan,
        inner: Handler,
        *,
        store: Store,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        edit: Callable[[int], Change] = _note,
    ) -> None:
        self.plan, self.store = plan, store
        self._inner, self._sleep, self._edit = inner, sleep, edit
        self._late: list[_Late] = []
        self._handled = 0

    async def __call__(self, incoming: Incoming) -> Outgoing:
        fault = self.plan.next(incoming.method, incoming.type)
        await self._deliver_late(every=False)
        if fault is None:
            return await self._act(incoming)
        return await self._end(await self._begin(incoming, fault), fault)

    async def settle(self) -> None:
        """Deliver what is still under way: the end of a campaign."""
        await self._deliver_late(every=True)

    async def _act(self, incoming: Incoming) -> Outgoing:
        try:
            return await self._inner(incoming)
        finally:
            self._handled += 1

    async def _deliver_late(self, *, every: bool) -> None:
        now = self.store.clock()
        due = [late for late in self._late if every or self._is_due(late, now)]
        for late in due:
            self._late.remove(late)
            await self._act(late.incoming)

    def _is_due(self, late: _Late, now: dt.datetime) -> bool:
        return self.plan.requests > late.request or now >= late.moment

    async def _begin(self, incoming: Incoming, fault: Fault) -> Incoming:
        """What goes wrong before the EMR has the request."""
        match fault.kind:
            case FaultKind.DELAY:
                await self._sleep(fault.seconds)
            case FaultKind.REORDER:
                await self._let_pass(fault)
            case FaultKind.STALE_INDEX:
                self._hold_index(fault)
            case FaultKind.EDITED if self._is_there(incoming):
                self.store.clinician_edit(incoming.type, incoming.id, self._edit(self.plan.requests))
            case FaultKind.DELETED if self._is_there(incoming):
                self.store.clinician_delete(incoming.type, incoming.id)
            case FaultKind.STRIPPED:
                kept = {k: v for k, v in incoming.headers.items() if k != "if-none-exist"}
                return replace(incoming, headers=kept)
        return incoming

    async def _end(self, incoming: Incoming, fault: Fault) -> Outgoing:
        """What becomes of the request and of its answer."""
        match fault.kind:
            case FaultKind.DROP_BEFORE:
                raise BrokenConnectionError
            case FaultKind.DROP_AFTER:
                await self._act(incoming)
                raise BrokenConnectionError
            case FaultKind.LATE:
                moment = self.store.clock() + dt.timedelta(seconds=fault.seconds)
                self._late.append(_Late(incoming, self.plan.requests + fault.requests, moment))
                raise BrokenConnectionError(late=True)
            case FaultKind.STATUS | FaultKind.HTML:
                if fault.acts:
                    await self._act(incoming)
                return _page(fault)
            case FaultKind.DUPLICATE:  # by a proxy; the client gets the second answer
                await self._act(incoming)
        outgoing = await self._act(incoming)
        return _cut(outgoing, fault.bytes) if fault.kind is FaultKind.CUT else outgoing

    async def _let_pass(self, fault: Fault) -> None:
        """Others first: so many, or as many as come in these seconds."""
        before, tries = self._handled, 10
        for _ in range(tries):
            if self._handled - before >= fault.requests:
                break
            await self._sleep(fault.seconds / tries)

    def _hold_index(self, fault: Fault) -> None:
        """From before this request on, searches find nothing new for a while."""
        until = self.store.clock() + dt.timedelta(seconds=fault.seconds) if fault.seconds else None
        self.store.hold_index(requests=fault.requests or None, until=until)

    def _is_there(self, incoming: Incoming) -> bool:
        return self.store.exists(f"{incoming.type}/{incoming.id}")


def _page(fault: Fault) -> Outgoing:
    """What a gateway says that knows nothing of FHIR."""
    wait = {"Retry-After": fault.retry_after} if fault.retry_after else {}
    status = 200 if fault.kind is FaultKind.HTML else fault.status
    return Outgoing(status, {"Content-Type": "text/html", **wait}, _HTML)


def _cut(outgoing: Outgoing, left: int) -> Outgoing:
    if not outgoing.body:
        raise BrokenConnectionError
    return replace(outgoing, cut=min(left, len(outgoing.body) - 1))
