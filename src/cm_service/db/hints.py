"""Hints of EMRs, and how their subscriptions stand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from cm_service.db.hint_tables import Hint, SubscriptionState
from cm_service.db.sync import upsert

LOOK = ""  # the key of a hint that names nothing: look yourself
MOST = 10_000  # of one EMR: more is a storm, and the night reads it all anyway


def add(
    connection: sa.Connection, emr: str, keys: Iterable[str], *, now: dt.datetime, wait: dt.timedelta
) -> bool:
    """Keep each of `keys` once; one that is there already stays due when it was. False when there are
    too many: then none is kept."""
    rows: list[dict[str, Any]] = [
        {"emr": emr, "key": key, "received_at": now, "renewed_at": now, "due_at": now + wait, "tries": 0}
        for key in dict.fromkeys(keys)
    ]
    if not rows:
        return True
    if count(connection, emr) + len(rows) > MOST:
        return False
    known = {(row.key): row for row in _of(connection, emr, [row["key"] for row in rows])}
    for row in rows:
        if row["key"] in known:
            old = known[row["key"]]
            row |= {"received_at": old.received_at, "tries": old.tries, "due_at": max(old.due_at, now)}
    upsert(connection, Hint, rows)
    return True


def _of(connection: sa.Connection, emr: str, keys: list[str]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        found += connection.execute(sa.select(Hint.__table__).where(Hint.emr == emr, Hint.key.in_(part)))
    return found


def count(connection: sa.Connection, emr: str) -> int:
    return connection.scalar(sa.select(sa.func.count()).where(Hint.emr == emr)) or 0


def waiting(connection: sa.Connection) -> dict[str, tuple[int, dt.datetime]]:
    """EMR -> how many hints wait, and since when the oldest."""
    oldest = sa.type_coerce(sa.func.min(Hint.received_at), Hint.received_at.type)
    rows = connection.execute(sa.select(Hint.emr, sa.func.count(), oldest).group_by(Hint.emr))
    return {emr: (number, since) for emr, number, since in rows}


def due(connection: sa.Connection, emr: str, *, now: dt.datetime, most: int) -> list[Any]:
    """The oldest first."""
    statement = sa.select(Hint.__table__).where(Hint.emr == emr, Hint.due_at <= now)
    return list(connection.execute(statement.order_by(Hint.due_at, Hint.key).limit(most)))


def followed(connection: sa.Connection, rows: Iterable[Any]) -> None:
    """Forget them, except those that came again meanwhile."""
    for row in rows:
        mine = sa.and_(Hint.emr == row.emr, Hint.key == row.key, Hint.renewed_at == row.renewed_at)
        connection.execute(sa.delete(Hint).where(mine))


def put_off(connection: sa.Connection, rows: Iterable[Any], *, until: dt.datetime) -> None:
    for row in rows:
        mine = sa.update(Hint).where(Hint.emr == row.emr, Hint.key == row.key)
        connection.execute(mine.values(due_at=until, tries=Hint.tries + 1))


def forget(connection: sa.Connection, emr: str) -> None:
    connection.execute(sa.delete(Hint).where(Hint.emr == emr))
    connection.execute(sa.delete(SubscriptionState).where(SubscriptionState.emr == emr))


# --- subscriptions


def subscription(connection: sa.Connection, emr: str, id_: str) -> Any | None:
    """Locked until the transaction ends: two notifications at once must not count over each other."""
    mine = sa.and_(SubscriptionState.emr == emr, SubscriptionState.subscription == id_)
    statement = sa.select(SubscriptionState.__table__).where(mine).with_for_update()
    return connection.execute(statement).one_or_none()


def subscriptions(connection: sa.Connection) -> list[Any]:
    columns = SubscriptionState.__table__
    return list(connection.execute(sa.select(columns).order_by(columns.c.emr, columns.c.subscription)))


def keep(connection: sa.Connection, **columns: Any) -> None:
    upsert(connection, SubscriptionState, [columns])
