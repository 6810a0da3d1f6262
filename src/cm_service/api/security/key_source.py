"""Where the public keys of a registered party come from: the set given as a file, or its JWKS URL.

Only URLs that an operator registered are ever called. A fetched set is believed as long as its
Cache-Control says (RFC 9111), and an unknown kid makes us look again, at most once in a while: an
attacker's flood of made-up kids must not become a flood of requests to the party's server.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from cm_service.api.security.key_sets import PublicKey, checked_set, fitting_key
from cm_service.api.security.signed import Header
from cm_service.errors import CmError

USUAL_AGE, LONGEST_AGE = dt.timedelta(minutes=5), dt.timedelta(hours=24)
LOOK_AGAIN_AFTER = dt.timedelta(seconds=30)
# After a failure nobody is asked again for this long: a server that hangs must not hold every call.
TRY_AGAIN_AFTER = dt.timedelta(seconds=5)
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,9})\"?(?:$|[,\s])", re.IGNORECASE)
_NEVER_KEEP = re.compile(r"(?:^|[,\s])(?:no-store|no-cache)(?:$|[,\s=])", re.IGNORECASE)


class KeysUnavailable(CmError):
    """The party's key set cannot be fetched or is none: nobody of it is let in meanwhile."""


class Fetched(NamedTuple):
    """A JSON body and the Cache-Control header that came with it, "" for none."""

    body: Any
    cache_control: str


Fetch = Callable[[str], Awaitable[Fetched]]


class Registered(Protocol):
    """How a party's keys were registered: one of the two is None."""

    @property
    def jwks(self) -> dict[str, Any] | None: ...

    @property
    def jwks_url(self) -> str | None: ...


class _Kept(NamedTuple):
    keys: list[dict[str, Any]]
    until: dt.datetime


class KeySource:
    """Keys by party, shared by all requests of a process. `fetch` raises KeysUnavailable."""

    def __init__(self, fetch: Fetch, clock: Callable[[], dt.datetime]) -> None:
        self._fetch, self._clock = fetch, clock
        self._kept: dict[str, _Kept] = {}
        self._looked: dict[str, dt.datetime] = {}
        self._failed: dict[str, dt.datetime] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def key(self, party: Registered, header: Header) -> PublicKey | None:
        """The key that verifies what this party signed. A `jku` in the header must be the registered
        URL; where keys were registered as a file it is ignored, and it is never fetched."""
        if party.jwks_url is None:
            return _fit(checked_set(party.jwks), header)
        if header.jku is not None and header.jku != party.jwks_url:
            return None
        keys = await self._keys(party.jwks_url)
        found = _fit(keys, header)
        if found is None and self._may_look_again(party.jwks_url):
            found = _fit(await self._keys(party.jwks_url, again=True), header)
        return found

    async def all(self, url: str, *, again: bool = False) -> list[dict[str, Any]]:
        """Every key of a set; `again`: look anew if the last look is old enough. Raises KeysUnavailable."""
        return await self._keys(url, again=again)

    async def _keys(self, url: str, *, again: bool = False) -> list[dict[str, Any]]:
        """Whoever asks may be in a hurry; the look itself goes on, so that the next one finds a set."""
        looking = asyncio.ensure_future(self._found(url, again))
        looking.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(looking)

    async def _found(self, url: str, again: bool) -> list[dict[str, Any]]:
        async with self._locks.setdefault(url, asyncio.Lock()):
            kept = self._kept.get(url)
            fresh = kept is not None and self._clock() < kept.until
            if kept is not None and fresh and not (again and self._may_look_again(url)):
                return kept.keys
            try:
                return await self._fetched(url)
            except KeysUnavailable:
                if kept is not None and fresh:
                    return kept.keys
                raise

    async def _fetched(self, url: str) -> list[dict[str, Any]]:
        failed = self._failed.get(url)
        if failed is not None and self._clock() < failed + TRY_AGAIN_AFTER:
            raise KeysUnavailable("the key set of this party could not be fetched just now")
        self._looked[url] = self._clock()
        try:
            fetched = await self._fetch(url)
            keys = _checked(fetched.body)
        except KeysUnavailable:
            self._failed[url] = self._clock()
            raise
        self._failed.pop(url, None)
        self._kept[url] = _Kept(keys, self._clock() + _age(fetched.cache_control))
        return keys

    def _may_look_again(self, url: str) -> bool:
        looked = self._looked.get(url)
        return looked is None or self._clock() >= looked + LOOK_AGAIN_AFTER


def _checked(body: Any) -> list[dict[str, Any]]:
    try:
        return checked_set(body)
    except CmError as error:
        raise KeysUnavailable(str(error)) from error


def _fit(keys: list[dict[str, Any]], header: Header) -> PublicKey | None:
    return fitting_key(keys, kid=header.kid, algorithm=header.algorithm)


def _age(cache_control: str) -> dt.timedelta:
    """How long a set may be believed: what its server says, a day at most, and 5 minutes unsaid."""
    if _NEVER_KEEP.search(cache_control):
        return dt.timedelta(0)
    said = _MAX_AGE.search(cache_control)
    return min(dt.timedelta(seconds=int(said[1])), LONGEST_AGE) if said else USUAL_AGE
