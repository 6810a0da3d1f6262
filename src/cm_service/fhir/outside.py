"""HTTP to hosts that are no EMR (key sets of clients, webhooks): registered by an operator, one answer,
small, soon, and never to an address inside our walls.

The host is resolved once and that very address is called, so that a name cannot point elsewhere between
the look and the call. No redirects: whoever has moved is registered anew.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import httpx

from cm_service.errors import BadInput, CmError
from cm_service.fhir.credentials import is_loopback

DEADLINE_SECONDS = 5.0
LARGEST = 262_144
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutsideUnreachable(CmError):
    """No usable answer, or an address that this service does not call."""


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def require_allowed(url: str) -> SplitResult:
    """Raises BadInput for a URL that nobody may register: https, or http to loopback in words."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadInput("this URL cannot be read") from error
    host = parts.hostname or ""
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not secure or not host or port == 0:
        raise BadInput("this URL must be https (http for loopback only)")
    if parts.username or parts.password or parts.fragment:
        raise BadInput("this URL may hold no user, password or fragment")
    return parts


class OutsideHttp:
    """`private_hosts`: hosts that may stand in a private network."""

    def __init__(
        self,
        client: Callable[[], AbstractAsyncContextManager[httpx.AsyncClient]],
        *,
        private_hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._client, self._private_hosts = client, private_hosts

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> Reply:
        """Raises OutsideUnreachable."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await self._ask(method, require_allowed(url), headers, content)
        except (TimeoutError, httpx.HTTPError, OSError, BadInput) as error:
            raise OutsideUnreachable("there is no usable answer") from error

    async def _ask(
        self, method: str, parts: SplitResult, headers: Mapping[str, str], content: bytes | None
    ) -> Reply:
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = await address_of(host, port, private_hosts=self._private_hosts)
        shown = f"[{address}]" if address.version == 6 else str(address)
        url = parts._replace(netloc=f"{shown}:{port}").geturl()
        named = {"Host": parts.netloc, "Accept-Encoding": "identity", **headers}
        asked = {"headers": named, "content": content, "extensions": {"sni_hostname": host}}
        async with self._client() as client, client.stream(method, url, **asked) as response:  # type: ignore[arg-type]
            return Reply(response.status_code, dict(response.headers), await _bounded(response))


async def address_of(host: str, port: int, *, private_hosts: frozenset[str] = frozenset()) -> Address:
    """Where it stands. Raises OutsideUnreachable where this service does not call, OSError for no host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not addresses or not all(_allowed(host, address, private_hosts) for address in addresses):
        raise OutsideUnreachable("the host stands where this service does not call")
    return addresses[0]


def _allowed(host: str, address: Address, private_hosts: frozenset[str]) -> bool:
    """A public name that leads to loopback, to a cloud's metadata or into a private network is an
    attempt to make us call what only we can reach."""
    if is_loopback(host):
        return address.is_loopback
    return address.is_global or (host in private_hosts and _is_network(address))


def _is_network(address: Address) -> bool:
    special = address.is_loopback or address.is_link_local or address.is_multicast
    return address.is_private and not special and not address.is_unspecified


async def _bounded(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST:
            raise OutsideUnreachable("the answer is too big")
    return body
