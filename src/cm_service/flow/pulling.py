"""How a pull goes on while it goes on: per type what was read, how fast, and about how much time is left."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from cm_service.db import sync
from cm_service.db.engine import Database
from cm_service.flow.landing import TypeReport
from cm_service.flow.tools import Tell

_EVERY = dt.timedelta(seconds=5)  # between two notes in the store
_MINUTE, _HOUR = 60, 3600
Said = dict[str, Any]


class Pulling:
    """Hears of every page. `tell` gets a line for people each time; the store gets all types now and then,
    and whenever one has ended, for whoever asks for the status meanwhile."""

    def __init__(self, db: Database, run_id: int, tell: Tell, clock: Callable[[], dt.datetime]) -> None:
        self._db, self._run, self._tell, self._clock = db, run_id, tell, clock
        self._begun: dict[str, tuple[dt.datetime, int, int]] = {}
        self._noted: dt.datetime | None = None
        self._types: dict[str, Said] = {}

    def __call__(self, report: TypeReport) -> None:
        now = self._clock()
        said = self._types[report.type] = self._said(report, now)
        self._tell(sentence(report.type, said))
        ended = report.status != "reading"
        if ended or self._noted is None or now - self._noted >= _EVERY:
            self._noted = now
            with self._db.write() as connection:
                sync.note_types(connection, self._run, self._types)

    def _said(self, report: TypeReport, now: dt.datetime) -> Said:
        """What an earlier run had read already says nothing of this one's speed."""
        done, total = _steps(report)
        first = (now, report.resources, done)
        begun, had, were = self._begun.setdefault(report.type, first)
        seconds = (now - begun).total_seconds()
        said: Said = {"status": report.status, "pages": report.pages, "resources": report.resources}
        if report.status != "reading" or seconds <= 0:
            return said
        said["per_second"] = round((report.resources - had) / seconds, 1)
        if total:
            said["done"], said["total"] = done, total
            if were < done < total:
                said["seconds_left"] = round((total - done) * seconds / (done - were))
        return said


def _steps(report: TypeReport) -> tuple[int, int]:
    """How far, and of how much: patients, where they are asked about one by one, else resources. 0 of 0
    where nobody knows."""
    if report.patients is not None:
        return len(report.patients) + len(report.failed), report.whom
    return report.resources, report.expected


def sentence(kind: str, said: Said) -> str:
    """One line for people about a type that is being read, or was."""
    parts = [f"{kind}: {said['resources']:,} read"]
    if "per_second" in said:
        parts.append(f"{said['per_second']:,g} a second")
    if "total" in said and said["total"] != said["resources"]:
        parts.append(f"{100 * said['done'] // said['total']} % done" if said["done"] <= said["total"] else "")
    if "seconds_left" in said:
        parts.append(f"about {_time(said['seconds_left'])} left")
    return ", ".join(filter(None, parts))


def _time(seconds: int) -> str:
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
