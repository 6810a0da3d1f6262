"""Reading for one night: from the EMR or from a folder, and, when the store has it, how far it was read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec

from cm_service.db import cursors
from cm_service.db.engine import Database
from cm_service.db.sealed import Sealer
from cm_service.fhir.client import FhirClient
from cm_service.fhir.vendor import Answer, Profile
from cm_service.flow import landing, passport, pull
from cm_service.flow.connection import concept_map_of
from cm_service.flow.landing import Point
from cm_service.flow.people import Stale
from cm_service.flow.proof import Proof, prove
from cm_service.flow.pull.connected import source_of
from cm_service.flow.pull.export_plan import ExportPlan, Jobs, path_of, types_of
from cm_service.flow.pulling import Pulling
from cm_service.flow.sources import Source, from_folder, from_pull
from cm_service.flow.tools import NightOptions, Tell, Tools

_YOUNG = dt.timedelta(hours=12)  # a pull that was killed longer ago is of another night
_NAME = "%Y%m%dT%H%M%S%f"


async def read(
    tools: Tools, emr: Any, client: FhirClient, options: NightOptions, run_id: int, tell: Tell
) -> Source:
    """Pull the EMR into a landing folder, or take the folder that was given."""
    limit = tools.settings.max_line_bytes
    if options.source is not None:
        tell(f"reading {options.source.name}")
        return from_folder(
            options.source,
            base_url=emr.base_url,
            concept_map=concept_map_of(emr.settings),
            max_line_bytes=limit,
            full=options.full,
        )
    report, folder, asked = await _pull(tools, emr, client, options, run_id, tell)
    return from_pull(report, folder, asked, base_url=emr.base_url, max_line_bytes=limit)


async def _pull(
    tools: Tools, emr: Any, client: FhirClient, options: NightOptions, run_id: int, tell: Tell
) -> tuple[landing.PullReport, Path, pull.Source]:
    profile = passport.profile_of(tools.settings, emr)
    sealer = tools.sealer() if tools.sealer else None
    with tools.database.read() as connection:
        known = passport.load(connection, emr.slug, profile)
        asked = source_of(
            connection,
            emr,
            known,
            now=options.as_of,
            full=options.full,
            sealer=sealer,
        )
    asked = msgspec.structs.replace(asked, export=_export(tools, emr, profile, sealer))
    folder = _folder(tools, emr.slug, client, asked, run_id)
    try:
        progress = Pulling(tools.database, run_id, tell, tools.clock)
        report = await pull.pull(client, asked, folder, progress=progress)
    finally:  # an EMR that fails night after night must not fill the disk
        landing.prune(folder.parent, keep=tools.settings.keep_landing_runs)
    with tools.database.write() as connection:
        passport.note_pull(connection, report, now=options.as_of)
    return report, folder, asked


def _export(tools: Tools, emr: Any, profile: Profile, sealer: Sealer | None) -> ExportPlan | None:
    """An export needs a place for its address, and so a key."""
    path = path_of(emr, profile)
    if path is None or sealer is None:
        return None
    return ExportPlan(
        path=path,
        types=types_of(profile),
        incremental=profile.bulk.since != Answer.NO,
        filtered=profile.bulk.type_filter == Answer.YES,
        jobs=Jobs(tools.database, emr.slug, sealer),
        wait_seconds=tools.settings.export_wait_seconds,
        clock=tools.clock,
        sleep=tools.sleep,
    )


def _folder(tools: Tools, slug: str, client: FhirClient, asked: pull.Source, run_id: int) -> Path:
    """That of a run which was killed, if it asked for the same a short while ago; else a new one. The
    moment is in its name, because a new store counts its runs from 1 beside old folders."""
    home, now = landing.run_folder(tools.settings.data_dir, slug, ""), tools.clock()
    left = landing.left_behind(home)
    if left is not None and _is_young(left, now) and pull.can_go_on(client, asked, left):
        return left
    return home / f"{now:{_NAME}}-{run_id}"


def _is_young(folder: Path, now: dt.datetime) -> bool:
    try:
        begun = dt.datetime.strptime(folder.name.partition("-")[0], _NAME).replace(tzinfo=dt.UTC)
    except ValueError:
        return False
    return begun <= now < begun + _YOUNG


def stale(db: Database, emr: str, source: Source) -> Stale:
    """What was read to its end in an earlier night, and not in this one."""
    with db.read() as connection:
        rows = cursors.of_emr(connection, emr) if source.pulled else []
    types = frozenset(row.type for row in rows) & source.unread
    of_patients: dict[str, frozenset[str]] = {}
    for row in rows:
        if row.patient_id and row.patient_id not in source.of_whom.get(row.type, {row.patient_id}):
            of_patients[row.patient_id] = of_patients.get(row.patient_id, frozenset()) | {row.type}
    return Stale(types, of_patients)


async def proven(tools: Tools, client: FhirClient, source: Source, run_id: int) -> Proof:
    """Whether a sample, read again, is as the store has it; nothing to prove where nothing was pulled."""
    if source.asked is None or not source.read or tools.settings.sample_most == 0:
        return Proof()
    return await prove(
        tools.database,
        client,
        source.asked,
        source,
        seed=f"{source.asked.slug}-{run_id}",
        most=tools.settings.sample_most,
        limit=tools.settings.max_line_bytes,
    )


def settle(db: Database, emr: str, source: Source, *, held_back: Collection[str], as_of: dt.datetime) -> None:
    """The store has taken it in: move the cursors of what was read to the end and could all be used. What
    a folder brought may be older than what the EMR holds, so then the next pull reads everything."""
    with db.write() as connection:
        if not source.pulled:
            cursors.read_whole_again(connection, emr)
            return
        known = {(row.type, row.query, row.patient_id): row for row in cursors.of_emr(connection, emr)}
        rows = [
            _row(point, known.get((point.type, point.query, point.patient)), as_of)
            for point in _proven(source)
            if point.type not in held_back
        ]
        cursors.replace(connection, emr, rows)
    if source.folder is not None:
        landing.mark_taken(source.folder)


def _row(point: Point, known: Any, as_of: dt.datetime) -> dict[str, Any]:
    return {
        "type": point.type,
        "query": point.query,
        "patient_id": point.patient,
        "value": point.cursor,
        "as_of": min(as_of, point.as_of or as_of),
        "whole_at": as_of if point.full else known.whole_at if known is not None else None,
    }


def _proven(source: Source) -> Iterator[Point]:
    """Points of searches of which no line is in quarantine."""
    spoiled = {
        (kind, reject.patient_id)
        for reject in source.rejects
        if reject.is_hole
        for kind in (reject.type, Path(reject.file).stem)
    }
    types = {kind for kind, _ in spoiled}
    everybodys = {kind for kind, who in spoiled if who is None}
    for point in source.points:
        bad = point.type in (everybodys if point.patient else types)
        if not bad and (point.type, point.patient) not in spoiled and point.type not in source.unread:
            yield point
