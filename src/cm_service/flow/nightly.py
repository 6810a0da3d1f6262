"""One night, in order: read, keep, compare, decide, want, write. Read this file first."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

from cm_service.db import connections, ledger
from cm_service.db.engine import Database
from cm_service.errors import EmrError, Misconfigured
from cm_service.fhir.client import FhirClient
from cm_service.flow import departed, evaluate, figures, high_water, intake, notices, passport, subscribing
from cm_service.flow.book import Pace
from cm_service.flow.connection import parameters_of
from cm_service.flow.deliver import Delivery
from cm_service.flow.intents import Change, Known
from cm_service.flow.judge import Night
from cm_service.flow.ours import Json
from cm_service.flow.passport import Examination
from cm_service.flow.plan import plan
from cm_service.flow.plans.context import PlanContext
from cm_service.flow.reconcile import Connected, note_deleted, reconcile
from cm_service.flow.records import Store, Stored
from cm_service.flow.rungs.limited import around_of
from cm_service.flow.sources import Source
from cm_service.flow.tools import DEFAULT_MAX_NEW, NightOptions, Tell, Tools
from cm_service.rules.decision import Decision
from cm_service.rules.view import PatientView

__all__ = [
    "DEFAULT_MAX_NEW",
    "NightOptions",
    "Tools",
    "connected",
    "deliver",
    "lease_of",
    "night",
    "plans_of",
]


def night(tools: Tools, slug: str, options: NightOptions, tell: Tell) -> dict[str, Any]:
    """One night for one EMR; returns the summary of the contract. Raises Busy, and whatever made the
    whole night impossible; holes and refusals make it partial and are named in the summary."""
    with tools.database.lease(lease_of(slug)):
        high_water.check(tools.database, tools.settings.data_dir, slug)
        if high_water.was_lost(tools.database, tools.settings.data_dir, slug):
            with tools.database.write() as connection:
                ledger.note_older_store(connection, slug, now=options.as_of)
        return asyncio.run(_night(tools, slug, options, tell))


def lease_of(slug: str) -> str:
    """What whoever changes what is kept of this EMR must hold."""
    return f"the sync of {slug}"


async def _night(tools: Tools, slug: str, options: NightOptions, tell: Tell) -> dict[str, Any]:
    began, db = time.monotonic(), tools.database
    with db.read() as connection:
        emr = connections.get_emr(connection, slug)
    kind = "folder" if options.source else "pull"
    with figures.Run(db, slug, options.as_of, kind, tools.clock) as run:
        high_water.note(tools.settings.data_dir, slug, run.id)
        with db.write() as connection:
            ledger.sending_becomes_unknown(connection, slug, now=options.as_of)
        async with tools.client(emr) as client:
            beside = Counter[str]()
            exam = passport.examination(
                tools.settings,
                db,
                client,
                emr,
                now=options.as_of,
                saw=lambda shown: beside.update(_compared(tools, emr, options, shown)[0]),
            )
            mark = exam.mark()
            source = await intake.read(tools, emr, client, options, run.id, tell)
            reconciled = await _reconcile(tools, emr, client, options, source)
            gone = departed.note(db, slug, source.roster, as_of=options.as_of)
            plans = plans_of(tools, emr, options, source, tell)
            stored = _keep(db, plans, source)
            if gone:
                stored = stored._replace(held_back={**stored.held_back, departed.ROSTER: gone})
            intake.settle(db, slug, source, held_back=stored.held_back, as_of=options.as_of)
            proof = await intake.proven(tools, client, source, run.id)
            judged = stored.counts + evaluate.evaluate_due(db, plans)
            delivery = await deliver(tools, emr, client, options, exam, tell)
            seen = await _learn(exam, source, delivery)
            reconciled += beside
            told = await _subscribe(tools, emr, client, exam, source, options)
        seconds = time.monotonic() - began
        dry = not may_write(emr, options)
        summary = run.end(source, stored, proof, reconciled, judged, delivery, dry=dry, seconds=seconds)
        notices.collect(db, slug, as_of=options.as_of, summary=summary)
        changes = [*exam.changes(after=mark), *seen]
        return summary | {"passport_changes": changes, "subscriptions": told}


def may_write(emr: Any, options: NightOptions) -> bool:
    return not options.dry_run and emr.write_mode != "dry-run"


async def _reconcile(
    tools: Tools, emr: Any, client: FhirClient, options: NightOptions, source: Source
) -> Counter[str]:
    """What happened to our resources in the EMR since we last looked."""
    counts, seen = _compared(tools, emr, options, source.ours(tools.settings.identifier_base))
    if source.pulled:
        on = connected(tools, emr, options)
        counts += await note_deleted(tools.database, client, on, complete=source.read, seen=seen)
    return counts


def _compared(
    tools: Tools, emr: Any, options: NightOptions, resources: Iterable[Json]
) -> tuple[Counter[str], set[str]]:
    return reconcile(tools.database, connected(tools, emr, options), resources)


def connected(tools: Tools, emr: Any, options: NightOptions) -> Connected:
    """Whose resources are compared with the ledger, by which identifiers."""
    cooloff_days = parameters_of(emr.settings).gx_decline_cooloff_days
    return Connected(emr.slug, tools.settings.identifier_base, cooloff_days, options.as_of)


def _keep(db: Database, plans: Night, source: Source) -> Stored:
    """Records, and at once the decisions and intents of whoever changed."""
    store = Store(
        db,
        plans,
        replaces=source.replaces,
        holes=source.holes,
        whole_for=source.whole_for,
        deleted=source.deleted,
        entangled=source.entangled(),
    )
    stored = store.take(source.reading)
    with db.write() as connection:
        is_complete = source.pulled and "Encounter" in source.replaces
        last = stored.last_stay
        passport.note_stays(connection, plans.emr, last, is_complete=is_complete, now=plans.as_of)
    return stored


def plans_of(tools: Tools, emr: Any, options: NightOptions, source: Source, tell: Tell) -> Night:
    """What judging needs to know, of a whole night or of a few patients."""
    parameters = parameters_of(emr.settings)
    zone = ZoneInfo(emr.timezone)
    with tools.database.read() as connection:
        away = departed.away(connection, emr.slug)

    def planner(view: PatientView, decisions: list[Decision], known: list[Known]) -> list[Change]:
        patient_id = decisions[0].patient
        context = PlanContext(
            identifier_base=tools.settings.identifier_base,
            readable=view.holds,
            write_mode=emr.write_mode,
            practice=emr.practice or "",
            owner=emr.owner or "",
            dq_tasks=parameters.dq_tasks,
            away_since=away.get(patient_id),
        )
        return plan(
            emr=context,
            patient_id=patient_id,
            decisions=decisions,
            view=view,
            known=known,
            as_of=options.as_of,
            zone=zone,
        )

    return Night(
        emr=emr.slug,
        as_of=options.as_of,
        zone=zone,
        parameters=parameters,
        unread=source.unread,
        refused=source.refused,
        planner=planner,
        planned_for=(emr.write_mode, emr.practice or "", emr.owner or ""),
        stale=intake.stale(tools.database, emr.slug, source),
        store=may_write(emr, options),
        progress=tell,
    )


async def deliver(
    tools: Tools,
    emr: Any,
    client: FhirClient,
    options: NightOptions,
    exam: Examination,
    tell: Tell,
    *,
    only: frozenset[str] | None = None,
) -> Delivery | None:
    """What waits, for `only` these patients if given; None where nothing may be written."""
    if not may_write(emr, options):
        return None
    delivery = Delivery(
        db=tools.database,
        client=client,
        emr=emr.slug,
        now=options.as_of,
        examination=exam,
        pace=Pace(tools.clock, dt.timedelta(seconds=tools.settings.unknown_quiet_seconds), tools.sleep),
        progress=tell,
        around=around_of(emr, base=tools.settings.identifier_base, now=options.as_of),
    )
    await delivery.run(max_new=options.max_new, only=only)
    return delivery


async def _subscribe(
    tools: Tools, emr: Any, client: FhirClient, exam: Examination, source: Source, options: NightOptions
) -> list[str]:
    """Look after our Subscriptions, where the operator wants any; sentences for him."""
    if tools.notify_secret is None or not source.pulled or not may_write(emr, options) or emr.paused_at:
        return []
    try:
        want = subscribing.wanted(emr, tools.settings.public_url, tools.notify_secret, now=options.as_of)
    except Misconfigured as error:
        return [f"no Subscription was looked after: {error}"]
    return [] if want is None else await subscribing.keep(tools.database, client, emr, exam.profile, want)


async def _learn(exam: Examination, source: Source, delivery: Delivery | None) -> list[str]:
    """What this night shows of the EMR, and the weekly look at it. An EMR that has had enough by now
    costs nobody the night: then it is asked in the next one."""
    has_asked = source.pulled or (delivery is not None and delivery.has_asked)
    if not has_asked:
        return []
    try:
        if delivery is not None:  # also of one that was stopped: the next look is too late to tell anything
            await exam.fresh(delivery.book.fresh)
            if delivery.stopped_by:
                return []
        await exam.if_due(may_write=delivery is not None and not delivery.book.is_paused)
        exam.throttled()
    except EmrError as error:
        return [f"the passport could not be checked: {error}"]
    return []
