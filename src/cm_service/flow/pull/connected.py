"""A row of `emr` and what its passport says, as a pull needs them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from cm_service.db import cursors, ledger, sync
from cm_service.db.sealed import Sealer
from cm_service.fhir.vendor import Answer, Verb
from cm_service.flow.connection import concept_map_of
from cm_service.flow.passport.standing import Passport, State
from cm_service.flow.pull.reach import reaches
from cm_service.flow.pull.roster import listed
from cm_service.flow.pull.search import BY_ID
from cm_service.flow.pull.source import Key, Source
from cm_service.flow.wanted import CODED, REFERENCED, WHOLE

OURS = frozenset({"CarePlan", "Goal", "Task"})
WEEKLY = dt.timedelta(days=7)  # everything is read once in so long: no search tells what was deleted


def source_of(
    connection: sa.Connection,
    emr: Any,
    passport: Passport,
    *,
    now: dt.datetime,
    full: bool = False,
    sealer: Sealer | None = None,
) -> Source:
    """`full` asks for everything and not only what changed. Raises BadInput for a roster file that cannot
    be used."""
    paging = passport.profile.paging
    return Source(
        slug=emr.slug,
        concept_map=concept_map_of(emr.settings),
        named=tuple(filter(None, (emr.practice, emr.owner))),
        reach=reaches(passport),
        listed=listed(emr.roster),
        group=emr.group_id,
        panel=tuple(sorted(sync.held_records(connection, emr.slug))),
        count=paging.count,
        snapshots=paging.snapshot == Answer.YES,
        now=now,
        cursors={} if full else _cursors(connection, emr.slug, now),
        known=_known(connection, emr.slug),
        sealer=sealer,
        history=frozenset(
            kind
            for kind in (*WHOLE, *CODED)
            if passport.effective(kind, Verb.HISTORY).state != State.DISPROVEN
        ),
    )


def _cursors(connection: sa.Connection, emr: str, now: dt.datetime) -> dict[Key, dt.datetime]:
    """All that is asked of a type and patient is read whole in the same night, so that what is missing
    then can be told to be gone."""
    rows = [row for row in cursors.of_emr(connection, emr) if row.query != BY_ID]
    due = {(row.type, row.patient_id) for row in rows if row.whole_at is None or row.whole_at <= now - WEEKLY}
    return {
        (row.type, row.query, row.patient_id): row.value
        for row in rows
        if row.value is not None and (row.type, row.patient_id) not in due
    }


def _known(connection: sa.Connection, emr: str) -> dict[str, tuple[str, ...]]:
    """Places and specimens in use, and what we wrote."""
    keys = sync.keys_of(connection, emr, REFERENCED)
    for row in ledger.outline(connection, emr):
        if row.kind in OURS and row.reference and not row.deleted:
            keys.setdefault(row.kind, []).append(row.reference.partition("/")[2])
    return {kind: tuple(sorted(ids)) for kind, ids in keys.items()}
