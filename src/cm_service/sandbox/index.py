"""What a search can see: real search indexes run behind the store, and some EMRs hide what is fresh.

Reading by id never passes through here.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cm_service.sandbox.versions import Version


class _Freeze(NamedTuple):
    """The index stands at a place of the journal until a request or a moment, whichever comes first."""

    position: int
    request: int | None
    moment: dt.datetime | None


class SearchIndex:
    """Not thread-safe by itself: the store's lock is held around it."""

    def __init__(self) -> None:
        self._requests = 0
        self._freeze: _Freeze | None = None
        self._released: set[tuple[str, str]] = set()

    def freeze(self, position: int, *, requests: int | None = None, until: dt.datetime | None = None) -> None:
        """From now on nothing new is found, for `requests` further requests or `until` a moment."""
        end = None if requests is None else self._requests + requests
        self._freeze = _Freeze(position, end, until)

    def count_request(self, now: dt.datetime) -> None:
        """One more request came in; an index that has stood long enough catches up."""
        self._requests += 1
        stand = self._freeze
        if stand is None:
            return
        over = stand.request is not None and self._requests > stand.request
        if over or (stand.moment is not None and now >= stand.moment):
            self._freeze = None

    def release(self, type_: str, id_: str) -> None:
        """Somebody in the EMR has seen and taken over what a client filed."""
        self._released.add((type_, id_))

    def seen(self, chain: list[Version], *, held: bool, before: dt.datetime | None) -> Version | None:
        """The version of one resource that searches find, if any: the newest that the index has."""
        newest = chain[-1]
        if held and chain[0].by == "client" and (newest.type, newest.id) not in self._released:
            return None
        if self._freeze is None and before is None:
            return newest
        for version in reversed(chain):
            fresh = self._freeze is not None and version.position >= self._freeze.position
            if not fresh and (before is None or version.updated <= before):
                return version if version.resource is not None else None
        return None
