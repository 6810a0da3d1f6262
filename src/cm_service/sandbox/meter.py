"""So many calls in each minute of the EMR's clock, and 429 for the rest of it."""

from __future__ import annotations

import threading

from cm_service.sandbox.answers import Refusal
from cm_service.sandbox.store import Store


class Meter:
    """Counts every call, refused ones too. `limit` None: as many as anybody likes."""

    def __init__(self, store: Store, limit: int | None) -> None:
        self._store, self._limit = store, limit
        self._span, self._calls = (0, 0), 0
        self._lock = threading.Lock()

    def count(self) -> None:
        """Raises Refusal 429 for a call too many; there is no Retry-After."""
        if self._limit is None:
            return
        span = self._store.lives, int(self._store.clock().timestamp() // 60)
        with self._lock:
            if span != self._span:
                self._span, self._calls = span, 0
            self._calls += 1
            full = self._calls > self._limit
        if full:
            raise Refusal(429, "throttled", f"more than {self._limit} calls in this minute")
