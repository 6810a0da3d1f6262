"""One intent, many placements: moving one to another rung, and what a higher one has taken over from.

The newest placement of an intent is the one that counts. A lower one that a higher one takes over from
is `superseded` in the ledger from that moment, and `closing` until the EMR shows it as such.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import sqlalchemy as sa

from cm_service.db import ledger
from cm_service.db.tables import Intent, Placement

_BLANK = {"human": [], "deleted": False, "attempts": 0, "closing": False}
_KEPT = (
    *("rung", "reference", "version", "sent", "astray", "base", "current"),
    *("human", "deleted", "degraded", "sent_at"),
)


class Refusal(NamedTuple):
    """An older placement that the EMR refused."""

    rung: str
    status: int
    at: dt.datetime


def replace(
    connection: sa.Connection,
    row: Any,
    *,
    rung: str,
    degraded: str | None,
    now: dt.datetime,
    closing: bool = False,
) -> None:
    """The next placement of an intent (a row of the ledger): pending, on `rung`. In one transaction, so
    that never two are open. `closing`: what the old one left in the EMR is to be closed afterwards."""
    ledger.move(connection, row.placement_id, now=now, state="superseded", closing=closing)
    new = _BLANK | {"intent_id": row.id, "rung": rung, "state": "pending", "degraded": degraded}
    connection.execute(sa.insert(Placement).values(updated_at=now, **new))


def give_back(connection: sa.Connection, row: Any, lower: Any, *, reason: str, now: dt.datetime) -> None:
    """The climb to where `row` is has failed: the place of `lower` is the intent's place again."""
    ledger.move(connection, row.placement_id, now=now, state="superseded")
    ledger.move(connection, lower.placement_id, now=now, closing=False)
    old = connection.execute(sa.select(Placement.__table__).where(Placement.id == lower.placement_id)).one()
    kept = {name: getattr(old, name) for name in _KEPT}
    new = _BLANK | kept | {"intent_id": row.id, "state": "written", "reason": reason}
    connection.execute(sa.insert(Placement).values(updated_at=now, **new))


def closing(connection: sa.Connection, emr: str) -> list[Any]:
    """Lower placements that something higher takes over from, oldest first, as whole rows."""
    return list(
        connection.execute(
            ledger.every_placement().where(Intent.emr == emr, Placement.closing.is_(True)).order_by(Intent.id)
        )
    )


def closing_of(connection: sa.Connection, intent_id: int) -> Any | None:
    """The one of this intent, if there is any."""
    statement = ledger.every_placement().where(Placement.intent_id == intent_id, Placement.closing.is_(True))
    return connection.execute(statement).one_or_none()


def closed(connection: sa.Connection, placement_id: int, *, now: dt.datetime) -> None:
    """The EMR shows it as superseded, or holds it no more."""
    ledger.move(connection, placement_id, now=now, closing=False)


def earlier(connection: sa.Connection, row: Any) -> Any | None:
    """The newest older placement of this intent on the same rung that stands in the EMR, whole."""
    statement = ledger.every_placement().where(
        Placement.intent_id == row.id,
        Placement.id < row.placement_id,
        Placement.rung == row.rung,
        Placement.reference.is_not(None),
    )
    return connection.execute(statement.order_by(Placement.id.desc()).limit(1)).one_or_none()


def stood(connection: sa.Connection, row: Any) -> bool:
    """Did an older placement of this intent ever stand in the EMR?"""
    older = sa.select(Placement.id).where(
        Placement.intent_id == row.id, Placement.id < row.placement_id, Placement.reference.is_not(None)
    )
    return connection.scalar(older.limit(1)) is not None


def refusals(connection: sa.Connection, emr: str, *, since: dt.datetime) -> dict[int, list[Refusal]]:
    """Intent -> what refused it `since` then, oldest first."""
    found: dict[int, list[Refusal]] = {}
    statement = (
        sa.select(Placement.intent_id, Placement.rung, Placement.refused_status, Placement.updated_at)
        .join(Intent, Placement.intent_id == Intent.id)
        .where(Intent.emr == emr, Placement.state == "superseded", Placement.updated_at >= since)
        .where(Placement.refused_status.is_not(None))
        .order_by(Placement.id)
    )
    for row in connection.execute(statement):
        found.setdefault(row.intent_id, []).append(Refusal(row.rung, row.refused_status, row.updated_at))
    return found


def accept(connection: sa.Connection, intent_id: int, *, by: str, now: dt.datetime) -> Any:
    """A person (`by`, as the audit names them) accepts that this is written where it cannot be taken
    back. It goes out in the next night; later versions of it need no second word. Returns the row of the
    ledger. Raises Lost."""
    row = ledger.one(connection, intent_id)
    if row.accepted_at is None:
        statement = sa.update(Intent).where(Intent.id == intent_id)
        connection.execute(statement.values(accepted_at=now, accepted_by=by, updated_at=now))
    return row


def count_rungs(connection: sa.Connection, emr: str) -> dict[str, int]:
    """How many intents stand, or wait, on each rung; those that were never needed are left out."""
    statement = _standing(Placement.rung, sa.func.count()).where(Intent.emr == emr).group_by(Placement.rung)
    return {str(row[0]): int(row[1]) for row in connection.execute(statement)}


def degraded(connection: sa.Connection, emr: str) -> list[dict[str, Any]]:
    """How many intents stand on which lower rung for which reason, the most frequent first."""
    count = sa.func.count()
    statement = (
        _standing(Placement.rung, Placement.degraded, count)
        .where(Intent.emr == emr, Placement.degraded.is_not(None))
        .group_by(Placement.rung, Placement.degraded)
        .order_by(count.desc(), Placement.rung)
    )
    found = connection.execute(statement)
    return [{"rung": row[0], "reason": row[1], "count": int(row[2])} for row in found]


def _standing(*columns: Any) -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(*columns)
        .join(Intent, Placement.intent_id == Intent.id)
        .where(Placement.id == ledger.newest(Intent.id), Placement.state != "superseded")
    )
