"""The ledger: every write to an EMR is an intent here first, in the transaction that caused it.

Intents are minted once; placements say where each was put. States and their meaning: protocols.md
section 2 (WB-11). Nothing in this file talks to an EMR.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from cm_service.db.confidential import Cleared, all_readable
from cm_service.db.sync import chunks
from cm_service.db.tables import DeclineRow, Emr, Intent, Placement
from cm_service.errors import Lost

NATIVE = "native"
RESTORED = "a backup was put back: it may have been sent after it"
NOT_THERE = "a person said that it is not in the EMR"
PATIENT_GONE = "the EMR has deleted this patient: nothing more is written there"
_OUTLINE = (
    Intent.id,
    Intent.emr,
    Intent.patient_id,
    Intent.kind,
    Intent.system,
    Intent.value,
    Intent.rule,
    Intent.code,
    Intent.subject,
    Intent.urgency,
    Intent.created_at,
    Intent.held_until,
    Intent.accepted_at,
    Intent.labels,
    Placement.id.label("placement_id"),
    Placement.rung,
    Placement.state,
    Placement.reference,
    Placement.version,
    Placement.human,
    Placement.deleted,
    Placement.reason,
    Placement.attempts,
    Placement.sent_at,
    Placement.missed_at,
    Placement.degraded,
    Placement.refused_status,
)
_CONTENT = (Placement.sent, Placement.astray, Placement.base, Placement.current)
_WHOLE = (*_OUTLINE, Intent.business_key, Intent.wanted, *_CONTENT)
_OTHER = aliased(Placement)


@cache  # building a statement takes longer than running it
def _select(columns: tuple[Any, ...] = _WHOLE) -> sa.Select[*tuple[Any, ...]]:
    """Each intent with its newest placement: the one that is open, if any is."""
    return sa.select(*columns).join(
        Placement, sa.and_(Placement.intent_id == Intent.id, Placement.id == newest(Intent.id))
    )


def newest(intent_id: Any) -> sa.ScalarSelect[Any]:
    """The id of the placement that counts: never more than one of an intent is open, and no older one."""
    return sa.select(sa.func.max(_OTHER.id)).where(_OTHER.intent_id == intent_id).scalar_subquery()


# What is set in them stands in the parameters.
_CHANGED_INTENT = sa.update(Intent).where(Intent.id == sa.bindparam("changed"))
_CHANGED_PLACEMENT = sa.update(Placement).where(Placement.id == sa.bindparam("changed"))
_SENT_AGAIN = sa.update(Placement).where(
    Placement.id == newest(sa.bindparam("wanted_id")),
    Placement.state.in_(("written", "refused", "conflict", "parked", "superseded")),
    Placement.deleted.is_(False),
)
_CLAIMED = (
    sa.update(Placement)
    .where(Placement.id == sa.bindparam("changed"), Placement.state == "pending")
    .values(attempts=Placement.attempts + 1)
)


def every_placement() -> sa.Select[*tuple[Any, ...]]:
    """Whole rows, one for each placement that an intent has or had."""
    return sa.select(*_WHOLE).join(Placement, Placement.intent_id == Intent.id)


@cache
def _outlines(in_states: bool) -> sa.Select[*tuple[Any, ...]]:
    statement = _select(_OUTLINE).where(Intent.emr == sa.bindparam("of_emr")).order_by(Intent.id)
    return statement.where(Placement.state.in_(_several("in_states"))) if in_states else statement


def _several(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, expanding=True)


def outline(connection: sa.Connection, emr: str, *states: str) -> list[Any]:
    """Rows without what was wanted, sent and read, oldest first: those may be large."""
    values = {"of_emr": emr, "in_states": states} if states else {"of_emr": emr}
    return list(connection.execute(_outlines(bool(states)), values))


@cache
def _of_patients() -> sa.Select[*tuple[Any, ...]]:
    theirs = Intent.patient_id.in_(_several("wanted_patients"))
    return _select().where(Intent.emr == sa.bindparam("of_emr"), theirs).order_by(Intent.id)


def of_patients(connection: sa.Connection, emr: str, patient_ids: Iterable[str]) -> dict[str, list[Any]]:
    """Rows of intent and placement, oldest first, per patient."""
    found: dict[str, list[Any]] = {}
    for part in chunks(patient_ids):
        for row in connection.execute(_of_patients(), {"of_emr": emr, "wanted_patients": part}):
            found.setdefault(row.patient_id, []).append(row)
    return found


@cache
def _one() -> sa.Select[*tuple[Any, ...]]:
    return _select().where(Intent.id == sa.bindparam("wanted_id"))


def one(connection: sa.Connection, intent_id: int) -> Any:
    row = connection.execute(_one(), {"wanted_id": intent_id}).one_or_none()
    if row is None:
        raise Lost(f"the ledger has no intent {intent_id}")
    return row


def listed(
    connection: sa.Connection,
    *,
    emr: str | None = None,
    state: str | None = None,
    after: int = 0,
    limit: int | None = None,
    cleared: Cleared | None = None,
) -> list[Any]:
    """Oldest first; `after` is the id of the last row of the page before. `cleared` None: whatever labels
    they are under."""
    statement = _select().where(Intent.id > after).order_by(Intent.id).limit(limit)
    if cleared is not None:
        statement = statement.where(Intent.labels.in_(all_readable(cleared)))
    if emr is not None:
        statement = statement.where(Intent.emr == emr)
    if state is not None:
        statement = statement.where(Placement.state == state)
    return list(connection.execute(statement))


@cache
def _by_value(columns: tuple[Any, ...]) -> sa.Select[*tuple[Any, ...]]:
    values = Intent.value.in_(_several("wanted_values"))
    return _select(columns).where(Intent.emr == sa.bindparam("of_emr"), values)


def by_value(connection: sa.Connection, emr: str, values: Iterable[str]) -> dict[tuple[str, str], Any]:
    """Rows by (identifier system, value)."""
    found: dict[tuple[str, str], Any] = {}
    for part in chunks(values):
        rows = connection.execute(_by_value(_WHOLE), {"of_emr": emr, "wanted_values": part})
        found.update({(row.system, row.value): row for row in rows})
    return found


def targets(connection: sa.Connection, emr: str, values: Iterable[str]) -> dict[str, Any]:
    """Identifier value -> row (without contents) of what a link leads to."""
    found: dict[str, Any] = {}
    for part in chunks(values):
        rows = connection.execute(_by_value(_OUTLINE), {"of_emr": emr, "wanted_values": part})
        found.update({row.value: row for row in rows})
    return found


def references(connection: sa.Connection, emr: str, values: Iterable[str]) -> dict[str, str]:
    """identifier value -> `Type/id` in the EMR, for those that stand there as what they are and were not
    deleted: a note is nothing that a Task could be based on."""
    found = targets(connection, emr, values)
    return {value: row.reference for value, row in found.items() if _is_there(row)}


def _is_there(row: Any) -> bool:
    return bool(row.reference and not row.deleted and row.reference.startswith(f"{row.kind}/"))


def values_of(connection: sa.Connection, emr: str) -> dict[str, str]:
    """`Type/id` in the EMR -> identifier value, for everything that has a place."""
    statement = (
        sa.select(Placement.reference, Intent.value)
        .join(Intent, Placement.intent_id == Intent.id)
        .where(Intent.emr == emr, Placement.reference.is_not(None))
    )
    return {str(row.reference): row.value for row in connection.execute(statement)}


def count_states(connection: sa.Connection, emr: str) -> dict[str, int]:
    statement = (
        sa.select(Placement.state, sa.func.count())
        .join(Intent, Placement.intent_id == Intent.id)
        .where(Intent.emr == emr, Placement.id == newest(Intent.id))
        .group_by(Placement.state)
    )
    return {row.state: int(row[1]) for row in connection.execute(statement)}


def add(
    connection: sa.Connection,
    *,
    emr: str,
    patient_id: str,
    want: dict[str, Any],
    now: dt.datetime,
    state: str = "pending",
    **placed: Any,
) -> int:
    """Mint an intent (columns of `want`) with its first placement; returns the intent's id.

    The unique key (EMR, system, value) makes a second minting fail in the database.
    """
    intent = sa.insert(Intent).values(emr=emr, patient_id=patient_id, created_at=now, updated_at=now, **want)
    intent_id = int(connection.execute(intent).inserted_primary_key[0])  # type: ignore[index]
    blank = {"rung": NATIVE, "human": [], "deleted": False, "attempts": 0, "updated_at": now}
    row = blank | placed | {"intent_id": intent_id, "state": state}
    connection.execute(sa.insert(Placement).values(**row))
    return intent_id


def label(connection: sa.Connection, intent_id: int, labels: str) -> None:
    connection.execute(sa.update(Intent).where(Intent.id == intent_id).values(labels=labels))


def reword(connection: sa.Connection, intent_id: int, *, wanted: str, now: dt.datetime) -> None:
    """Another wording of the same content: nothing is to be sent."""
    connection.execute(sa.update(Intent).where(Intent.id == intent_id).values(wanted=wanted, updated_at=now))


def rewant(connection: sa.Connection, intent_id: int, *, wanted: str, urgency: int, now: dt.datetime) -> None:
    """Another content is wanted. A placement whose fate is unknown keeps its state: it is looked up
    first, and the new content goes out as an update afterwards."""
    new = {"wanted": wanted, "urgency": urgency, "updated_at": now}
    connection.execute(_CHANGED_INTENT, {"changed": intent_id, **new})
    connection.execute(
        _SENT_AGAIN, {"wanted_id": intent_id, "state": "pending", "attempts": 0, "updated_at": now}
    )


def hand_over(connection: sa.Connection, intent_id: int, *, patient_id: str, now: dt.datetime) -> None:
    """The EMR moved the resource to another Patient, and the intent goes with it."""
    moved = sa.update(Intent).where(Intent.id == intent_id)
    connection.execute(moved.values(patient_id=patient_id, updated_at=now))


def park_of(connection: sa.Connection, emr: str, patient_id: str, *, now: dt.datetime) -> None:
    """The EMR has deleted this patient: what waits is not written into that chart any more."""
    mine = sa.select(Intent.id).where(Intent.emr == emr, Intent.patient_id == patient_id)
    waiting = sa.update(Placement).where(Placement.state == "pending", Placement.intent_id.in_(mine))
    connection.execute(waiting.values(state="parked", reason=PATIENT_GONE, updated_at=now))


def unpark_of(connection: sa.Connection, emr: str, patient_ids: Iterable[str], *, now: dt.datetime) -> None:
    """These patients are there (again)."""
    for part in chunks(patient_ids):
        mine = sa.select(Intent.id).where(Intent.emr == emr, Intent.patient_id.in_(part))
        parked = sa.update(Placement).where(Placement.state == "parked", Placement.reason == PATIENT_GONE)
        waiting = parked.where(Placement.intent_id.in_(mine))
        connection.execute(waiting.values(state="pending", reason=None, attempts=0, updated_at=now))


def move(connection: sa.Connection, placement_id: int, *, now: dt.datetime, **columns: Any) -> None:
    """Change columns of one placement (state, reference, version, sent, base, current, reason, ...)."""
    connection.execute(_CHANGED_PLACEMENT, {"changed": placement_id, "updated_at": now, **columns})


def claim(
    connection: sa.Connection,
    placement_id: int,
    *,
    sent: str,
    now: dt.datetime,
    at: dt.datetime | None = None,
    astray: Iterable[str] = (),
) -> bool:
    """pending -> sending, by one worker only; committed, with what is sent, before the request leaves.
    `at` is the instant of the real clock, `now` that of the night; `astray` as the table has it."""
    columns = {
        "state": "sending",
        "sent": sent,
        "astray": list(astray),
        "sent_at": at or now,
        "missed_at": None,
        "updated_at": now,
    }
    return connection.execute(_CLAIMED, {"changed": placement_id, **columns}).rowcount == 1


def sending_becomes_unknown(connection: sa.Connection, emr: str, *, now: dt.datetime) -> int:
    """At start-up: whatever a dead process was sending may or may not have arrived."""
    mine = sa.select(Intent.id).where(Intent.emr == emr)
    statement = (
        sa.update(Placement)
        .where(Placement.state == "sending", Placement.intent_id.in_(mine))
        .values(state="unknown", reason="the process ended while this was being sent", updated_at=now)
    )
    return connection.execute(statement).rowcount


def note_older_store(connection: sa.Connection, emr: str, *, now: dt.datetime) -> None:
    """An older store wrote to this EMR: the ledger lacks what that one sent."""
    connection.execute(sa.update(Emr).where(Emr.slug == emr).values(restored_at=now))


def restored(connection: sa.Connection, emr: str, *, since: dt.datetime, now: dt.datetime) -> int:
    """The store is a backup of `since`: whatever waited then may have gone out after it, so that it is
    looked up before it is sent. Returns how many rows."""
    note_older_store(connection, emr, now=now)
    mine = sa.select(Intent.id).where(Intent.emr == emr)
    waiting = (
        sa.update(Placement)
        .where(Placement.state.in_(["pending", "sending"]), Placement.intent_id.in_(mine))
        .values(state="unknown", reason=RESTORED, sent_at=since, missed_at=None, updated_at=now)
    )
    return connection.execute(waiting).rowcount


def has_adopted(connection: sa.Connection, emr: str) -> bool:
    """Does the EMR hold what the ledger does not know that it sent? Then an older store wrote to this EMR
    and was lost, or a backup was put back."""
    if connection.scalar(sa.select(Emr.restored_at).where(Emr.slug == emr)) is not None:
        return True
    mine = sa.select(Intent.id).where(Intent.emr == emr)
    found = sa.select(Placement.id).where(
        Placement.intent_id.in_(mine), Placement.reference.is_not(None), Placement.sent_at.is_(None)
    )
    return connection.scalar(found.limit(1)) is not None


@cache
def _sighted() -> sa.Select[*tuple[Any, ...]]:
    statement = _select().where(
        Intent.emr == sa.bindparam("of_emr"),
        Intent.kind == sa.bindparam("of_kind"),
        Intent.id != sa.bindparam("but_for"),
        Placement.rung == sa.bindparam("on_rung"),
        Placement.state == "written",
        Placement.deleted.is_(False),
        Placement.reference.is_not(None),
    )
    other = Intent.patient_id != sa.bindparam("of_patient")
    return statement.order_by(other, Placement.updated_at.desc(), Intent.id.desc()).limit(1)


def sighted(connection: sa.Connection, row: Any) -> Any | None:
    """Another thing that is known to stand in the same place: of the same patient rather than of others,
    the newest of them. A search that does not show it shows nothing."""
    values = {"of_emr": row.emr, "of_kind": row.kind, "but_for": row.id, "on_rung": row.rung}
    return connection.execute(_sighted(), {**values, "of_patient": row.patient_id}).one_or_none()


def holder(connection: sa.Connection, emr: str, reference: str) -> Any | None:
    """The intent whose place this reference is."""
    statement = _select(_OUTLINE).where(Intent.emr == emr, Placement.reference == reference)
    return connection.execute(statement.order_by(Intent.id).limit(1)).one_or_none()


def add_decline(
    connection: sa.Connection,
    *,
    emr: str,
    patient_id: str,
    intent_id: int,
    at: dt.datetime,
    until: dt.datetime,
) -> bool:
    """Record once per offer that it was declined; False when that stands already."""
    known = sa.select(DeclineRow.id).where(DeclineRow.intent_id == intent_id)
    if connection.scalar(known) is not None:
        return False
    connection.execute(
        sa.insert(DeclineRow).values(emr=emr, patient_id=patient_id, intent_id=intent_id, at=at, until=until)
    )
    return True
