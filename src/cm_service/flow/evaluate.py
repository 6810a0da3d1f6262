"""Records -> decisions -> intents for those who are due though nothing of theirs was read anew: time has
come, the rules or settings changed, or somebody was merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container

import sqlalchemy as sa

from cm_service.db import care, sync
from cm_service.db.engine import Database
from cm_service.flow import record
from cm_service.flow.judge import Group, Judge, Night

BATCH = 25  # patients per transaction: short enough to block nobody, long enough to be quick


def evaluate_due(db: Database, night: Night, *, only: Container[str] | None = None) -> Counter[str]:
    """Judge everybody who is due, in one transaction per batch; a dry run judges everybody, since it
    leaves nothing behind that could be counted. With `only`, nobody else."""
    by = night.evaluated_by
    with db.read() as connection:
        due = care.due_survivors(
            connection, night.emr, as_of=night.as_of, evaluated_by=by, everybody=not night.store
        )
        due = [who for who in due if only is None or who in only]
        held = sync.held_places(connection, night.emr) if due else {}
    judge = Judge(night, {key: record.decode_one(fact) for key, fact in held.items()})
    for start in range(0, len(due), BATCH):
        with db.write() if night.store else db.read() as connection:
            good = judge.judge(connection, _groups(connection, night.emr, due[start : start + BATCH]))
            if night.store:
                rows = [{"of": who, "until": until, "by": by} for who, until in good.items()]
                care.mark_evaluated(connection, night.emr, rows)
        night.progress(f"{min(start + BATCH, len(due))} of {len(due)} patients judged")
    return judge.counts


def _groups(connection: sa.Connection, emr: str, survivors: list[str]) -> list[Group]:
    groups: dict[str, Group] = {}
    for row in sync.load_group(connection, emr, survivors):
        group = groups.setdefault(row.survivor, Group(row.survivor, {}, {}))
        group.members[row.patient_id] = record.decode(row.facts)  # type: ignore[index]
        group.holes[row.patient_id] = row.holes  # type: ignore[index]
    return list(groups.values())
