"""The waits that an EMR asks for (Retry-After): kept by every request, whichever of them was told."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from cm_service.errors import EmrUnreachable
from cm_service.fhir.retry import LONGEST_WAIT


class Hold:
    """`clock` counts seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = float("-inf")

    def until_after(self, seconds: float) -> None:
        """The EMR asked to be left alone for so long."""
        self._end = max(self._end, self._clock() + seconds)

    async def wait(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Until a request may go. Raises EmrUnreachable rather than stand still for longer than a night
        should: then nothing was sent."""
        left = self._end - self._clock()
        if left > LONGEST_WAIT:
            text = f"the EMR asks to be left alone for {left:.0f} seconds: nothing was sent"
            raise EmrUnreachable(text, status=429)
        if left > 0:
            await sleep(left)
