"""The one thread of `serve` that follows notifications and sends what is held no longer, EMR by EMR."""

from __future__ import annotations

import threading

import sqlalchemy as sa

from cm_service.api.metrics import HINTED
from cm_service.db import connections
from cm_service.db.engine import Database
from cm_service.errors import Busy, CmError
from cm_service.flow.hinted import follow
from cm_service.flow.nightly import Tools
from cm_service.logs import log

_LONGEST_STOP = 10.0  # seconds that a process which ends waits for a round


class Follower:
    """A round every so many `seconds`. A night that is at work goes first: the round after it comes soon."""

    def __init__(self, tools: Tools, doors: Database, *, seconds: float) -> None:
        self._tools, self._doors, self._seconds = tools, doors, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(_LONGEST_STOP)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self.round()
            except (CmError, sa.exc.SQLAlchemyError, OSError) as error:
                log.warning("notifications could not be followed", type=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - one bad round must not end all that come
                log.error("a fault of ours while following notifications", type=type(error).__name__)

    def round(self) -> None:
        """Every EMR once; what fails for one stops no other."""
        with self._tools.database.read() as connection:
            slugs = [row.slug for row in connections.list_emrs(connection)]
        for slug in slugs:
            if self._stop.is_set():
                return
            try:
                for what, number in follow(self._tools, self._doors, slug).items():
                    HINTED.labels(slug, what).inc(number)
            except Busy:
                HINTED.labels(slug, "busy").inc()
            except CmError as error:
                log.warning("notifications of an EMR could not be followed", type=type(error).__name__)
