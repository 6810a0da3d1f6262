"""One night, in order: read, keep, compare, decide, want, write. Read this file first."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from cm_service.db import connections, ledger
from cm_service.db.engine import Database
from cm_service.errors import CmError
from cm_service.fhir.client import FhirClient
from cm_service.flow import evaluate, figures, sources
from cm_service.flow.connection import concept_map_of, parameters_of
from cm_service.flow.deliver import Delivery
from cm_service.flow.people import Surroundings
from cm_service.flow.plan import PlanContext, plan
from cm_service.flow.reconcile import note_deleted, reconcile
from cm_service.flow.records import Store

DEFAULT_MAX_NEW = 50
Tell = Callable[[str], None]


class Tools(NamedTuple):
    """What the night needs of the process; built by `wiring`."""

    database: Database
    client: Callable[[Any], AbstractAsyncContextManager[FhirClient]]
    now: Callable[[], dt.datetime]
    identifier_base: str
    data_dir: Path
    max_line_bytes: int
    keep_landing_runs: int


class NightOptions(NamedTuple):
    """`source` is a folder in place of a pull; `max_new` None means no limit."""

    as_of: dt.datetime
    source: Path | None = None
    full: bool = False
    dry_run: bool = False
    max_new: int | None = DEFAULT_MAX_NEW


def night(tools: Tools, slug: str, options: NightOptions, tell: Tell) -> dict[str, Any]:
    """One night for one EMR; returns the summary of the contract. Raises Busy, and whatever made the
    whole night impossible; holes and refusals make it partial and are named in the summary."""
    with tools.database.lease(f"the sync of {slug}"):
        return asyncio.run(_night(tools, slug, options, tell))


async def _night(tools: Tools, slug: str, options: NightOptions, tell: Tell) -> dict[str, Any]:
    began = time.monotonic()
    db = tools.database
    with db.read() as connection:
        emr = connections.get_emr(connection, slug)
    run = figures.Run(db, slug, options.as_of, tools.now)
    with run, db.write() as connection:
        ledger.sending_becomes_unknown(connection, slug, now=options.as_of)
    with run:
        async with tools.client(emr) as client:
            reading = await sources.read(tools, emr, client, options, run.id, tell)
            store = Store(db, slug, replaces=reading.replaces, holes=reading.holes, progress=tell)
            stored = store.take(reading.patients(), reading.places)
            counts, seen = reconcile(
                db,
                emr=slug,
                identifier_base=tools.identifier_base,
                resources=reading.ours(tools.identifier_base),
                cooloff_days=parameters_of(emr.settings).gx_decline_cooloff_days,
                now=options.as_of,
            )
            if reading.pulled:
                complete = reading.replaces - stored.held_back
                counts["deleted"] = await note_deleted(
                    db, client, emr=slug, complete=complete, seen=seen, now=options.as_of
                )
            judged = evaluate.evaluate_due(db, _evaluation(tools, emr, options, reading, tell))
            delivery = None
            if _may_write(emr, options):
                delivery = await _deliver(tools, emr, client, options, tell)
        return run.end(reading, stored, counts, judged, delivery, seconds=time.monotonic() - began)
    raise AssertionError("unreachable: `run` re-raises")


def _may_write(emr: Any, options: NightOptions) -> bool:
    return not options.dry_run and emr.write_mode != "dry-run"


def _evaluation(
    tools: Tools, emr: Any, options: NightOptions, reading: sources.Source, tell: Tell
) -> evaluate.Night:
    zone = ZoneInfo(emr.timezone)
    parameters = parameters_of(emr.settings)
    context = PlanContext(
        identifier_base=tools.identifier_base,
        readable=reading.readable,
        write_mode=emr.write_mode,
        practice=emr.practice or "",
        owner=emr.owner or "",
        dq_tasks=parameters.dq_tasks,
    )
    return evaluate.Night(
        emr=emr.slug,
        as_of=options.as_of,
        zone=zone,
        around=Surroundings(parameters, reading.places, reading.unread, reading.refused),
        planner=lambda view, decisions, known: plan(
            emr=context,
            patient_id=view.patient.id,  # type: ignore[union-attr]
            decisions=decisions,
            view=view,
            known=known,
            as_of=options.as_of,
            zone=zone,
        ),
        store=_may_write(emr, options),
        progress=tell,
    )


async def _deliver(
    tools: Tools, emr: Any, client: FhirClient, options: NightOptions, tell: Tell
) -> Delivery:
    delivery = Delivery(db=tools.database, client=client, emr=emr.slug, now=options.as_of, progress=tell)
    try:
        await delivery.run(max_new=options.max_new)
    except CmError as error:
        delivery.stopped_by = str(error)
    return delivery


__all__ = ["DEFAULT_MAX_NEW", "NightOptions", "Tools", "concept_map_of", "night"]
