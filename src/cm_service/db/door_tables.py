"""The tables of the machine doors: who may come in, what was used up, and who looked at what.

On the embedded store they live in a file of their own, so that the night's writer never makes a chart
or a token wait; on PostgreSQL beside everything else. No row here points to a table of the other file.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from cm_service.db.tables import Base


class Client(Base):
    """A program that may ask for tokens. Its public keys came as a file (`jwks`) or stand at a URL;
    `emrs` None means all, an empty list none."""

    __tablename__ = "client"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    jwks: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    jwks_url: Mapped[str | None] = mapped_column(sa.Text)
    scope: Mapped[str] = mapped_column(sa.Text)
    emrs: Mapped[list[str] | None] = mapped_column(sa.JSON(none_as_null=True))
    created_at: Mapped[dt.datetime]
    disabled_at: Mapped[dt.datetime | None]


class UsedToken(Base):
    """A signed token that was accepted once: its key makes the second one fail in the database."""

    __tablename__ = "used_token"
    issuer_digest: Mapped[str] = mapped_column(primary_key=True)
    jti_digest: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)


class AccessToken(Base):
    """A token of ours, by the SHA-256 of its text: the store cannot be used to come in."""

    __tablename__ = "access_token"
    digest: Mapped[str] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(index=True)
    scope: Mapped[str] = mapped_column(sa.Text)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)


class AuditEntry(Base):
    """Who saw or did what about whom, and why. The database itself refuses to change or delete one."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(index=True)
    who: Mapped[str]
    emr: Mapped[str | None]
    patient_id: Mapped[str | None]
    action: Mapped[str]
    purpose: Mapped[str]
    outcome: Mapped[int]
    request_id: Mapped[str]
    __table_args__ = (sa.Index("ix_audit_patient", "emr", "patient_id", "at"),)


class IdempotentCall(Base):
    """A POST that its caller may repeat: the answer of the first is the answer of all. `status` None
    while the first is still at work."""

    __tablename__ = "idempotent_call"
    client_id: Mapped[str] = mapped_column(primary_key=True)
    key_digest: Mapped[str] = mapped_column(primary_key=True)
    request_digest: Mapped[str]
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes | None]
    started_at: Mapped[dt.datetime] = mapped_column(index=True)


class CdsFeedback(Base):
    """What became of a card of ours. `said` is sealed: a person's words about a patient."""

    __tablename__ = "cds_feedback"
    emr: Mapped[str] = mapped_column(primary_key=True)
    card: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str]
    outcome_at: Mapped[dt.datetime]
    said: Mapped[str] = mapped_column(sa.Text)
    received_at: Mapped[dt.datetime]
