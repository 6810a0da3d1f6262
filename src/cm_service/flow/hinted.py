"""What notifications lead to: the patients they are about are read again from the EMR, whole, judged, and
what follows goes out; so does what was held until its act could no longer be undone.

A hint decides nothing. It is given up to the night where the EMR cannot be asked about one patient; and it
moves no cursor and proves nothing: the night reads all of it once more.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from cm_service.db import connections, hints, holds, ledger, sync
from cm_service.db.engine import Database
from cm_service.errors import EmrError, EmrRefused, FilterDropped, IncompleteAnswer
from cm_service.fhir import rawjson
from cm_service.fhir.client import FhirClient
from cm_service.fhir.values import References
from cm_service.flow import evaluate, high_water, landing, passport, pull, record
from cm_service.flow.nightly import NightOptions, Tools, connected, deliver, lease_of, plans_of
from cm_service.flow.normalise import OWNED
from cm_service.flow.ours import KINDS as OUR_KINDS
from cm_service.flow.pull.connected import source_of
from cm_service.flow.pull.source import Reach
from cm_service.flow.reconcile import reconcile
from cm_service.flow.records import Store
from cm_service.flow.sources import Source, from_pull
from cm_service.flow.wanted import WHOLE

FOLLOWED = frozenset(OWNED) | frozenset(OUR_KINDS)
AGAIN = dt.timedelta(minutes=2)  # doubled with every try
TRIES = 5
HELD_AGAIN = dt.timedelta(minutes=15)
_OVERLAP = dt.timedelta(minutes=10)
_MOST_PAGES = 20
_SUBJECTS = ("subject", "patient", "beneficiary", "for")


class Found(NamedTuple):
    """`patients` to read, the hints that this serves, and those that nothing is to be done about."""

    patients: frozenset[str]
    rows: tuple[Any, ...]
    done: tuple[Any, ...]


def follow(tools: Tools, doors: Database, slug: str) -> Counter[str]:
    """Follow the hints of one EMR that are due, and send what is held no longer. Raises Busy while a night
    reads it: then they stay due."""
    now = tools.clock()
    with doors.read() as connection:
        due = hints.due(connection, slug, now=now, most=tools.settings.hint_patients)
    with tools.database.read() as connection:
        free = holds.over(connection, slug, now=now)
        last = sync.last_pull(connection, slug)
    if last is None and due:  # who is in the panel, and what this EMR tells, a night must find first
        _finish(doors, due)
        due = []
    if not due and not free:
        return Counter()
    with tools.database.lease(lease_of(slug)):
        high_water.check(tools.database, tools.settings.data_dir, slug)
        return asyncio.run(_follow(tools, doors, slug, due=due, free=free, last=last, now=now))


async def _follow(
    tools: Tools, doors: Database, slug: str, *, due: list[Any], free: list[Any], last: Any, now: dt.datetime
) -> Counter[str]:
    with tools.database.read() as connection:
        emr = connections.get_emr(connection, slug)
    with tools.database.write() as connection:
        ledger.sending_becomes_unknown(connection, slug, now=now)
    options, counts = NightOptions(as_of=now), Counter[str]()
    async with tools.client(emr) as client:
        found = Found(frozenset(), (), ())
        try:
            found = await _whose(tools, doors, client, slug, due, last=last, now=now)
            if found.patients:
                await _read_again(tools, emr, client, found.patients, options, last)
            late = _not_shown(tools.database, slug, found.rows)
            _put_off(doors, late, now)
            _finish(doors, [row for row in (*found.rows, *found.done) if row not in late])
        except EmrError:
            counts["failed"] = len(due)
            _put_off(doors, due, now)
        exam = passport.examination(tools.settings, tools.database, client, emr, now=now)
        only = found.patients | {row.patient_id for row in free}
        delivery = await _deliver(tools, emr, client, options, exam, only)
    _hold_again(tools.database, slug, now)
    counts["patients"] += len(found.patients)
    counts["dropped"] += len(found.done)
    counts["written"] += delivery
    return counts


async def _deliver(
    tools: Tools, emr: Any, client: FhirClient, options: NightOptions, exam: Any, only: frozenset[str]
) -> int:
    if not only:
        return 0
    delivery = await deliver(tools, emr, client, options, exam, lambda _text: None, only=only)
    return delivery.book.figures["written"] if delivery else 0


def _hold_again(db: Database, slug: str, now: dt.datetime) -> None:
    """What could not go, whatever kept it, is not tried in every round."""
    with db.write() as connection:
        for row in holds.over(connection, slug, now=now):
            holds.hold(connection, row.id, until=now + HELD_AGAIN)


# --- whom it is about


async def _whose(
    tools: Tools,
    doors: Database,
    client: FhirClient,
    slug: str,
    due: list[Any],
    *,
    last: Any,
    now: dt.datetime,
) -> Found:
    """Only what the EMR itself says when it is asked; a notification may be forged."""
    patients, rows, done = set[str](), list[Any](), list[Any]()
    for row in due:
        if row.key == hints.LOOK:
            found = set[str]()
            keys = await _look(tools.database, client, slug, since=last.as_of - _OVERLAP)
            with doors.write() as connection:
                hints.add(connection, slug, keys, now=now, wait=dt.timedelta())
        else:
            found = await _patient_of(tools.database, client, slug, row.key)
        patients |= found
        (rows if found else done).append(row)
    with tools.database.read() as connection:
        held = sync.held_records(connection, slug)
    survivors = {held[who].survivor for who in patients if who in held}
    mates = {who for who, each in held.items() if each.survivor in survivors}
    return Found(frozenset(patients | mates), tuple(rows), tuple(done))


async def _patient_of(db: Database, client: FhirClient, slug: str, key: str) -> set[str]:
    """The patient of what is there now, and whose it was before; nobody where it is our own last write."""
    kind, _, id_ = key.partition("/")
    with db.read() as connection:
        owner = sync.owners(connection, slug, [key]).get(key)
        ours = ledger.holder(connection, slug, key)
    before = {owner} if owner else {ours.patient_id} if ours else set()
    try:
        resource = await client.read(kind, id_)
    except EmrRefused as refusal:
        if refusal.status in (404, 410):
            return before
        raise
    version = (resource.get("meta") or {}).get("versionId")
    if ours is not None and version is not None and ours.version == version:
        return set()
    if kind == "Patient":
        return {id_}
    return before | _subject(resource, References(client.base_url))


def _subject(resource: dict[str, Any], references: References) -> set[str]:
    for name in _SUBJECTS:
        said = resource.get(name)
        text = said.get("reference") if isinstance(said, dict) else None
        if isinstance(text, str) and (patient := references.patient(text)):
            return {patient}
    return set()


async def _look(db: Database, client: FhirClient, slug: str, *, since: dt.datetime) -> list[str]:
    """Stays that changed since the last night and are not held as they are now: what brings somebody home
    is what cannot wait. None where the EMR cannot be asked that."""
    params = [("_lastUpdated", f"ge{since.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"), ("_count", "200")]
    keys, pages = list[str](), 0
    try:
        async with aclosing(client.search("Encounter", params)) as answers:
            async for page in answers:
                pages += 1
                keys += _news(db, slug, [rawjson.loads(line) for line in page.resources])
                if pages == _MOST_PAGES:
                    break
    except (EmrRefused, FilterDropped):
        return []
    return keys


def _news(db: Database, slug: str, stays: list[dict[str, Any]]) -> list[str]:
    versions = {f"Encounter/{each.get('id')}": (each.get("meta") or {}).get("versionId") for each in stays}
    with db.read() as connection:
        owners = sync.owners(connection, slug, versions)
        records = sync.load_facts(connection, slug, set(owners.values()))
    facts = {key: fact for each in records.values() for key, fact in record.decode(each).items()}
    return [
        key
        for key, version in versions.items()
        if version is None or key not in facts or facts[key].version != version
    ]


# --- reading them again


async def _read_again(
    tools: Tools, emr: Any, client: FhirClient, patients: frozenset[str], options: NightOptions, last: Any
) -> None:
    """The road of the night, for a few patients. Raises IncompleteAnswer where less could be read of them
    than the night reads of everybody."""
    home = landing.run_folder(tools.settings.data_dir, emr.slug, "").with_name(f"{emr.slug}~hints")
    shutil.rmtree(home, ignore_errors=True)
    try:
        source = await _pull(tools, emr, client, patients, options, home)
        _keep(tools, emr, source, patients, options, last)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _keep(
    tools: Tools, emr: Any, source: Source, patients: frozenset[str], options: NightOptions, last: Any
) -> None:
    whole = {kind for kind, said in last.types.items() if said["status"] == "complete"}
    if whole - source.read:
        raise IncompleteAnswer("less can be read of one patient than of all")
    on = connected(tools, emr, options)
    reconcile(tools.database, on, source.ours(on.base))
    plans = plans_of(tools, emr, options, source, lambda _text: None)
    store = Store(
        tools.database,
        plans,
        replaces=source.replaces & source.whole_for.keys(),
        holes=source.holes,
        whole_for=source.whole_for,
        entangled=source.entangled(),
        only=patients,
    )
    store.take(source.reading)
    evaluate.evaluate_due(tools.database, plans, only=patients)


async def _pull(
    tools: Tools,
    emr: Any,
    client: FhirClient,
    patients: frozenset[str],
    options: NightOptions,
    folder: Path,
) -> Source:
    profile = passport.profile_of(tools.settings, emr)
    with tools.database.read() as connection:
        known = passport.load(connection, emr.slug, profile)
        asked = source_of(connection, emr, known, now=options.as_of, full=True)
    asked = narrowed(asked, patients)
    report = await pull.pull(client, asked, folder, progress=lambda _item: None)
    limit = tools.settings.max_line_bytes
    return from_pull(report, folder, asked, base_url=emr.base_url, max_line_bytes=limit)


def narrowed(asked: pull.Source, patients: Iterable[str]) -> pull.Source:
    """The same pull, of these patients alone."""
    within = {kind: Reach(within_patient=True) for kind in asked.reach}
    return msgspec.structs.replace(
        asked, reach=within, listed=tuple(sorted(patients)), group=None, panel=(), known={}
    )


# --- what becomes of the hints


def _not_shown(db: Database, slug: str, rows: Iterable[Any]) -> list[Any]:
    """Read by its id, but not found by the search that followed: some EMRs index late."""
    keys = [row.key for row in rows if row.key.partition("/")[0] in WHOLE and row.tries < 2]
    with db.read() as connection:
        owners = sync.owners(connection, slug, keys)
    return [row for row in rows if row.key in keys and row.key not in owners]


def _put_off(doors: Database, rows: list[Any], now: dt.datetime) -> None:
    """Try again later, and at last leave it to the night."""
    given_up = [row for row in rows if row.tries + 1 >= TRIES]
    with doors.write() as connection:
        hints.followed(connection, given_up)
        for row in rows:
            if row not in given_up:
                hints.put_off(connection, [row], until=now + AGAIN * 2**row.tries)


def _finish(doors: Database, rows: Iterable[Any]) -> None:
    with doors.write() as connection:
        hints.followed(connection, rows)
