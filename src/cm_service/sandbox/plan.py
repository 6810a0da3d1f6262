"""Which fault hits which request: listed, or drawn from a seed. The same plan gives the same faults to
the same sequence of requests."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class FaultKind(StrEnum):
    """What can happen between a client and a server, and to either of them."""

    DELAY = "delay"
    DROP_BEFORE = "drop before commit"
    DROP_AFTER = "drop after commit"
    CUT = "cut body"
    DUPLICATE = "duplicate delivery"
    REORDER = "overtaken by others"
    LATE = "answered by nobody, carried out later"
    STATUS = "wrong status"
    HTML = "HTML with 200"
    STALE_INDEX = "stale search index"
    STRIPPED = "condition stripped"
    EDITED = "edited by a clinician"
    DELETED = "deleted by a clinician"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    `seconds` and `requests` measure a delay, a lateness or how long an index stands; `bytes` is what is
    left of a body; `status` with `retry_after` the wrong answer; `acts`: the EMR carried the request out
    before the wrong answer was given.
    """

    kind: FaultKind
    seconds: float = 0.0
    requests: int = 0
    bytes: int = 0
    status: int = 502
    retry_after: str = ""
    acts: bool = False


@dataclass(frozen=True)
class Rule:
    """`fault` for requests with one of these numbers (from 1), methods and types; empty: any.

    It hits at most `times` of them.
    """

    fault: Fault
    numbers: frozenset[int] = frozenset()
    methods: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    times: int | None = None

    def fits(self, number: int, method: str, type_: str) -> bool:
        return (
            (not self.numbers or number in self.numbers)
            and (not self.methods or method in self.methods)
            and (not self.types or type_ in self.types)
        )


WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_ONLY: dict[FaultKind, frozenset[str]] = {
    FaultKind.STRIPPED: frozenset({"POST"}),
    FaultKind.EDITED: WRITES - {"POST"},
    FaultKind.DELETED: WRITES - {"POST"},
    FaultKind.LATE: WRITES,
    FaultKind.STALE_INDEX: WRITES,
}
_STATUSES = (500, 502, 503, 504, 429)


class FaultPlan:
    """Asked once for each request, in the order in which they come. `counts` tells what was dealt."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = list(rules)
        self._hits: Counter[int] = Counter()
        self._rng: random.Random | None = None
        self._share, self._kinds = 0.0, tuple[FaultKind, ...]()
        self.requests = 0
        self.counts: Counter[FaultKind] = Counter()

    @classmethod
    def seeded(
        cls, seed: int | str, *, share: float, kinds: Sequence[FaultKind] = tuple(FaultKind)
    ) -> FaultPlan:
        """Faults of these kinds, on this share of all requests."""
        plan = cls()
        plan._rng, plan._share, plan._kinds = random.Random(seed), share, tuple(kinds)
        return plan

    @property
    def faults(self) -> int:
        return self.counts.total()

    def next(self, method: str, type_: str) -> Fault | None:
        self.requests += 1
        fault = self._listed(method, type_) or self._drawn(method)
        if fault is not None:
            self.counts[fault.kind] += 1
        return fault

    def _listed(self, method: str, type_: str) -> Fault | None:
        for place, rule in enumerate(self._rules):
            left = rule.times is None or self._hits[place] < rule.times
            if left and rule.fits(self.requests, method, type_):
                self._hits[place] += 1
                return rule.fault
        return None

    def _drawn(self, method: str) -> Fault | None:
        rng = self._rng
        if rng is None or rng.random() >= self._share:
            return None
        kinds = [kind for kind in self._kinds if method in _ONLY.get(kind, WRITES | {"GET", "HEAD"})]
        return _drawn_fault(rng, rng.choice(kinds)) if kinds else None


def _drawn_fault(rng: random.Random, kind: FaultKind) -> Fault:
    fault = Fault(
        kind,
        seconds=rng.choice((0.05, 1.0, 30.0, 200.0)),
        requests=rng.randint(1, 12),
        bytes=rng.choice((0, 1, 20, 200)),
        acts=rng.random() < 0.5,
    )
    if kind is not FaultKind.STATUS:
        return fault
    status = rng.choice(_STATUSES)
    wait = rng.choice(("", "1", "30")) if status in (429, 503) else ""
    # Who says "too many" or "come back later" says that nothing was done.
    return replace(fault, status=status, retry_after=wait, acts=fault.acts and status != 429 and not wait)
