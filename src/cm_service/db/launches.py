"""Launch states and page sessions, row by row."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from cm_service.db.doors import digest
from cm_service.db.launch_tables import LaunchState, PageSession


def begin(connection: sa.Connection, state: str, **columns: Any) -> None:
    connection.execute(sa.insert(LaunchState).values(digest=digest(state), used_at=None, **columns))


def take(connection: sa.Connection, state: str, *, emr: str, now: dt.datetime) -> Any | None:
    """The launch of this state, for the first one who asks in time; None for everybody else."""
    mine = (LaunchState.digest == digest(state), LaunchState.emr == emr)
    taken = sa.update(LaunchState).where(*mine, LaunchState.used_at.is_(None), LaunchState.expires_at > now)
    if connection.execute(taken.values(used_at=now)).rowcount != 1:
        return None
    return connection.execute(sa.select(LaunchState.__table__).where(*mine)).one()


def forget(connection: sa.Connection, *, before: dt.datetime) -> None:
    connection.execute(sa.delete(LaunchState).where(LaunchState.expires_at < before))
    connection.execute(sa.delete(PageSession).where(PageSession.idle_until < before))


def open_session(connection: sa.Connection, token: str, **columns: Any) -> None:
    connection.execute(sa.insert(PageSession).values(digest=digest(token), ended_at=None, **columns))


def session(connection: sa.Connection, token: str, *, now: dt.datetime) -> Any | None:
    """A session that is alive, None for any other."""
    return alive(connection, digest(token), now=now)


def alive(connection: sa.Connection, session_digest: str, *, now: dt.datetime) -> Any | None:
    statement = sa.select(PageSession.__table__).where(
        PageSession.digest == session_digest, PageSession.ended_at.is_(None), PageSession.idle_until > now
    )
    return connection.execute(statement).one_or_none()


def change_session(connection: sa.Connection, session_digest: str, **columns: Any) -> None:
    statement = sa.update(PageSession).where(PageSession.digest == session_digest)
    connection.execute(statement.values(**columns))


def end_others(
    connection: sa.Connection, browser_digest: str, *, user: str, emr: str, now: dt.datetime
) -> None:
    """Another user in the same browser: the pages of whoever was there before stop."""
    statement = sa.update(PageSession).where(
        PageSession.browser_digest == browser_digest,
        PageSession.ended_at.is_(None),
        sa.or_(PageSession.user != user, PageSession.emr != emr),
    )
    connection.execute(statement.values(ended_at=now))
