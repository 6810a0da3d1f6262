"""Nights that this process runs on request, each on a thread of its own, so that nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from cm_service.errors import Busy, CmError, Stopped
from cm_service.flow.nightly import NightOptions, Tools, lease_of, night
from cm_service.logs import log


class Nights:
    """One night per EMR in this process; the lease of the store keeps other processes out."""

    def __init__(self, tools: Tools, *, run: Callable[..., Any] = night) -> None:
        self._tools, self._run = tools, run
        self._lock = threading.Lock()
        self._running: dict[str, threading.Event] = {}

    def start(self, slug: str, options: NightOptions) -> None:
        """Raises Busy."""
        with self._lock:
            if slug in self._running:
                raise Busy(f"another run holds the sync of {slug}")
            with self._tools.database.lease(lease_of(slug)):
                pass  # nobody else is at it: the caller is told now, not by a thread later
            stop = self._running[slug] = threading.Event()
        thread = threading.Thread(target=self._night, args=(slug, options, stop), daemon=True)
        thread.start()

    def stop(self, slug: str) -> None:
        """The night ends at its next step; what it had begun is resumed by the next one."""
        with self._lock:
            if slug in self._running:
                self._running[slug].set()

    def _night(self, slug: str, options: NightOptions, stop: threading.Event) -> None:
        def tell(_text: str) -> None:
            if stop.is_set():
                raise Stopped("a person stopped this night")

        try:
            self._run(self._tools, slug, options, tell)
        except CmError as error:
            log.warning("a night ended early", type=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - its text may hold anything, and a thread would print it
            log.error("a night failed", type=type(error).__name__)
        finally:
            with self._lock:
                self._running.pop(slug, None)
