"""Who is due, what was decided about them, and what they declined."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from cm_service.db.confidential import Cleared, joined, readable
from cm_service.db.sync import Rows, chunks, upsert
from cm_service.db.tables import DecisionRow, DeclineRow, Record


def due_survivors(
    connection: sa.Connection,
    emr: str,
    *,
    as_of: dt.datetime,
    evaluated_by: str,
    everybody: bool = False,
) -> list[str]:
    """Patients to evaluate: a changed record, time that has come, or another set of rules."""
    due = sa.or_(Record.due, Record.stable_until <= as_of, Record.evaluated_by != evaluated_by)
    statement = sa.select(Record.survivor).where(Record.emr == emr).distinct().order_by(Record.survivor)
    return list(connection.scalars(statement if everybody else statement.where(due)))


def mark_all_due(connection: sa.Connection, emr: str) -> None:
    connection.execute(sa.update(Record).where(Record.emr == emr).values(due=True))


def mark_due(connection: sa.Connection, emr: str, patient_ids: Iterable[str]) -> None:
    """Those patients, and everybody who is one person with them, are judged again."""
    for part in chunks(patient_ids):
        groups = sa.select(Record.survivor).where(Record.emr == emr, Record.patient_id.in_(part))
        touched = sa.or_(Record.survivor.in_(groups), Record.survivor.in_(part))
        connection.execute(sa.update(Record).where(Record.emr == emr, touched).values(due=True))


def mark_evaluated(connection: sa.Connection, emr: str, rows: Rows) -> None:
    """Rows of {"of", "until", "by"}: the group of survivor `of` is judged and good until `until`."""
    statement = (
        sa.update(Record)
        .where(Record.emr == emr, Record.survivor == sa.bindparam("of"))
        .values(due=False, stable_until=sa.bindparam("until"), evaluated_by=sa.bindparam("by"))
    )
    connection.execute(statement, list(rows))


def decisions_of(
    connection: sa.Connection, emr: str, patient_ids: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """patient -> rule -> row (digest, line, outcome, changed_at, labels, and what others are shown)."""
    found: dict[str, dict[str, Any]] = {}
    for part in chunks(patient_ids):
        statement = sa.select(
            DecisionRow.patient_id,
            DecisionRow.rule,
            DecisionRow.digest,
            DecisionRow.line,
            DecisionRow.outcome,
            DecisionRow.changed_at,
            DecisionRow.labels,
            DecisionRow.others_outcome,
            DecisionRow.others_line,
        ).where(DecisionRow.emr == emr, DecisionRow.patient_id.in_(part))
        for row in connection.execute(statement):
            found.setdefault(row.patient_id, {})[row.rule] = row
    return found


class Shown(NamedTuple):
    """One decision as somebody may see it."""

    rule: str
    outcome: str
    line: bytes


def shown(rows: Mapping[str, Any], cleared: Cleared) -> list[Shown]:
    """Of one patient, in the order of the rules' names: what is under labels that are not cleared as it
    reads without them, or not at all."""
    found = []
    for rule, row in sorted(rows.items()):
        if readable(row.labels, cleared):
            found.append(Shown(rule, row.outcome, row.line))
        elif row.others_line is not None:
            found.append(Shown(rule, row.others_outcome, row.others_line))
    return found


def labels_of_person(rows: Mapping[str, Any]) -> str:
    """The labels under which somebody is as a whole: nothing is left for others."""
    hidden = all(row.labels and row.others_line is None for row in rows.values())
    return joined(*(row.labels for row in rows.values())) if hidden else ""


def save_decisions(connection: sa.Connection, rows: Rows) -> None:
    upsert(connection, DecisionRow, rows)


def drop_decisions(connection: sa.Connection, emr: str, patient_ids: Iterable[str]) -> None:
    for part in chunks(patient_ids):
        connection.execute(
            sa.delete(DecisionRow).where(DecisionRow.emr == emr, DecisionRow.patient_id.in_(part))
        )


def count_outcomes(connection: sa.Connection, emr: str) -> dict[str, int]:
    statement = (
        sa.select(DecisionRow.outcome, sa.func.count())
        .where(DecisionRow.emr == emr)
        .group_by(DecisionRow.outcome)
    )
    return {row.outcome: int(row[1]) for row in connection.execute(statement)}


def declines_of(
    connection: sa.Connection, emr: str, patient_ids: Iterable[str]
) -> dict[str, list[tuple[str, dt.datetime]]]:
    """patient -> [(id of our record, until)]."""
    found: dict[str, list[tuple[str, dt.datetime]]] = {}
    for part in chunks(patient_ids):
        statement = sa.select(DeclineRow.patient_id, DeclineRow.id, DeclineRow.until).where(
            DeclineRow.emr == emr, DeclineRow.patient_id.in_(part)
        )
        for row in connection.execute(statement):
            found.setdefault(row.patient_id, []).append((f"decline/{row.id}", row.until))
    return found


def any_patient(connection: sa.Connection, emr: str) -> str | None:
    """One whose record we hold, the same one as long as we hold it."""
    return connection.scalar(sa.select(sa.func.min(Record.survivor)).where(Record.emr == emr))


def patients_after(connection: sa.Connection, emr: str, after: str, limit: int) -> list[str]:
    """Part of `patients`, in the order of their ids."""
    statement = sa.select(DecisionRow.patient_id).where(
        DecisionRow.emr == emr, DecisionRow.patient_id > after
    )
    return list(connection.scalars(statement.distinct().order_by(DecisionRow.patient_id).limit(limit)))


def patients(connection: sa.Connection, emr: str) -> list[str]:
    """Everybody about whom something was decided."""
    statement = sa.select(DecisionRow.patient_id).where(DecisionRow.emr == emr).distinct()
    return list(connection.scalars(statement))
