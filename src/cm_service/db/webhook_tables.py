"""Who is told what, and what is on its way to them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from cm_service.db.tables import Base, emr_key


class Webhook(Base):
    """A URL of somebody's own that is told about one EMR. `secret` is sealed; `events` are the types."""

    __tablename__ = "webhook"
    id: Mapped[int] = mapped_column(primary_key=True)
    emr: Mapped[str] = emr_key(index=True)
    url: Mapped[str] = mapped_column(sa.Text)
    secret: Mapped[str] = mapped_column(sa.Text)
    events: Mapped[list[str]]
    created_at: Mapped[dt.datetime]


class WebhookEvent(Base):
    """One telling. `key` names what it is about, so that nothing is told twice."""

    __tablename__ = "webhook_event"
    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(sa.ForeignKey("webhook.id", ondelete="CASCADE"))
    key: Mapped[str]
    body: Mapped[dict[str, Any]]
    created_at: Mapped[dt.datetime]
    next_at: Mapped[dt.datetime | None]  # None: delivered, or given up
    attempts: Mapped[int]
    status: Mapped[int | None]
    delivered_at: Mapped[dt.datetime | None]
    __table_args__ = (
        sa.UniqueConstraint("webhook_id", "key"),
        sa.Index("ix_webhook_event_next", "next_at"),
    )
