"""The tables of a case: what care managers did. What follows from it for the EMR stands in the ledger."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from cm_service.db.tables import Base, emr_key


class Enrolment(Base):
    """One enrolment of one patient: `number` is that of its plan's key (rules.md 6.11). `version` grows
    with every act and is what a caller's If-Match is held against."""

    __tablename__ = "enrolment"
    id: Mapped[int] = mapped_column(primary_key=True)
    emr: Mapped[str] = emr_key()
    patient_id: Mapped[str]
    number: Mapped[int]
    status: Mapped[str]  # accepted | active | closed
    care_manager: Mapped[str]
    opened_at: Mapped[dt.datetime]
    active_since: Mapped[dt.datetime | None]
    closed_at: Mapped[dt.datetime | None]
    closure: Mapped[str | None]
    version: Mapped[int]
    __table_args__ = (
        sa.UniqueConstraint("emr", "patient_id", "number"),
        # Two care managers who accept the same patient at once: the database lets one of them.
        sa.Index(
            "uq_enrolment_open",
            "emr",
            "patient_id",
            unique=True,
            sqlite_where=sa.text("status <> 'closed'"),
            postgresql_where=sa.text("status <> 'closed'"),
        ),
    )


class ConsentRow(Base):
    """What the patient answered, how, and to which text."""

    __tablename__ = "consent"
    id: Mapped[int] = mapped_column(primary_key=True)
    enrolment_id: Mapped[int] = mapped_column(sa.ForeignKey("enrolment.id", ondelete="CASCADE"), index=True)
    decision: Mapped[str]  # agree | disagree
    form: Mapped[str]  # verbal | written
    given_by: Mapped[str]
    text_version: Mapped[str]
    at: Mapped[dt.datetime]
    recorded_by: Mapped[str]


class ContactRow(Base):
    """A contact, or an attempt at one. `checklist` and `note` are a person's words."""

    __tablename__ = "contact"
    id: Mapped[int] = mapped_column(primary_key=True)
    emr: Mapped[str] = emr_key()
    patient_id: Mapped[str]
    enrolment_id: Mapped[int | None] = mapped_column(sa.ForeignKey("enrolment.id"))
    at: Mapped[dt.datetime]
    minutes: Mapped[int]
    medium: Mapped[str]
    service: Mapped[str]
    reached: Mapped[bool]
    who: Mapped[str]
    checklist: Mapped[dict[str, Any]]
    note: Mapped[str] = mapped_column(sa.Text)
    next_contact: Mapped[dt.date | None] = mapped_column(sa.Date)
    recorded_by: Mapped[str]
    undone: Mapped[bool]
    __table_args__ = (sa.Index("ix_contact_patient", "emr", "patient_id", "at"),)


class Snooze(Base):
    """A candidate whom nobody wants to see on the worklist until a day."""

    __tablename__ = "snooze"
    emr: Mapped[str] = emr_key(primary_key=True)
    patient_id: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[dt.date] = mapped_column(sa.Date)
    reason: Mapped[str] = mapped_column(sa.Text)
    by: Mapped[str]


class Act(Base):
    """One thing that a person did, and what it takes to undo it: rows made, intents as they were."""

    __tablename__ = "act"
    id: Mapped[int] = mapped_column(primary_key=True)
    emr: Mapped[str] = emr_key()
    patient_id: Mapped[str]
    enrolment_id: Mapped[int | None]
    kind: Mapped[str]
    by: Mapped[str]
    at: Mapped[dt.datetime]
    undo_until: Mapped[dt.datetime | None]
    undone_at: Mapped[dt.datetime | None]
    before: Mapped[dict[str, Any]]
    __table_args__ = (sa.Index("ix_act_patient", "emr", "patient_id", "at"),)


class WorklistRow(Base):
    """One patient with open needs, ready to be sorted and filtered: a projection, made anew from
    decisions, ledger and enrolment whenever one of them changes. Never read to decide anything.

    Part 0 shows everything and is under `labels` (db.confidential); part 1, if there is one, is for
    those who may not read these."""

    __tablename__ = "worklist"
    emr: Mapped[str] = emr_key(primary_key=True)
    patient_id: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True)
    labels: Mapped[str]
    name: Mapped[str]
    birth_date: Mapped[str]
    status: Mapped[str]  # candidate | accepted | active
    urgency: Mapped[int]  # 0 stat, 1 asap, 2 urgent, 3 routine
    due_at: Mapped[dt.datetime | None]
    tasks: Mapped[list[Any]] = mapped_column(sa.JSON)
    rules: Mapped[list[str]]
    cannot_tell: Mapped[list[str]]
    care_manager: Mapped[str]
    snoozed_until: Mapped[dt.date | None] = mapped_column(sa.Date)
    appointment_at: Mapped[dt.datetime | None]
    __table_args__ = (
        sa.Index("ix_worklist_order", "emr", "urgency", "due_at", "patient_id"),
        sa.Index("ix_worklist_manager", "emr", "care_manager", "due_at"),
        sa.Index("ix_worklist_appointment", "emr", "appointment_at"),
    )
