"""What a search can see: real search indexes run behind the store, and some EMRs hide what is fresh.

Reading by id never passes through here.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cm_service.sandbox.versions import Version


class _Freeze(NamedTuple):
    """The index stands at a place of the journal until a request or a moment, whichever comes first."""

    position: int
    request: int | None
    moment: dt.datetime | None


class Dropped(StrEnum):
    """What an EMR that does not use `_lastUpdated` makes of it."""

    SILENTLY = "ignored, and not in the self link"
    SHOWN = "ignored, and in the self link all the same"
    EMPTY = "taken as a filter that nothing meets"


class SearchIndex:
    """Not thread-safe by itself: the store's lock is held around it. `dropped` says of which types
    `_lastUpdated` is not used at the moment, whatever /metadata promises."""

    def __init__(self) -> None:
        self._requests = 0
        self._freeze: _Freeze | None = None
        self._released: set[tuple[str, str]] = set()
        self._late: dict[int, dt.datetime] = {}
        self.dropped: dict[str, Dropped] = {}

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

    def hide(self, position: int, until: dt.datetime) -> None:
        """What stands there in the journal was stamped, and is in no search before a moment."""
        self._late[position] = until

    def forget(self, position: int) -> None:
        """It was taken back."""
        self._late.pop(position, None)

    def shows_from(self, version: Version) -> dt.datetime | None:
        """Since when searches find it, where that is known."""
        return self._late.get(version.position)

    def is_out(self, version: Version, *, now: dt.datetime) -> bool:
        """Has it been committed, whatever its stamp says?"""
        frozen = self._freeze is not None and version.position >= self._freeze.position
        return not frozen and self._late.get(version.position, now) <= now

    def release(self, type_: str, id_: str) -> None:
        """Somebody in the EMR has seen and taken over what a client filed."""
        self._released.add((type_, id_))

    def seen(
        self, chain: list[Version], *, now: dt.datetime, held: bool, before: dt.datetime | None
    ) -> Version | None:
        """The version of one resource that searches find, if any: the newest that the index has."""
        newest = chain[-1]
        if held and chain[0].by == "client" and (newest.type, newest.id) not in self._released:
            return None
        if self._freeze is None and before is None and newest.position not in self._late:
            return newest
        for version in reversed(chain):
            fresh = self._freeze is not None and version.position >= self._freeze.position
            late = self._late.get(version.position, now) > now
            if not fresh and not late and (before is None or version.updated <= before):
                return version if version.resource is not None else None
        return None
