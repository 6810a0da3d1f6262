"""`Idempotency-Key`: a POST that its caller may send again after a lost answer.

The key is taken in the store before anything is done, and the answer kept beside it. The same key with
another request is 422, a second one while the first is at work 409.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from cm_service.api.doorway import Doorway, doorway
from cm_service.db import repeats

HEADER = "Idempotency-Key"
_LONGEST_KEY = 255
_KEPT = ("content-type", "etag", "location")
# The first one's process may have died: after this long its key may be taken over.
STUCK = dt.timedelta(minutes=2)
LIFE = dt.timedelta(hours=24)


async def repeated(request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
    """The first answer for this key, or that of `handle`. Raises HTTPException (400, 409, 422)."""
    key = request.headers.get(HEADER)
    if request.method != "POST" or key is None:
        return await handle(request)
    if not 0 < len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise HTTPException(400, f"{HEADER} takes 1 to {_LONGEST_KEY} printable ASCII characters")
    door, call = doorway(request), await _call(request, key)
    kept = await run_in_threadpool(_begin, door, call)
    if kept is not None:
        return Response(kept.body, kept.status, {**kept.headers, "Idempotent-Replayed": "true"})
    try:
        response = await handle(request)
    except BaseException:
        await run_in_threadpool(_give_up, door, call)
        raise
    await run_in_threadpool(_end, door, call, response)
    return response


async def _call(request: Request, key: str) -> repeats.Call:
    whole = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body()
    return repeats.Call(request.state.principal.client_id, key, whole)


def _begin(door: Doorway, call: repeats.Call) -> repeats.Answer | None:
    now = door.clock()
    with door.database.write() as connection:
        repeats.forget(connection, before=now - LIFE)
        found = repeats.take(connection, call, now=now, stuck_before=now - STUCK)
    if found is None:
        return None
    if not found.same_request:
        raise HTTPException(422, f"this {HEADER} belongs to another request")
    if found.answer is None:
        raise HTTPException(409, "the first request with this key is still at work", {"Retry-After": "2"})
    return found.answer


def _end(door: Doorway, call: repeats.Call, response: Response) -> None:
    """A fault of ours is not kept: the caller should be able to try again."""
    headers = {name: response.headers[name] for name in _KEPT if name in response.headers}
    with door.database.write() as connection:
        if response.status_code >= 500:
            repeats.drop(connection, call)
        else:
            answer = repeats.Answer(response.status_code, headers, bytes(response.body))
            repeats.finish(connection, call, answer)


def _give_up(door: Doorway, call: repeats.Call) -> None:
    with door.database.write() as connection:
        repeats.drop(connection, call)
