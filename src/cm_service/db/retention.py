"""What is not kept for ever, and how long it is (docs/runbook.md has the same table).

Records, decisions, ledger and cases are kept as long as their EMR is registered; the audit always.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from cm_service.db import doors, launches, repeats
from cm_service.db.door_tables import CdsFeedback
from cm_service.db.engine import Database
from cm_service.db.tables import PassportChange, Reject, Run
from cm_service.db.webhook_tables import WebhookEvent

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
REPEATS, SESSIONS = DAY, HOUR
TOLD, QUARANTINE, HISTORY = 30 * DAY, 90 * DAY, 400 * DAY


def apply(store: Database, own: Database, *, now: dt.datetime) -> dict[str, int]:
    """Delete what is past its time from the practice's store and from that of the doors (`own`); returns
    how many rows of the first went, by table."""
    with own.write() as connection:
        doors.forget_expired(connection, now=now)
        launches.forget(connection, before=now - SESSIONS)
        repeats.forget(connection, before=now - REPEATS)
        connection.execute(sa.delete(CdsFeedback).where(CdsFeedback.received_at < now - HISTORY))
    old = sa.select(Run.id).where(Run.started_at < now - QUARANTINE)
    told = sa.and_(WebhookEvent.next_at.is_(None), WebhookEvent.created_at < now - TOLD)
    statements = {
        "reject": sa.delete(Reject).where(Reject.run_id.in_(old)),
        "webhook_event": sa.delete(WebhookEvent).where(told),
        "passport_change": sa.delete(PassportChange).where(PassportChange.at < now - HISTORY),
        "run": sa.delete(Run).where(Run.started_at < now - HISTORY),
    }
    with store.write() as connection:
        return {name: connection.execute(each).rowcount for name, each in statements.items()}
