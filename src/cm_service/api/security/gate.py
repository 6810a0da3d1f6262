"""The gate before `/v1`: who asks is judged before path, body and existence.

Without a living token every request there is 401, whatever it names. Behind it: a limit on calls and
on the size of a body. Every answer of the service bears a request id.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cm_service.api import problems
from cm_service.api.doorway import Doorway
from cm_service.api.security import scopes
from cm_service.api.security.limiter import Limiter
from cm_service.api.security.scopes import Grant
from cm_service.db import doors

PREFIX = "/v1"
LONGEST_FORM = 200_000  # bytes that a page may send
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking. `emrs` None means every connection."""

    client_id: str
    grants: tuple[Grant, ...]
    emrs: frozenset[str] | None

    def may(self, type_: str, right: str) -> bool:
        return scopes.may(self.grants, type_, right)

    def sees(self, emr: str) -> bool:
        return self.emrs is None or emr in self.emrs

    def labels(self, type_: str, right: str) -> frozenset[str]:
        """Codes of the confidentiality labels under which records may be shown, too."""
        return scopes.labels(self.grants, type_, right)


class Gate:
    """ASGI: request ids for all, everything else for `/v1` only."""

    def __init__(
        self, app: ASGIApp, *, doorway: Callable[[], Doorway], calls_per_minute: int, longest_body: int
    ) -> None:
        self.app, self._doorway, self._longest_body = app, doorway, longest_body
        self._limiter = Limiter(calls_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        send = _with_request_id(send, request_id)
        if scope["path"] == PREFIX or scope["path"].startswith(f"{PREFIX}/"):
            await self._guarded(scope, receive, send)
        elif scope["path"].startswith("/app/"):
            await self.app(scope, _bounded(receive, LONGEST_FORM), send)
        else:
            await self.app(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self._doorway()
        principal = await self._principal(door, scope)
        if principal is None:
            said = "authorization" in Headers(scope=scope)
            challenge = 'Bearer error="invalid_token"' if said else "Bearer"
            refusal = problems.answer(
                401, "a living access token is needed", headers={"WWW-Authenticate": challenge}
            )
            await refusal(scope, receive, send)
            return
        wait = self._limiter.wait(principal.client_id, door.clock())
        if wait:
            busy = problems.answer(
                429, "too many calls in this minute", advice="retry", headers={"Retry-After": str(wait)}
            )
            await busy(scope, receive, send)
            return
        scope["state"]["principal"] = principal
        await self.app(scope, _bounded(receive, self._longest_body), send)

    async def _principal(self, door: Doorway, scope: Scope) -> Principal | None:
        """A token in the query string would stand in every log on the way: refused even if it lives."""
        if "access_token" in parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True):
            return None
        words = Headers(scope=scope).getlist("authorization")
        kind, _, text = words[0].partition(" ") if len(words) == 1 else ("", "", "")
        if kind.lower() != "bearer" or not text or len(text) > 200:
            return None
        row = await run_in_threadpool(_token, door, text)
        if row is None:
            return None
        emrs = None if row.emrs is None else frozenset(row.emrs)
        return Principal(row.client_id, scopes.parse(row.scope), emrs)


def _token(door: Doorway, text: str) -> Any | None:
    with door.database.read() as connection:
        return doors.token(connection, text, now=door.clock())


def _request_id(headers: Headers) -> str:
    """The caller's own, if it is a harmless word; else one of ours."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)


def _with_request_id(send: Send, request_id: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Request-Id"] = request_id
        await send(message)

    return sending


def _bounded(receive: Receive, longest: int) -> Receive:
    """Stops reading a body at the limit, however it is sent."""
    read = 0

    async def receiving() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > longest:
            raise HTTPException(413, f"a body may have {longest} bytes at most")
        return message

    return receiving
