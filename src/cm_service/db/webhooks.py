"""Webhooks and their events, row by row. Nothing that is under a confidentiality label is told: a webhook
has no scopes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from cm_service.db import worklist
from cm_service.db.case_tables import WorklistRow
from cm_service.db.confidential import NOTHING
from cm_service.db.tables import DecisionRow, Intent, Placement
from cm_service.db.webhook_tables import Webhook, WebhookEvent
from cm_service.errors import Lost


def add(connection: sa.Connection, **columns: Any) -> int:
    done = connection.execute(sa.insert(Webhook).values(**columns))
    return int(done.inserted_primary_key[0])  # type: ignore[index]


def of(connection: sa.Connection, emr: str | None = None) -> list[Any]:
    statement = sa.select(Webhook.__table__).order_by(Webhook.id)
    return list(connection.execute(statement if emr is None else statement.where(Webhook.emr == emr)))


def remove(connection: sa.Connection, webhook_id: int) -> None:
    """Raises Lost."""
    if connection.execute(sa.delete(Webhook).where(Webhook.id == webhook_id)).rowcount != 1:
        raise Lost("there is no webhook with this id")


def note(
    connection: sa.Connection, webhook_id: int, key: str, body: dict[str, Any], *, now: dt.datetime
) -> None:
    """Tell this once; the same key again changes nothing."""
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(WebhookEvent)
    row = {"webhook_id": webhook_id, "key": key, "body": body, "created_at": now, "next_at": now}
    connection.execute(insert.values(attempts=0, **row).on_conflict_do_nothing())


def due(connection: sa.Connection, *, now: dt.datetime, limit: int) -> list[Any]:
    """Events whose time has come, oldest first, with URL and secret."""
    statement = (
        sa.select(WebhookEvent.__table__, Webhook.url, Webhook.secret)
        .join(Webhook, Webhook.id == WebhookEvent.webhook_id)
        .where(WebhookEvent.next_at <= now)
        .order_by(WebhookEvent.id)
        .limit(limit)
    )
    return list(connection.execute(statement))


def told(connection: sa.Connection, event_id: int, **columns: Any) -> None:
    statement = sa.update(WebhookEvent).where(WebhookEvent.id == event_id)
    connection.execute(statement.values(attempts=WebhookEvent.attempts + 1, **columns))


def changed_decisions(connection: sa.Connection, emr: str, *, at: dt.datetime) -> Iterable[Any]:
    columns = (DecisionRow.patient_id, DecisionRow.rule, DecisionRow.outcome, DecisionRow.digest)
    mine = (DecisionRow.emr == emr, DecisionRow.changed_at == at, DecisionRow.labels == "")
    return connection.execute(sa.select(*columns).where(*mine)).all()


def refused(connection: sa.Connection, emr: str) -> Iterable[Any]:
    columns = (Intent.id, Intent.patient_id, Intent.kind, Placement.attempts)
    statement = sa.select(*columns).join(Placement, Placement.intent_id == Intent.id)
    mine = (Intent.emr == emr, Intent.labels == "", Placement.state == "refused")
    return connection.execute(statement.where(*mine)).all()


def due_soon(connection: sa.Connection, emr: str, *, before: dt.datetime) -> Iterable[Any]:
    columns = (WorklistRow.patient_id, WorklistRow.tasks)
    mine = (WorklistRow.emr == emr, WorklistRow.due_at < before, worklist.visible(NOTHING))
    statement = sa.select(*columns).where(*mine)
    return connection.execute(statement).all()
