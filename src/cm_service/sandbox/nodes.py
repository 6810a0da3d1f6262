"""The clocks of a server that is many: each request and each write meets another node, and each node's clock
is off by something else."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence


class NodeClocks:
    """A clock for `Store`: `time` as one of the nodes has it, drawn from a seed."""

    def __init__(
        self, time: Callable[[], dt.datetime], offsets: Sequence[float], *, rng: random.Random
    ) -> None:
        """`offsets` in seconds, one for each node."""
        self._time, self._rng = time, rng
        self._offsets = [dt.timedelta(seconds=seconds) for seconds in offsets]

    def __call__(self) -> dt.datetime:
        return self._time() + self._rng.choice(self._offsets)
