"""Launch states and page sessions, row by row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
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
    """A session that is alive and a page's own, None for any other."""
    row = alive(connection, digest(token), now=now)
    return row if row is not None and row.held_by is None else None


def alive(connection: sa.Connection, session_digest: str, *, now: dt.datetime) -> Any | None:
    statement = sa.select(PageSession.__table__).where(
        PageSession.digest == session_digest, PageSession.ended_at.is_(None), PageSession.idle_until > now
    )
    return connection.execute(statement).one_or_none()


def change_session(connection: sa.Connection, session_digest: str, **columns: Any) -> None:
    statement = sa.update(PageSession).where(PageSession.digest == session_digest)
    connection.execute(statement.values(**columns))


def held(connection: sa.Connection, by: str, *, now: dt.datetime) -> list[Any]:
    """The sign-ins at other practices that this session holds, as long as they live."""
    mine = (PageSession.held_by == by, PageSession.ended_at.is_(None), PageSession.idle_until > now)
    return list(connection.execute(sa.select(PageSession.__table__).where(*mine).order_by(PageSession.emr)))


def joined(connection: sa.Connection, by: str) -> frozenset[str]:
    """The EMRs of all sign-ins that this session ever held, also of those that have ended."""
    return frozenset(connection.scalars(sa.select(PageSession.emr).where(PageSession.held_by == by)))


def hold(connection: sa.Connection, first: str, *, by: str) -> None:
    """What was the page `first`, with all that it held, is behind the page `by` from now on."""
    mine = sa.or_(PageSession.digest == first, PageSession.held_by == first)
    connection.execute(sa.update(PageSession).where(mine).values(held_by=by))


def use(connection: sa.Connection, session_digest: str, *, until: dt.datetime) -> None:
    """Somebody is at this page: it goes on, and so does what it holds."""
    mine = sa.or_(PageSession.digest == session_digest, PageSession.held_by == session_digest)
    connection.execute(sa.update(PageSession).where(mine).values(idle_until=until))


def end(connection: sa.Connection, session_digest: str, *, now: dt.datetime) -> None:
    """A page, with what it holds."""
    mine = sa.or_(PageSession.digest == session_digest, PageSession.held_by == session_digest)
    statement = sa.update(PageSession).where(mine, PageSession.ended_at.is_(None))
    connection.execute(statement.values(ended_at=now))


def end_others(
    connection: sa.Connection, browser_digest: str, *, keep: Iterable[tuple[str, str]], now: dt.datetime
) -> None:
    """Another user in the same browser: the pages of whoever was there before stop. `keep` is who is
    there now, as (EMR, user): one person, signed in at one practice or at several."""
    here = sa.or_(*(sa.and_(PageSession.emr == emr, PageSession.user == user) for emr, user in keep))
    statement = sa.update(PageSession).where(
        PageSession.browser_digest == browser_digest, PageSession.ended_at.is_(None), sa.not_(here)
    )
    connection.execute(statement.values(ended_at=now))
