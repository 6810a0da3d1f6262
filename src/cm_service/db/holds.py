"""Intents that wait until an act can no longer be undone, and taking them back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from cm_service.db.case_tables import Act
from cm_service.db.tables import Intent, Placement

AFTER_AN_ACT = dt.timedelta(hours=1)


def hold(connection: sa.Connection, intent_id: int, *, until: dt.datetime | None) -> None:
    """Nothing of this intent is sent before `until`; None: it may go at once."""
    connection.execute(sa.update(Intent).where(Intent.id == intent_id).values(held_until=until))


def restore(connection: sa.Connection, intent_id: int, *, wanted: str, state: str, now: dt.datetime) -> None:
    """As it was before the act that is undone; nothing was sent in between."""
    intent = sa.update(Intent).where(Intent.id == intent_id)
    connection.execute(intent.values(wanted=wanted, held_until=None, updated_at=now))
    placement = sa.update(Placement).where(Placement.intent_id == intent_id, Placement.state != "superseded")
    connection.execute(placement.values(state=state, updated_at=now))


def forget_unsent(connection: sa.Connection, intent_ids: Iterable[int]) -> None:
    """Intents that an undone act had made, and of which nothing was ever sent."""
    ids = list(intent_ids)
    connection.execute(sa.delete(Placement).where(Placement.intent_id.in_(ids)))
    connection.execute(sa.delete(Intent).where(Intent.id.in_(ids)))


def acted_on(connection: sa.Connection, row: Any) -> bool:
    """Did an act that stands make or change this intent?"""
    acts = sa.select(Act.before).where(
        Act.emr == row.emr, Act.patient_id == row.patient_id, Act.undone_at.is_(None)
    )
    return any(row.id in _touched(before) for before in connection.scalars(acts))


def _touched(before: dict[str, Any]) -> set[int]:
    return {*before.get("made", ()), *(intent[0] for intent in before.get("intents", ()))}


def over(connection: sa.Connection, emr: str, *, now: dt.datetime) -> list[Any]:
    """(intent id, patient id) of what people did and what may go now: it was held, and is no longer, or its
    act cannot be undone and was done since `now` less AFTER_AN_ACT."""
    acted = sa.select(Act.patient_id).where(
        Act.emr == emr, Act.at > now - AFTER_AN_ACT, Act.at <= now, Act.undone_at.is_(None)
    )
    free = sa.or_(
        Intent.held_until <= now, sa.and_(Intent.held_until.is_(None), Intent.patient_id.in_(acted))
    )
    statement = (
        sa.select(Intent.id, Intent.patient_id)
        .join(Placement, Placement.intent_id == Intent.id)
        .where(Intent.emr == emr, Placement.state == "pending", Placement.deleted.is_(False), free)
    )
    return list(connection.execute(statement.order_by(Intent.id)))
