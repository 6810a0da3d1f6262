"""What of an EMR is read by `$export`, and where the address of an export is kept while it is made."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from cm_service.db import exports
from cm_service.db.engine import Database
from cm_service.db.sealed import Sealer
from cm_service.errors import Misconfigured
from cm_service.fhir.vendor import Answer, Profile
from cm_service.flow.wanted import CODED, WHOLE

EXPORT, SYSTEM = "export", "export-system"
WAYS = ("search", EXPORT, SYSTEM)


class Job(NamedTuple):
    """An export that was asked for: `asked` says what of, `since` from when on, `begun` when."""

    url: str
    asked: str
    since: dt.datetime | None
    begun: dt.datetime


class Jobs:
    """Keeps the one export of an EMR, its address sealed."""

    def __init__(self, database: Database, emr: str, sealer: Sealer) -> None:
        self._database, self._emr, self._sealer = database, emr, sealer

    def load(self) -> Job | None:
        with self._database.read() as connection:
            row = exports.of_emr(connection, self._emr)
        if row is None:
            return None
        try:
            return Job(self._sealer.open(row.url), row.asked, row.since, row.begun)
        except Misconfigured:  # an address that no key of ours opens any more leads nowhere
            return None

    def save(self, job: Job) -> None:
        with self._database.write() as connection:
            exports.save(
                connection,
                self._emr,
                url=self._sealer.seal(job.url),
                asked=job.asked,
                since=job.since,
                begun=job.begun,
            )

    def drop(self) -> None:
        with self._database.write() as connection:
            exports.drop(connection, self._emr)


class ExportPlan(NamedTuple):
    """`path` is that of the level: "" (system), "Patient" or "Group/ID"; `types` are those that it covers.
    `incremental`: may `_since` be asked for, `filtered`: may `_typeFilter`? A run waits `wait_seconds` at
    most."""

    path: str
    types: tuple[str, ...]
    incremental: bool
    filtered: bool
    jobs: Jobs
    wait_seconds: float
    clock: Callable[[], dt.datetime]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    @property
    def group(self) -> str | None:
        return self.path.removeprefix("Group/") if self.path.startswith("Group/") else None


def path_of(emr: Any, profile: Profile) -> str | None:
    """The level of the export for this connection, None where it is not read so: what the operator says
    (`pull`), else what the profile says where a Group is named."""
    group = (emr.group_id or "").removeprefix("Group/")
    way = emr.pull
    if way is None and group and profile.bulk.nightly == Answer.YES:
        way = EXPORT
    if way == SYSTEM:
        return ""
    if way != EXPORT:
        return None
    return f"Group/{group}" if group else "Patient"


def types_of(profile: Profile) -> tuple[str, ...]:
    known = profile.bulk.types
    return tuple(name for name in (*WHOLE, *CODED) if not known or name in known)
