"""The sandbox for httpx without a socket: a million requests need none.

What a broken connection does to a client is raised as httpx raises it over a real one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import unquote

import httpx

from cm_service.sandbox.exchange import BrokenConnectionError, Handler, Incoming, Outgoing


class InProcess(httpx.AsyncBaseTransport):
    """`httpx.AsyncClient(transport=InProcess(handler))`; the base URL is any host with `/fhir`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            outgoing = await self._handler(await _incoming(request))
        except BrokenConnectionError as broken:
            if broken.late:
                raise httpx.ReadTimeout("no answer in time", request=request) from broken
            raise httpx.ReadError("the connection was reset", request=request) from broken
        return httpx.Response(outgoing.status, headers=_headers(outgoing), stream=_Body(outgoing, request))


async def _incoming(request: httpx.Request) -> Incoming:
    url = request.url
    path, _, query = url.raw_path.decode("ascii").partition("?")
    headers: dict[str, str] = {}
    for raw_name, raw_value in request.headers.raw:
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
    return Incoming(request.method, origin, unquote(path), query, headers, await request.aread())


def _headers(outgoing: Outgoing) -> dict[str, str]:
    return {**outgoing.headers, "Content-Length": str(len(outgoing.body))}


class _Body(httpx.AsyncByteStream):
    """The body as it comes: whole, or ending before its promised length."""

    def __init__(self, outgoing: Outgoing, request: httpx.Request) -> None:
        self._outgoing, self._request = outgoing, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._outgoing.body[: self._outgoing.cut]
        if self._outgoing.cut is not None:
            raise httpx.RemoteProtocolError("peer closed connection in the body", request=self._request)
