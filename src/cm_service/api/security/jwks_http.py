"""Fetching a registered party's key set: one host, one answer, small, soon, and nothing inside our walls.

The host is resolved once and that very address is called, so that a name cannot point elsewhere between
the look and the call. No redirects: a key set that has moved is registered anew.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from urllib.parse import SplitResult, urlsplit

import httpx

from cm_service.api.security.key_source import Fetched, KeysUnavailable
from cm_service.errors import BadInput
from cm_service.fhir.credentials import is_loopback

DEADLINE_SECONDS = 5.0
LARGEST = 262_144
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def require_allowed(url: str) -> SplitResult:
    """Raises BadInput for a URL that no party may register: https, or http to loopback in words."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadInput("the URL of a key set cannot be read") from error
    host = parts.hostname or ""
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not secure or not host or port == 0:
        raise BadInput("the URL of a key set must be https (http for loopback only)")
    if parts.username or parts.password or parts.fragment:
        raise BadInput("the URL of a key set holds no user, password or fragment")
    return parts


class JwksHttp:
    """Fetches for `KeySource`. `private_hosts`: hosts that may stand in a private network."""

    def __init__(
        self,
        client: Callable[[], AbstractAsyncContextManager[httpx.AsyncClient]],
        *,
        private_hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._client, self._private_hosts = client, private_hosts

    async def __call__(self, url: str) -> Fetched:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await self._fetch(require_allowed(url))
        except (TimeoutError, httpx.HTTPError, OSError, BadInput) as error:
            raise KeysUnavailable("the key set of this party cannot be fetched") from error

    async def _fetch(self, parts: SplitResult) -> Fetched:
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = await self._address(host, port)
        shown = f"[{address}]" if address.version == 6 else str(address)
        url = parts._replace(netloc=f"{shown}:{port}").geturl()
        headers = {"Host": parts.netloc, "Accept": "application/json", "Accept-Encoding": "identity"}
        async with (
            self._client() as client,
            client.stream("GET", url, headers=headers, extensions={"sni_hostname": host}) as response,
        ):
            if response.status_code != 200:
                raise KeysUnavailable(f"the key set was answered with {response.status_code}")
            return Fetched(await _json(response), response.headers.get("cache-control", ""))

    async def _address(self, host: str, port: int) -> Address:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        if not addresses or not all(self._allowed(host, address) for address in addresses):
            raise KeysUnavailable("the key set's host stands where this service does not call")
        return addresses[0]

    def _allowed(self, host: str, address: Address) -> bool:
        """A public name that leads to loopback, to a cloud's metadata or into a private network is an
        attempt to make us call what only we can reach."""
        if is_loopback(host):
            return address.is_loopback
        return address.is_global or (host in self._private_hosts and _is_network(address))


def _is_network(address: Address) -> bool:
    special = address.is_loopback or address.is_link_local or address.is_multicast
    return address.is_private and not special and not address.is_unspecified


async def _json(response: httpx.Response) -> object:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST:
            raise KeysUnavailable("the key set is too big")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise KeysUnavailable("the key set is no JSON") from error
