"""The worklist: of each patient with open needs the one row that the reader may see, by the indexes that
its pages are sorted by."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from cm_service.db.case_tables import Enrolment, Snooze, WorklistRow
from cm_service.db.confidential import NOTHING, Cleared, all_readable
from cm_service.db.sync import Rows, chunks, upsert


class Filter(NamedTuple):
    """What a page of the worklist shows. `after` is the key of the last row of the page before."""

    emrs: tuple[str, ...]
    status: str | None = None
    care_manager: str | None = None
    rule: str | None = None
    due_before: dt.datetime | None = None
    appointment_from: dt.datetime | None = None
    appointment_before: dt.datetime | None = None
    awake_on: dt.date | None = None  # leaves out whoever is snoozed beyond that day
    after: tuple[int, str, str, str] | None = None  # urgency, due (ISO), emr, patient_id
    limit: int = 50
    by_due: bool = False  # what is due first, before what is urgent
    cleared: Cleared = NOTHING  # the labels that the reader may see


def save(connection: sa.Connection, rows: Rows) -> None:
    upsert(connection, WorklistRow, rows)


def drop(connection: sa.Connection, emr: str, patient_ids: Iterable[str], *, part: int = 0) -> None:
    """Their rows from this part on."""
    for some in chunks(patient_ids):
        mine = (WorklistRow.emr == emr, WorklistRow.patient_id.in_(some), WorklistRow.part >= part)
        connection.execute(sa.delete(WorklistRow).where(*mine))


def of(connection: sa.Connection, emr: str, patient_id: str, *, cleared: Cleared = NOTHING) -> Any | None:
    """What somebody with this clearance sees of one patient."""
    mine = (WorklistRow.emr == emr, WorklistRow.patient_id == patient_id, visible(cleared))
    return connection.execute(sa.select(WorklistRow.__table__).where(*mine)).one_or_none()


def parts(connection: sa.Connection, emr: str, patient_id: str) -> list[Any]:
    """Both parts of one patient, if there are two."""
    mine = (WorklistRow.emr == emr, WorklistRow.patient_id == patient_id)
    return list(connection.execute(sa.select(WorklistRow.__table__).where(*mine).order_by(WorklistRow.part)))


def visible(cleared: Cleared) -> sa.ColumnElement[bool]:
    """Of each patient one row at most."""
    row, mine = WorklistRow, WorklistRow.labels.in_(all_readable(cleared))
    return sa.or_(sa.and_(row.part == 0, mine), sa.and_(row.part == 1, sa.not_(mine)))


def cases_of(
    connection: sa.Connection, emr: str, patient_ids: Iterable[str]
) -> tuple[dict[str, Any], dict[str, dt.date]]:
    """Open enrolments and snoozes, by patient."""
    opened: dict[str, Any] = {}
    asleep: dict[str, dt.date] = {}
    for part in chunks(patient_ids):
        mine = sa.select(Enrolment.__table__).where(
            Enrolment.emr == emr, Enrolment.patient_id.in_(part), Enrolment.status != "closed"
        )
        opened.update({row.patient_id: row for row in connection.execute(mine)})
        snoozed = sa.select(Snooze.patient_id, Snooze.until).where(
            Snooze.emr == emr, Snooze.patient_id.in_(part)
        )
        asleep.update({row.patient_id: row.until for row in connection.execute(snoozed)})
    return opened, asleep


# Nothing due sorts last on both stores, and a row value can be compared with the last one of a page.
FAR = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)


def page(connection: sa.Connection, wanted: Filter) -> list[Any]:
    """Most urgent first, then what is due first, or the other way round with `by_due`. Rows of the
    connections in `wanted.emrs` only."""
    row = WorklistRow
    first = _turned(wanted, row.urgency, sa.func.coalesce(row.due_at, FAR))
    order = (*first, row.emr, row.patient_id)
    statement = sa.select(row.__table__).where(row.emr.in_(wanted.emrs), *_tests(wanted))
    if wanted.after is not None:
        urgency, due, emr, patient_id = wanted.after
        due_at = sa.literal(dt.datetime.fromisoformat(due), row.due_at.type)
        last = (*_turned(wanted, sa.literal(urgency), due_at), emr, patient_id)
        statement = statement.where(sa.tuple_(*order) > sa.tuple_(*last))
    return list(connection.execute(statement.order_by(*order).limit(wanted.limit)))


def _turned(wanted: Filter, urgency: Any, due: Any) -> tuple[Any, Any]:
    return (due, urgency) if wanted.by_due else (urgency, due)


def _tests(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    row = WorklistRow
    tests: list[sa.ColumnElement[bool]] = [visible(wanted.cleared)]
    if wanted.status is not None:
        tests.append(row.status == wanted.status)
    if wanted.care_manager is not None:
        tests.append(row.care_manager == wanted.care_manager)
    if wanted.rule is not None:
        tests.append(sa.cast(row.rules, sa.Text).contains(f'"{wanted.rule}"', autoescape=True))
    if wanted.due_before is not None:
        tests.append(row.due_at < wanted.due_before)
    if wanted.appointment_from is not None:
        tests.append(row.appointment_at >= wanted.appointment_from)
    if wanted.appointment_before is not None:
        tests.append(row.appointment_at < wanted.appointment_before)
    if wanted.awake_on is not None:
        tests.append(sa.or_(row.snoozed_until.is_(None), row.snoozed_until <= wanted.awake_on))
    return tests


def caseload(connection: sa.Connection, emrs: Iterable[str], *, cleared: Cleared = NOTHING) -> list[Any]:
    """(emr, care_manager, status, count): caseload against capacity."""
    row = WorklistRow
    statement = (
        sa.select(row.emr, row.care_manager, row.status, sa.func.count().label("count"))
        .where(row.emr.in_(list(emrs)), row.status != "candidate", visible(cleared))
        .group_by(row.emr, row.care_manager, row.status)
    )
    return list(connection.execute(statement))
