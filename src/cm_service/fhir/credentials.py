"""How requests to one EMR prove who we are. More ways follow the same protocol."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Protocol


class Credentials(Protocol):
    @property
    def scope(self) -> str | None:
        """The scopes that came with the token, separated by spaces; None where nobody said them."""
        ...

    async def authorization(self) -> str | None:
        """The value of the Authorization header, None for none."""
        ...

    async def renew(self, rejected: str | None) -> bool:
        """Called after a 401 to this header; whether there is another one now, so that a second try makes
        sense. Raises what `authorization` raises."""
        ...


class NoCredentials:
    """Good for loopback, unless a person says otherwise."""

    scope = None

    async def authorization(self) -> str | None:
        return None

    async def renew(self, rejected: str | None) -> bool:  # noqa: ARG002
        return False


class StaticBearer:
    """A token that a person put into the environment or a file: what it grants was said to that person.

    `token` may be what fetches it, raising Misconfigured: called at the first request and after a 401,
    so that a file that somebody renewed meanwhile is read again."""

    scope = None

    def __init__(self, token: str | Callable[[], str]) -> None:
        self._fetch = token if callable(token) else lambda: token
        self._header: str | None = None

    async def authorization(self) -> str | None:
        if self._header is None:
            self._header = f"Bearer {self._fetch()}"
        return self._header

    async def renew(self, rejected: str | None) -> bool:
        self._header = None
        return await self.authorization() != rejected


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
