"""The way between a night and its ward: a network that breaks, types that fail, filters that are dropped,
links that expire, and people at work between any two requests."""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from campaigns.ward import CHANGING, Ward
from cm_service.sandbox.exchange import Handler, Incoming, Outgoing
from cm_service.sandbox.faults import FaultPlan, Faults
from cm_service.sandbox.index import Dropped
from cm_service.sandbox.plan import FaultKind

_KINDS = (
    FaultKind.DELAY,
    FaultKind.DROP_BEFORE,
    FaultKind.DROP_AFTER,
    FaultKind.CUT,
    FaultKind.STATUS,
    FaultKind.HTML,
)
_FILTER = re.compile(r"_lastUpdated=ge([^&]+)")
Sleep = Callable[[float], Awaitable[None]]
_TYPES = tuple(kind for kind in CHANGING if kind != "Location")  # that one is read by its ids
_SHARE, _EXPIRED, _AT_WORK = 0.04, 0.05, 0.25


class Roads:
    """`dropped` says how the filter was dropped, of the types of which this night has seen an answer
    without it. `calm`: nothing goes wrong and nobody works."""

    def __init__(self, ward: Ward, door: Handler, *, seed: str, sleep: Sleep) -> None:
        self.ward, self.calm = ward, True
        self.dropped: dict[str, Dropped] = {}
        self.expired = self.failing = 0
        self._rng = random.Random(f"{seed}/roads")
        self._door = door
        self.plan = FaultPlan.seeded(f"{seed}/faults", share=_SHARE, kinds=_KINDS)
        self._faults = Faults(self.plan, door, store=ward.store, sleep=sleep)
        self._requests = 0
        self._drops: dict[str, tuple[int, Dropped]] = {}
        self._fails: dict[str, tuple[int, int]] = {}

    def evening(self) -> None:
        """What will go wrong this night: from which request on, and how."""
        rng, self._requests = self._rng, 0
        self.dropped.clear()
        self._drops = {kind: self._drop() for kind in self._some(0.5)}
        self._fails = {
            kind: (rng.randint(0, 10), rng.choice((500, 403, 404, 503))) for kind in self._some(0.25)
        }

    def _some(self, chance: float) -> list[str]:
        rng = self._rng
        return rng.sample(_TYPES, k=rng.randint(1, 2)) if not self.calm and rng.random() < chance else []

    def _drop(self) -> tuple[int, Dropped]:
        how = self._rng.choice(tuple(Dropped))
        return (0 if how is Dropped.EMPTY else self._rng.randint(0, 10)), how

    async def __call__(self, incoming: Incoming) -> Outgoing:
        if self.calm:
            self.ward.store.index.dropped = {}
            return await self._door(incoming)
        self._requests += 1
        self.ward.store.index.dropped = {
            kind: how for kind, (begin, how) in self._drops.items() if self._requests > begin
        }
        self._people()
        outgoing = await self._harm(incoming)
        self._note(incoming, outgoing)
        return outgoing

    def _people(self) -> None:
        self.ward.pass_by(self._rng.choice((0.01, 0.2, 2.0, 10.0)))
        if self._rng.random() < _AT_WORK:
            self.ward.work(1)

    async def _harm(self, incoming: Incoming) -> Outgoing:
        begin, status = self._fails.get(incoming.type, (0, 0))
        if status and self._requests > begin:
            self.failing += 1
            return Outgoing(status, {"Content-Type": "text/plain"}, b"not now")
        if self._is_later(incoming) and self._rng.random() < _EXPIRED:
            self.expired += 1
            return Outgoing(410, {"Content-Type": "text/plain"}, b"this page is gone")
        return await self._faults(incoming)

    def _note(self, incoming: Incoming, outgoing: Outgoing) -> None:
        """Did an answer arrive that should have been filtered, and was not? One that shows no other rows
        than the filter would have let through is as good as filtered if it names the filter, or is a later
        page, whose link to itself may say anything."""
        how = self.ward.store.index.dropped.get(incoming.type)
        asked = _FILTER.search(f"{incoming.query}&{incoming.body.decode()}")
        arrived = outgoing.cut is None and "json" in outgoing.headers.get("Content-Type", "")
        if how is None or asked is None or not arrived or outgoing.status != 200:
            return
        since = dt.datetime.fromisoformat(unquote(asked.group(1)))
        is_told = how is Dropped.SHOWN or (how is Dropped.SILENTLY and self._is_later(incoming))
        if not is_told or any(version.updated < since for version in outgoing.shows):
            self.dropped[incoming.type] = how

    def _is_later(self, incoming: Incoming) -> bool:
        return f"{self.ward.personality.paging.parameter}=" in incoming.query
