"""The door of an EMR: the sandbox behind it answers only with a living token of the token server.

The server itself says whether a token lives and what it grants (introspection); nothing here looks
into a token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cm_service.sandbox import server
from tests.real.token_server import FRONT

_RIGHT = {"GET": "r", "POST": "c", "PUT": "u", "PATCH": "u", "DELETE": "d"}


class Passed(NamedTuple):
    """One request at the door."""

    method: str
    type: str
    token: str
    status: int = 0  # of the refusal


Before = Callable[["Door", Passed], None]


class Door:
    """`before` runs before each request is judged."""

    def __init__(self, inside: ASGIApp, token_server: str, *, before: Before) -> None:
        self._inside, self._before = inside, before
        self._server = httpx.Client(base_url=token_server)
        self.passed: list[Passed] = []

    @property
    def tokens(self) -> list[str]:
        """Different ones, in the order of their first use."""
        return list(dict.fromkeys(each.token for each in self.passed if each.token))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"].removeprefix("/fhir/")
        if path == ".well-known/smart-configuration":
            found = await run_in_threadpool(self._server.get, path)
            await JSONResponse(found.json())(scope, receive, send)
            return
        asked = Passed(scope["method"], path.partition("/")[0], _token(scope))
        await run_in_threadpool(self._before, self, asked)
        said = await run_in_threadpool(self._introspected, asked.token)
        status = self._judged(scope["method"], path, said)
        self.passed.append(asked._replace(status=status))
        if status:
            await JSONResponse({"resourceType": "OperationOutcome"}, status)(scope, receive, send)
        else:
            await self._inside(scope, receive, send)

    def _introspected(self, token: str) -> dict[str, Any]:
        pair = (FRONT["client_id"], FRONT["client_secret"])
        found = self._server.post("/token/introspection", data={"token": token or "none"}, auth=pair)
        return dict(found.raise_for_status().json())

    def _judged(self, method: str, path: str, said: dict[str, Any]) -> int:
        if not said["active"]:
            return 401
        kind = path.partition("/")[0].partition("?")[0]
        right = "s" if path.endswith("_search") else _RIGHT[method]
        words = [word.removeprefix("system/").partition(".") for word in said.get("scope", "").split()]
        granted = any(name in (kind, "*") and right in rights for name, _, rights in words)
        return 0 if granted or kind in ("metadata", "") else 403


def _token(scope: Scope) -> str:
    words = dict(scope["headers"]).get(b"authorization", b"").decode()
    return words.removeprefix("Bearer ") if words.startswith("Bearer ") else ""


@contextmanager
def guarded(
    inside: ASGIApp, token_server: str, *, before: Before = lambda _door, _asked: None
) -> Iterator[tuple[str, Door]]:
    """The FHIR base URL of the guarded EMR, and its door."""
    door = Door(inside, token_server, before=before)
    with server.serving(door) as base:
        yield base, door
