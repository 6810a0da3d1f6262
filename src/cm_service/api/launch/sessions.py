"""Sessions of launched pages: the token in the page's memory, whose it is, and how long it lives.

A page acts on its own patient and as its own user only. The token travels in an Authorization header
or a POST body, never in a URL, a cookie or the browser's storage.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from cm_service.api.doorway import Doorway, doorway
from cm_service.api.launch import exchange
from cm_service.api.launch.id_token import NotProven, require_same_subject
from cm_service.db import connections, launches
from cm_service.errors import CmError, EmrUnreachable

IDLE = dt.timedelta(minutes=30)
_REFRESH_EARLY = dt.timedelta(seconds=60)
_RENEWING: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
ENDED = "this session has ended: open the page again from the chart"


@dataclass(frozen=True, slots=True)
class Session:
    """Names and tokens in clear, for this request only. `others` are the same person's sign-ins at other
    practices, joined to this worklist; `gone` are the EMRs of those that have ended since."""

    digest: str
    emr: Any
    patient_id: str | None
    encounter_id: str | None
    user: str
    user_name: str
    patient_name: str
    bound: bool
    confirmed: bool
    scope: str
    access_token: str
    context: dict[str, Any]
    others: tuple[Session, ...] = ()
    gone: frozenset[str] = frozenset()

    @property
    def everywhere(self) -> tuple[Session, ...]:
        return (self, *self.others)


async def session_of(request: Request) -> Session:
    """The session of this request's token, with an access token that is alive. Raises HTTPException
    401 when it has ended, also when the EMR gives no more tokens: unsaved text stays in the page."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not 20 < len(token) < 200:
        raise HTTPException(401, ENDED, {"WWW-Authenticate": "Bearer"})
    door = doorway(request)
    row, emr = await run_in_threadpool(_found, door, token)
    if row is None or emr is None:
        raise _ended()
    access = await _access_token(door, emr, row)
    found = _opened(door, emr, row, access)
    others, joined = await _others(door, row.digest)
    return replace(found, others=others, gone=joined - {each.emr.slug for each in (found, *others)})


def _opened(door: Doorway, emr: Any, row: Any, access: str) -> Session:
    return Session(
        digest=row.digest,
        emr=emr,
        patient_id=row.patient_id,
        encounter_id=row.encounter_id,
        user=row.user,
        user_name=door.sealer.open(row.user_name),
        patient_name=door.sealer.open(row.patient_name),
        bound=row.bound,
        confirmed=row.confirmed,
        scope=row.scope,
        access_token=access,
        context=row.context,
    )


async def _others(door: Doorway, digest: str) -> tuple[tuple[Session, ...], frozenset[str]]:
    """Those that go on, and the EMRs of all: one that has ended leaves the page, and the page says so."""
    found = []
    rows, joined = await run_in_threadpool(_held, door, digest)
    for row, emr in rows:
        try:
            found.append(_opened(door, emr, row, await _access_token(door, emr, row)))
        except HTTPException:
            continue
    return tuple(found), joined


def _held(door: Doorway, digest: str) -> tuple[list[tuple[Any, Any]], frozenset[str]]:
    with door.database.read() as connection:
        joined = launches.joined(connection, digest)
        rows = launches.held(connection, digest, now=door.clock()) if joined else []
    if not rows:
        return [], joined
    with door.store.read() as connection:
        emrs = {emr.slug: emr for emr in connections.list_emrs(connection)}
    return [(row, emrs[row.emr]) for row in rows if row.emr in emrs], joined


async def confirmed_session(request: Request) -> Session:
    """For everything but the click itself: an unbound session shows nothing before its click."""
    found = await session_of(request)
    if not found.confirmed:
        raise HTTPException(403, "say first that this is the right patient and user")
    return found


def _found(door: Doorway, token: str) -> tuple[Any | None, Any | None]:
    now = door.clock()
    with door.database.write() as connection:
        row = launches.session(connection, token, now=now)
        if row is None:
            return None, None
        launches.use(connection, row.digest, until=now + IDLE)
    with door.store.read() as connection:
        emr = next((e for e in connections.list_emrs(connection) if e.slug == row.emr), None)
    return row, emr


async def _access_token(door: Doorway, emr: Any, row: Any) -> str:
    if _is_young(door, row):
        return door.sealer.open(row.access_token)
    async with _RENEWING.setdefault(row.digest, asyncio.Lock()):
        # A refresh token is good once: whoever waited here finds what the first one was given.
        current = await run_in_threadpool(_alive, door, row.digest)
        if current is None:
            raise _ended()
        if _is_young(door, current):
            return door.sealer.open(current.access_token)
        if current.refresh_token:
            return await _renewed(door, emr, current)
    if current.token_until > door.clock():
        return door.sealer.open(current.access_token)
    raise _ended()


def _is_young(door: Doorway, row: Any) -> bool:
    return bool(row.token_until - _REFRESH_EARLY > door.clock())


async def _renewed(door: Doorway, emr: Any, row: Any) -> str:
    """EL-13. Raises HTTPException 401, and then the session has ended."""
    refresh = door.sealer.open(row.refresh_token)
    try:
        granted = await exchange.by_refresh(door, emr, endpoint=row.token_endpoint, refresh_token=refresh)
        _require_same(row, granted, client_id=emr.launch_options["client-id"])
    except EmrUnreachable as error:
        if row.token_until > door.clock():
            return door.sealer.open(row.access_token)
        raise _ended() from error
    except CmError as error:
        newer = await run_in_threadpool(_alive, door, row.digest)
        if newer is not None and newer.refresh_token != row.refresh_token:
            return door.sealer.open(newer.access_token)  # another process was faster
        await run_in_threadpool(_change, door, row.digest, ended_at=door.clock())
        raise _ended() from error
    kept = granted.refresh_token or refresh  # without a new one the server goes on with the old one
    await run_in_threadpool(
        _change,
        door,
        row.digest,
        access_token=door.sealer.seal(granted.access_token),
        refresh_token=door.sealer.seal(kept),
        token_until=granted.until,
    )
    return granted.access_token


def _require_same(row: Any, granted: exchange.Granted, *, client_id: str) -> None:
    """A refresh never widens, and never is about somebody else. Raises NotProven."""
    if granted.scope and set(granted.scope.split()) - set(row.scope.split()):
        raise NotProven("the refresh grants more than the launch")
    if granted.patient is not None and granted.patient != row.patient_id:
        raise NotProven("the refresh is about another patient")
    if granted.id_token:
        require_same_subject(granted.id_token, subject=row.subject, client_id=client_id)


def _ended() -> HTTPException:
    return HTTPException(401, ENDED, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _alive(door: Doorway, digest: str) -> Any | None:
    with door.database.read() as connection:
        return launches.alive(connection, digest, now=door.clock())


def _change(door: Doorway, digest: str, **columns: Any) -> None:
    with door.database.write() as connection:
        launches.change_session(connection, digest, **columns)


def confirm(door: Doorway, found: Session) -> None:
    _change(door, found.digest, confirmed=True)


def end(door: Doorway, found: Session) -> None:
    with door.database.write() as connection:
        launches.end(connection, found.digest, now=door.clock())
