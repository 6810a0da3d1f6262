"""`/notifications/{emr}`: stored and answered at once. What is sent is a hint: it decides nothing, and
whoever it is about is read again from the EMR (`flow.hinted`). The night remains the truth."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from cm_service.api import problems
from cm_service.api.doorway import Doorway, doorway
from cm_service.api.metrics import NOTIFICATIONS
from cm_service.api.notifications.sender import body_of, sender
from cm_service.api.security.limiter import Limiter
from cm_service.db import hints
from cm_service.errors import BadInput
from cm_service.fhir.values import References
from cm_service.flow import notification, subscribed
from cm_service.flow.hinted import FOLLOWED
from cm_service.logs import log

router = APIRouter(tags=["notifications"], responses=problems.responses(400, 401, 410, 413, 415, 429))
WAIT = dt.timedelta(seconds=5)  # one change is often told several times at once
LOOK_WAIT = dt.timedelta(seconds=60)  # what is missing may only be late
_BELOW = "/notifications/{emr}/{kind}/{id_}"
_STORM = 60  # seconds
Json = dict[str, Any]


@router.post("/notifications/{emr}", summary="An EMR tells that something changed")
async def notified(request: Request, emr: str) -> Response:
    """FHIR R4 rest-hook without content, or with the resource; or a Bundle of Subscriptions R5 Backport."""
    door, row = doorway(request), await _admitted(request, emr)
    body = _json(await body_of(request, longest=door.tools.settings.api_longest_body))
    if body is None:
        return await run_in_threadpool(_look, door, emr)
    if body.get("resourceType") == "Bundle":
        return await run_in_threadpool(_bundle, door, row, body)
    return await run_in_threadpool(_hint, door, emr, notification.focus_of(body))


@router.put(_BELOW, summary="The same, as some servers do it: as if we were to store the resource")
@router.post(_BELOW, summary="The same, with POST", operation_id="notified_below_by_post")
@router.delete(_BELOW, summary="The resource was deleted", operation_id="notified_of_deletion")
async def notified_below(request: Request, emr: str, kind: str, id_: str) -> Response:
    door = doorway(request)
    await _admitted(request, emr)
    _json(await body_of(request, longest=door.tools.settings.api_longest_body))
    return await run_in_threadpool(_hint, door, emr, notification.key_of(kind, id_))


async def _admitted(request: Request, emr: str) -> Any:
    """The EMR's row. Raises HTTPException 401 or 429."""
    door = doorway(request)
    row = await run_in_threadpool(sender, door, emr, request)
    if wait := _limiter(request, door).wait(emr, door.clock()):
        _refuse_storm(emr, wait)
    return row


def _limiter(request: Request, door: Doorway) -> Limiter:
    state = request.app.state
    if not hasattr(state, "notifications"):
        state.notifications = Limiter(door.tools.settings.hint_calls_per_minute)
    found: Limiter = state.notifications
    return found


def _refuse_storm(emr: str, seconds: int) -> None:
    """Nothing is lost by it: the night reads everything."""
    NOTIFICATIONS.labels(emr, "storm").inc()
    raise HTTPException(429, "too many notifications", headers={"Retry-After": str(seconds)})


def _json(raw: bytes) -> Json | None:
    if not raw.strip():
        return None
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body is no JSON") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is no FHIR resource")
    return body


def _hint(door: Doorway, emr: str, key: str | None) -> Response:
    """Keep it, if it is about anything that is read at all."""
    if key is None:
        raise HTTPException(400, "the body is no FHIR resource with an id")
    with door.database.write() as connection:
        _keep(door, connection, emr, [key])
    return Response(status_code=200)


def _look(door: Doorway, emr: str) -> Response:
    """Something changed, and nobody says what."""
    with door.database.write() as connection:
        _keep(door, connection, emr, [], look=True)
    return Response(status_code=200)


def _keep(door: Doorway, connection: sa.Connection, emr: str, keys: list[str], *, look: bool = False) -> None:
    """Raises HTTPException 429, and then nothing of this notification is kept: it may come again."""
    now = door.clock()
    useful = [key for key in keys if key.partition("/")[0] in FOLLOWED]
    kept = hints.add(connection, emr, useful, now=now, wait=WAIT)
    if look:
        kept &= hints.add(connection, emr, [hints.LOOK], now=now, wait=LOOK_WAIT)
    if not kept:
        _refuse_storm(emr, _STORM)
    NOTIFICATIONS.labels(emr, "kept" if useful or look else "ignored").inc()


def _bundle(door: Doorway, row: Any, body: Json) -> Response:
    try:
        said = notification.parse(body, References(row.base_url))
    except BadInput as error:
        raise HTTPException(400, str(error)) from None
    if not _is_known(door, row, said):
        NOTIFICATIONS.labels(row.slug, "unknown subscription").inc()
        log.warning("a notification of a subscription that is not known")
        raise HTTPException(410, "this subscription is not known here: turn it off")
    with door.database.write() as connection:
        old = subscribed.standing_of(hints.subscription(connection, row.slug, said.subscription))
        news = subscribed.take(old, said)
        _keep_standing(connection, row.slug, said.subscription, news.standing, door.clock())
        _keep(door, connection, row.slug, list(news.keys), look=news.look)
    return Response(status_code=200)


def _is_known(door: Doorway, row: Any, said: notification.Notification) -> bool:
    """Those that the operator listed; where he listed none, those that came with a handshake first."""
    listed = row.notify_options.get("subscriptions")
    if listed:
        return said.subscription in listed.split(",")
    if said.type == notification.HANDSHAKE:
        return True
    with door.database.read() as connection:
        return hints.subscription(connection, row.slug, said.subscription) is not None


def _keep_standing(
    connection: sa.Connection, emr: str, id_: str, standing: subscribed.Standing, now: dt.datetime
) -> None:
    hints.keep(
        connection,
        emr=emr,
        subscription=id_,
        status=standing.status,
        highest=standing.highest,
        missing=list(standing.missing),
        recent={str(number): digest for number, digest in standing.recent},
        heard_at=now,
        gaps=standing.gaps,
    )
