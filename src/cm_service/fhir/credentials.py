"""How requests to one EMR prove who we are. More ways follow the same protocol."""

from __future__ import annotations

import ipaddress
from typing import Protocol


class Credentials(Protocol):
    async def authorization(self) -> str | None:
        """The value of the Authorization header, None for none."""
        ...

    async def renew(self) -> None:
        """Called once after a 401: the next `authorization` should be a fresh one."""
        ...


class NoCredentials:
    """Good for loopback only."""

    async def authorization(self) -> str | None:
        return None

    async def renew(self) -> None:
        return None


class StaticBearer:
    """A token that a person put into the environment or a file."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    async def authorization(self) -> str | None:
        return self._header

    async def renew(self) -> None:
        return None


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
