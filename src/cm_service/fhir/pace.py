"""How fast we may ask: never more calls in a span of time than the EMR allows."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

_SHARE = 0.9  # somebody else of the practice may be calling, too


class Pace:
    """At most nine tenths of `calls` in any span of `seconds`; whoever comes too early waits his turn."""

    def __init__(
        self,
        calls: int,
        seconds: float,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self._most = max(1, int(calls * _SHARE))
        self._sleep, self._clock = sleep, clock
        self._made: deque[float] = deque()
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        """Returns when the next call may go."""
        async with self._turn:
            if len(self._made) >= self._most:
                left = self._made.popleft() + self.seconds - self._clock()
                if left > 0:
                    await self._sleep(left)
            self._made.append(self._clock())
