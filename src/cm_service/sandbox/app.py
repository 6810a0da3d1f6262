"""The FHIR server as an ASGI application, faults and all."""

from __future__ import annotations

import asyncio
import socket
import struct

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from cm_service.sandbox.declared import Personality
from cm_service.sandbox.exchange import BASE_PATH, BrokenConnectionError, Handler, Incoming, Outgoing
from cm_service.sandbox.faults import FaultPlan, Faults
from cm_service.sandbox.front import front_door, seen_by_client
from cm_service.sandbox.personality import GENEROUS
from cm_service.sandbox.store import Store

__all__ = ["BASE_PATH", "asgi", "create_app", "sandbox_handler"]

CONNECTION = "cm_service.connection"  # where the server puts the transport of the connection in the scope
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


def sandbox_handler(
    store: Store, *, personality: Personality = GENEROUS, faults: FaultPlan | None = None
) -> Handler:
    """The whole sandbox as one handler: personality inside, faults around it.

    A campaign that injects a sleep, or settles at its end, puts the same three layers together itself.
    """
    handler = front_door(store, personality)
    if faults is not None:
        handler = Faults(faults, handler, store=store)
    return seen_by_client(store, handler)


def create_app(
    store: Store, *, personality: Personality = GENEROUS, faults: FaultPlan | None = None
) -> Starlette:
    """The server over `store`, under `/fhir`."""
    return asgi(sandbox_handler(store, personality=personality, faults=faults))


def asgi(handler: Handler) -> Starlette:
    """Any handler as an application."""

    async def endpoint(request: Request) -> Response:
        try:
            outgoing = await handler(await _incoming(request))
        except BrokenConnectionError:
            return _Broken()
        return _Cut(outgoing) if outgoing.cut is not None else _whole(outgoing)

    paths = (BASE_PATH, BASE_PATH + "/{path:path}")
    return Starlette(routes=[Route(path, endpoint, methods=_METHODS) for path in paths])


async def _incoming(request: Request) -> Incoming:
    return Incoming(
        method=request.method,
        origin=f"{request.url.scheme}://{request.url.netloc}",
        path=request.scope["path"],
        query=request.scope["query_string"].decode("ascii"),
        headers={name: ", ".join(request.headers.getlist(name)) for name in request.headers},
        body=await request.body(),
    )


def _whole(outgoing: Outgoing) -> Response:
    return Response(outgoing.body or None, outgoing.status, dict(outgoing.headers))


class _Broken(Response):
    """The connection is reset; no answer."""

    async def __call__(self, scope: Scope, receive: Receive, _: Send) -> None:
        await _end(scope, receive, reset=True)


class _Cut(Response):
    """The headers promise the whole body; the connection ends before it has come."""

    def __init__(self, outgoing: Outgoing) -> None:
        super().__init__(outgoing.body, outgoing.status, dict(outgoing.headers))
        self._kept = outgoing.body[: outgoing.cut]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._kept, "more_body": True})
        await _end(scope, receive, reset=False)


async def _end(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """Close the connection under the server's feet, and wait until it has noticed."""
    connection: asyncio.Transport = scope[CONNECTION]
    if reset:
        connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        connection.abort()
    else:
        connection.close()
    while (await receive())["type"] != "http.disconnect":
        pass
