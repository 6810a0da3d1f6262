"""Search results in pages, as each EMR hands them out. A page that is asked for twice is the same page
where there is a snapshot; elsewhere each page is a new search."""

from __future__ import annotations

import datetime as dt
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import msgspec

from cm_service.sandbox.answers import Refusal
from cm_service.sandbox.declared import Paging
from cm_service.sandbox.search import Query
from cm_service.sandbox.store import Store
from cm_service.sandbox.versions import Version
from cm_service.sandbox.wire import Resource, instant, subset

_KEPT_SEARCHES = 500
Body = Callable[[Version], bytes]
Entry = Callable[[Version], Resource]
_Search = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class _Found:
    """A result, and what its pages have in common; `entry` makes those of a history."""

    type: str
    versions: list[Version]
    count: int
    used: list[tuple[str, str]]
    base: str
    elements: frozenset[str]
    entry: Entry | None = None

    def url(self, *more: tuple[str, str]) -> str:
        pairs = [*self.used, *more]
        return f"{self.base}/{self.type}" + (f"?{urlencode(pairs, quote_via=quote)}" if pairs else "")


@dataclass(frozen=True)
class Page:
    """One page: the Bundle's parts, and the versions that it shows."""

    bundle: Resource
    shows: tuple[Version, ...]


class Pages:
    """Searches that somebody may still be paging through: the newest few hundred."""

    def __init__(self, store: Store, paging: Paging) -> None:
        self._store, self._paging = store, paging
        self._kept: OrderedDict[str, _Found] = OrderedDict()
        self._reused: OrderedDict[_Search, tuple[dt.datetime, list[Version]]] = OrderedDict()
        self._lock = threading.Lock()

    def start_of(self, place: str, count: int) -> int:
        """The first row of a page that is a new search. Raises Refusal 400."""
        if not place.isdecimal() or (self._paging.numbered and place == "0"):
            raise Refusal(400, "value", f"the value of {self._paging.parameter} cannot be read")
        return (int(place) - 1) * count if self._paging.numbered else int(place)

    def reused(self, type_: str, query: Query, search: Callable[[], list[Version]]) -> list[Version]:
        """An earlier result of the same search while it is young enough, as HAPI does, or a new one."""
        key, now = (type_, tuple(query.used)), self._store.clock()
        age = dt.timedelta(seconds=self._paging.reuse_seconds)
        with self._lock:
            kept = self._reused.get(key)
        if kept is not None and now - kept[0] < age:
            return kept[1]
        found = search()
        with self._lock:
            self._reused[key] = (now, found)
            self._reused.move_to_end(key)
            while len(self._reused) > _KEPT_SEARCHES:
                self._reused.popitem(last=False)
        return found

    def first(
        self,
        type_: str,
        query: Query,
        found: list[Version],
        *,
        base: str,
        body: Body,
        start: int = 0,
        entry: Entry | None = None,
    ) -> Page:
        result = _Found(type_, found, query.count, query.used, base, query.elements, entry)
        if query.only_count:
            return Page(self._bundle(total=len(found), links=[("self", result.url())]), ())
        name = secrets.token_urlsafe(12)
        if self._paging.snapshot and len(found) > query.count:
            with self._lock:
                self._kept[name] = result
                while len(self._kept) > _KEPT_SEARCHES:
                    self._kept.popitem(last=False)
        return self._page(result, name, start, body)

    def later(self, token: str, *, body: Body) -> Page:
        """Raises Refusal 410 for a link that was never given out or is no longer kept."""
        name, _, offset = token.rpartition(".")
        with self._lock:
            found = self._kept.get(name)
        if found is None or not offset.isdecimal():
            raise Refusal(410, "expired", "this page is no longer kept: search again")
        return self._page(found, name, int(offset), body)

    def _page(self, found: _Found, name: str, start: int, body: Body) -> Page:
        end, limit = start + self._size(start, found.count), self._paging.stops_at
        links = [("self", self._link(found, name, start) if start else found.url())]
        if end < len(found.versions) and (limit is None or end < limit):
            links.append(("next", self._link(found, name, end)))
        shown = found.versions[max(0, start - self._paging.repeats) : end]
        bundle = self._bundle(total=len(found.versions), links=links)
        if found.entry is not None:
            bundle["type"] = "history"
        if shown:
            bundle["entry"] = [
                found.entry(version) if found.entry else _entry(version, found, body) for version in shown
            ]
        return Page(bundle, tuple(shown))

    def _size(self, start: int, count: int) -> int:
        is_short = self._paging.uneven and start // count % 2 == 0
        return max(1, count // 2) if is_short else count

    def _link(self, found: _Found, name: str, start: int) -> str:
        parameter = self._paging.parameter
        if self._paging.snapshot:
            place = (parameter, f"{name}.{start}")
            return found.url(place) if self._paging.of_type else f"{found.base}?{parameter}={place[1]}"
        row = start // found.count + 1 if self._paging.numbered else start
        return found.url((parameter, str(row)))

    def _bundle(self, *, total: int, links: list[tuple[str, str]]) -> Resource:
        return {
            "resourceType": "Bundle",
            "id": secrets.token_hex(8),
            "meta": {"lastUpdated": instant(self._store.clock())},
            "type": "searchset",
            "total": total,
            "link": [{"relation": relation, "url": url} for relation, url in links],
        }


def _entry(version: Version, found: _Found, body: Body) -> Resource:
    shown = body(version)
    return {
        "fullUrl": f"{found.base}/{version.key}",
        "resource": msgspec.Raw(subset(shown, found.elements) if found.elements else shown),
        "search": {"mode": "match"},
    }
