"""Weather on the way to an EMR: a share of all requests meets a fault, a gateway on every second way forgets
If-None-Exist, and now and then the service dies.

What befalls a request depends on the seed, its method and type, and on how many of these came before, not
on what else is under way: a night that reads in parallel meets the same faults when it is tried again.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from tests.flow.bad_network import CUT, DROPPED_AFTER, DROPPED_BEFORE, FINE, Fault, Network, answers, html

# 503 and 429 say that nothing was done; 502 and 504 leave it open, and so does a page of a gateway.
FAULTS: dict[str, tuple[Fault, ...]] = {
    "reset": (DROPPED_BEFORE, DROPPED_AFTER),
    "502": (answers(502), answers(502, reaches=True)),
    "503": (answers(503, Retry_After="1"),),
    "504": (answers(504), answers(504, reaches=True)),
    "429": (answers(429, Retry_After="1"),),
    "html": (html(reaches=False), html(reaches=True)),
    "cut": (CUT,),
}
STRIPPED = "stripped"


class Weather(Network):
    """`share` of all requests meets a fault. `met` counts method and fault, STRIPPED and killed as well."""

    def __init__(self, emr: str, *, seed: int, share: float) -> None:
        super().__init__(emr)
        self.met: Counter[tuple[str, str]] = Counter()
        self.requests = 0
        self._seed, self._share = seed, share
        self._asked: Counter[str] = Counter()
        self._kill: tuple[int, Callable[[], object]] | None = None

    def kill_at(self, request: int, kill: Callable[[], object]) -> None:
        """`kill` runs once, when so many more requests have come: before the EMR has that one or after."""
        self._kill = (self.requests + request, kill)

    def spare(self) -> None:
        """Nobody is killed any more."""
        self._kill = None

    def fault_of(self, method: str, target: str) -> Fault | None:
        what = f"{method} {re.split('[/?]', target)[0]}"
        with self._lock:
            self.requests += 1
            self._asked[what] += 1
            dice = random.Random(f"{self._seed} {what} {self._asked[what]}")
            fault = self._drawn(method, dice)
            if self._kill is None or self.requests < self._kill[0]:
                return fault
            (_, kill), self._kill = self._kill, None
        self.met[method, "killed"] += 1
        fault = fault or FINE
        return replace(fault, first=kill) if dice.random() < 0.5 else replace(fault, then=kill)

    def _drawn(self, method: str, dice: random.Random) -> Fault | None:
        fault = None
        if dice.random() < self._share:
            name = dice.choice(list(FAULTS))
            self.met[method, name] += 1
            fault = dice.choice(FAULTS[name])
        if method == "POST" and dice.random() < 0.5:
            self.met[method, STRIPPED] += 1
            return replace(fault or FINE, strips=("if-none-exist",))
        return fault
