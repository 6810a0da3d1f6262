"""Launches on their way, and sessions of pages. What would let somebody in is a digest or sealed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from cm_service.db.tables import Base


class LaunchState(Base):
    """One `state` of an authorisation request: used once, within minutes. `browser_digest` is that of
    the cookie that was set with it. `joins` is the session of the worklist that asked for this one."""

    __tablename__ = "launch_state"
    digest: Mapped[str] = mapped_column(primary_key=True)
    emr: Mapped[str]
    kind: Mapped[str]  # ehr | standalone
    issuer: Mapped[str] = mapped_column(sa.Text)
    token_endpoint: Mapped[str] = mapped_column(sa.Text)
    jwks_uri: Mapped[str] = mapped_column(sa.Text)
    scope: Mapped[str] = mapped_column(sa.Text)
    verifier: Mapped[str] = mapped_column(sa.Text)  # sealed
    nonce_digest: Mapped[str]
    browser_digest: Mapped[str]
    iss_promised: Mapped[bool]  # the server says that its answers name it (RFC 9207)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    used_at: Mapped[dt.datetime | None]
    joins: Mapped[str | None]


class PageSession(Base):
    """One launched page: its own token, one user, one patient (None for the worklist). `bound`: the
    browser that came back is the one that had left, shown by a cookie. `held_by` is the session of the
    worklist that this one was joined to: then its own token opens nothing any more."""

    __tablename__ = "page_session"
    digest: Mapped[str] = mapped_column(primary_key=True)
    emr: Mapped[str] = mapped_column(index=True)
    patient_id: Mapped[str | None]
    encounter_id: Mapped[str | None]
    user: Mapped[str]  # fhirUser as Type/id
    user_name: Mapped[str] = mapped_column(sa.Text)  # sealed
    patient_name: Mapped[str] = mapped_column(sa.Text)  # sealed
    subject: Mapped[str] = mapped_column(sa.Text)  # `sub` of the id_token: it may not change
    bound: Mapped[bool]
    confirmed: Mapped[bool]
    browser_digest: Mapped[str] = mapped_column(index=True)
    scope: Mapped[str] = mapped_column(sa.Text)
    access_token: Mapped[str] = mapped_column(sa.Text)  # sealed
    refresh_token: Mapped[str] = mapped_column(sa.Text)  # sealed, "" for none
    token_endpoint: Mapped[str] = mapped_column(sa.Text)
    token_until: Mapped[dt.datetime]
    idle_until: Mapped[dt.datetime]
    context: Mapped[dict[str, Any]] = mapped_column(sa.JSON)  # banner, intent, style: never PHI
    created_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]
    held_by: Mapped[str | None] = mapped_column(index=True)
