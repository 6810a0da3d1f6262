"""POST requests by the key under which their caller may send them again."""

from __future__ import annotations

import datetime as dt
from hashlib import sha256
from typing import Any, NamedTuple

import sqlalchemy as sa

from cm_service.db.door_tables import IdempotentCall


class Call(NamedTuple):
    """`whole` is everything that makes the request what it is; only its digest is kept."""

    client_id: str
    key: str
    whole: bytes

    @property
    def row(self) -> dict[str, Any]:
        return {"client_id": self.client_id, "key_digest": sha256(self.key.encode()).hexdigest()}

    @property
    def request_digest(self) -> str:
        return sha256(self.whole).hexdigest()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Found(NamedTuple):
    """What stands under the key already; `answer` None while the first is at work."""

    same_request: bool
    answer: Answer | None


def take(
    connection: sa.Connection, call: Call, *, now: dt.datetime, stuck_before: dt.datetime
) -> Found | None:
    """None if the key is now ours to work under. In a transaction that writes: of two at once the
    second waits and finds the first's row, or fails on its key and is told that one is at work."""
    mine = _mine(call)
    row = connection.execute(sa.select(IdempotentCall.__table__).where(mine).with_for_update()).one_or_none()
    if row is not None and row.status is None and row.started_at < stuck_before:
        connection.execute(sa.delete(IdempotentCall).where(mine))
        row = None
    if row is None:
        return _insert(connection, call, now)
    same = row.request_digest == call.request_digest
    answer = Answer(row.status, row.headers, row.body or b"") if row.status is not None else None
    return Found(same, answer)


def _insert(connection: sa.Connection, call: Call, now: dt.datetime) -> Found | None:
    blank: dict[str, Any] = {"status": None, "headers": {}, "body": None, "started_at": now}
    row = call.row | {"request_digest": call.request_digest} | blank
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(IdempotentCall).values(**row))
    except sa.exc.IntegrityError:
        return Found(True, None)
    return None


def finish(connection: sa.Connection, call: Call, answer: Answer) -> None:
    columns = {"status": answer.status, "headers": answer.headers, "body": answer.body}
    connection.execute(sa.update(IdempotentCall).where(_mine(call)).values(**columns))


def drop(connection: sa.Connection, call: Call) -> None:
    connection.execute(sa.delete(IdempotentCall).where(_mine(call), IdempotentCall.status.is_(None)))


def forget(connection: sa.Connection, *, before: dt.datetime) -> None:
    connection.execute(sa.delete(IdempotentCall).where(IdempotentCall.started_at < before))


def _mine(call: Call) -> sa.ColumnElement[bool]:
    row = call.row
    return sa.and_(
        IdempotentCall.client_id == row["client_id"], IdempotentCall.key_digest == row["key_digest"]
    )
