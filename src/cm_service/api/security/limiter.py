"""Calls per minute and client, counted in this process: fair between clients, cheap, and forgetful."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict, deque


class Limiter:
    """A window that slides over the last minute."""

    def __init__(self, calls_per_minute: int) -> None:
        self._most = calls_per_minute
        self._calls: defaultdict[str, deque[dt.datetime]] = defaultdict(deque)

    def wait(self, who: str, now: dt.datetime) -> int:
        """0, and the call counts; or the whole seconds after which there is room again."""
        calls, begin = self._calls[who], now - dt.timedelta(minutes=1)
        while calls and calls[0] <= begin:
            calls.popleft()
        if len(calls) >= self._most:
            return max(1, math.ceil((calls[0] - begin).total_seconds()))
        calls.append(now)
        return 0
