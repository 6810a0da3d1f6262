"""Notifications of EMRs, in the store of the doors: to answer one must never wait for a night's writer."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from cm_service.db.tables import Base


class Hint(Base):
    """Something changed in an EMR: `key` is Type/id, or "" for "look yourself". `due_at` is when it is
    followed, `renewed_at` when it last came: one that came again meanwhile is followed again."""

    __tablename__ = "hint"
    emr: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    received_at: Mapped[dt.datetime]
    renewed_at: Mapped[dt.datetime]
    due_at: Mapped[dt.datetime] = mapped_column(index=True)
    tries: Mapped[int]


class SubscriptionState(Base):
    """What we know of one Subscription: the `highest` event number, those `missing` below it, digests of
    `recent` events by their number, and how often numbers were missing (`gaps`)."""

    __tablename__ = "subscription_state"
    emr: Mapped[str] = mapped_column(primary_key=True)
    subscription: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    highest: Mapped[int]
    missing: Mapped[list[Any]] = mapped_column(sa.JSON)
    recent: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    heard_at: Mapped[dt.datetime]
    gaps: Mapped[int]
