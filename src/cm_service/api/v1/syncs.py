"""Nights over HTTP: start one, see how it goes, stop it. One at a time per EMR, as everywhere."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import Field

from cm_service.api.doorway import doorway
from cm_service.api.security.guard import needs
from cm_service.api.v1 import parts
from cm_service.api.v1.parts import RowId, Slug
from cm_service.api.v1.schemas import In, Instant, Out
from cm_service.db import sync
from cm_service.errors import Lost
from cm_service.flow.nightly import DEFAULT_MAX_NEW, NightOptions

router = parts.router("syncs")


class SyncIn(In):
    as_of: Instant | None = None
    full: bool = False
    dry_run: bool = False
    max_new: int = Field(default=DEFAULT_MAX_NEW, ge=0, le=100_000)


class SyncStarted(Out):
    emr: str
    status: str


class SyncOut(Out):
    id: int
    emr: str
    as_of: dt.datetime
    started_at: dt.datetime
    ended_at: dt.datetime | None
    status: str
    types: dict[str, Any]
    figures: dict[str, Any]


class SyncsOut(Out):
    items: list[SyncOut]


@router.post("/emrs/{emr}/syncs", status_code=202, summary="Start a night; 409 while another one runs")
@needs("Endpoint", "u")
def start(request: Request, emr: Slug, body: SyncIn) -> SyncStarted:
    door = doorway(request)
    with door.store.read() as connection:
        parts.emr_row(connection, emr)
    options = NightOptions(
        as_of=body.as_of or door.clock(), full=body.full, dry_run=body.dry_run, max_new=body.max_new
    )
    door.nights.start(emr, options)
    return SyncStarted(emr=emr, status="running")


@router.get("/emrs/{emr}/syncs", summary="The last nights, newest first")
@needs("Endpoint", "s")
def syncs_(request: Request, emr: Slug, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> SyncsOut:
    with doorway(request).store.read() as connection:
        parts.emr_row(connection, emr)
        rows = sync.recent_runs(connection, emr, limit)
    return SyncsOut(items=[SyncOut.model_validate(row) for row in rows])


@router.get("/emrs/{emr}/syncs/{sync}", summary="One night: its figures, and how each type was read")
@needs("Endpoint", "r")
def sync_(request: Request, emr: Slug, sync: RowId) -> SyncOut:
    return SyncOut.model_validate(_run(request, emr, sync))


@router.post("/emrs/{emr}/syncs/{sync}/stop", status_code=202, summary="Stop a night that this service runs")
@needs("Endpoint", "u")
def stop(request: Request, emr: Slug, sync: RowId) -> SyncOut:
    row = _run(request, emr, sync)
    if row["status"] == "running":
        doorway(request).nights.stop(emr)
    return SyncOut.model_validate(row)


def _run(request: Request, emr: str, run_id: int) -> dict[str, Any]:
    with doorway(request).store.read() as connection:
        parts.emr_row(connection, emr)
        row = sync.run(connection, emr, run_id)
    if row is None:
        raise Lost("there is nothing here under this name")
    return row
