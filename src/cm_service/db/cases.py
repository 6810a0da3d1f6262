"""Enrolments, consents, contacts, snoozes and acts, row by row. What an act means is for flow.care."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from cm_service.db.case_tables import Act, ConsentRow, ContactRow, Enrolment, Snooze
from cm_service.db.sync import upsert
from cm_service.db.tables import DeclineRow
from cm_service.errors import Lost

_TABLES = {"enrolment": Enrolment, "consent": ConsentRow, "contact": ContactRow}


def open_enrolment(connection: sa.Connection, emr: str, patient_id: str) -> Any | None:
    statement = _enrolments(emr, patient_id).where(Enrolment.status != "closed")
    return connection.execute(statement).one_or_none()


def enrolments(connection: sa.Connection, emr: str, patient_id: str) -> list[Any]:
    return list(connection.execute(_enrolments(emr, patient_id).order_by(Enrolment.number)))


def _enrolments(emr: str, patient_id: str) -> sa.Select[Any]:
    return sa.select(Enrolment.__table__).where(Enrolment.emr == emr, Enrolment.patient_id == patient_id)


def enrolment(connection: sa.Connection, enrolment_id: int, *, emr: str) -> Any:
    """Raises Lost, also for one of another EMR."""
    statement = sa.select(Enrolment.__table__).where(Enrolment.id == enrolment_id, Enrolment.emr == emr)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise Lost("there is no enrolment with this id")
    return row


def insert(connection: sa.Connection, table: str, **columns: Any) -> int:
    """A new row of enrolment, consent or contact; returns its id."""
    done = connection.execute(sa.insert(_TABLES[table]).values(**columns))
    return int(done.inserted_primary_key[0])  # type: ignore[index]


def update_enrolment(connection: sa.Connection, enrolment_id: int, **columns: Any) -> None:
    """Every change is a new version."""
    statement = sa.update(Enrolment).where(Enrolment.id == enrolment_id)
    connection.execute(statement.values(version=Enrolment.version + 1, **columns))


def delete_enrolment(connection: sa.Connection, enrolment_id: int) -> None:
    connection.execute(sa.delete(Enrolment).where(Enrolment.id == enrolment_id))


def consents(connection: sa.Connection, enrolment_id: int) -> list[Any]:
    statement = sa.select(ConsentRow.__table__).where(ConsentRow.enrolment_id == enrolment_id)
    return list(connection.execute(statement.order_by(ConsentRow.id)))


def delete_consents(connection: sa.Connection, ids: list[int]) -> None:
    connection.execute(sa.delete(ConsentRow).where(ConsentRow.id.in_(ids)))


def contacts(connection: sa.Connection, emr: str, patient_id: str) -> list[Any]:
    """Newest first, without those that were undone."""
    mine = (ContactRow.emr == emr, ContactRow.patient_id == patient_id, ContactRow.undone.is_(False))
    return list(
        connection.execute(sa.select(ContactRow.__table__).where(*mine).order_by(ContactRow.at.desc()))
    )


def undo_contacts(connection: sa.Connection, ids: list[int]) -> None:
    connection.execute(sa.update(ContactRow).where(ContactRow.id.in_(ids)).values(undone=True))


def snooze(connection: sa.Connection, **columns: Any) -> None:
    upsert(connection, Snooze, [columns])


def snoozed_until(connection: sa.Connection, emr: str, patient_id: str) -> dt.date | None:
    statement = sa.select(Snooze.until).where(Snooze.emr == emr, Snooze.patient_id == patient_id)
    return connection.scalar(statement)


def wake(connection: sa.Connection, emr: str, patient_id: str) -> None:
    connection.execute(sa.delete(Snooze).where(Snooze.emr == emr, Snooze.patient_id == patient_id))


def delete_declines(connection: sa.Connection, intent_ids: list[int]) -> None:
    """A decline that was undone within its minutes was never one."""
    connection.execute(sa.delete(DeclineRow).where(DeclineRow.intent_id.in_(intent_ids)))


def keep_act(connection: sa.Connection, **columns: Any) -> int:
    done = connection.execute(sa.insert(Act).values(undone_at=None, **columns))
    return int(done.inserted_primary_key[0])  # type: ignore[index]


def act(connection: sa.Connection, act_id: int, *, emr: str) -> Any:
    """Raises Lost, also for one of another EMR."""
    statement = sa.select(Act.__table__).where(Act.id == act_id, Act.emr == emr).with_for_update()
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise Lost("there is no act with this id")
    return row


def acts(connection: sa.Connection, emr: str, patient_id: str) -> list[Any]:
    """Newest first."""
    mine = (Act.emr == emr, Act.patient_id == patient_id)
    return list(connection.execute(sa.select(Act.__table__).where(*mine).order_by(Act.id.desc())))


def mark_undone(connection: sa.Connection, act_id: int, *, now: dt.datetime) -> None:
    connection.execute(sa.update(Act).where(Act.id == act_id).values(undone_at=now))
