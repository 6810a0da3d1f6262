"""Search: parameters read strictly or leniently, matched, and handed out in pages of a snapshot.

The self link holds exactly the parameters that were used, so that a client can see a filter that
was ignored. `next` links are opaque; a page that is asked for twice is the same page.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from cm_service.sandbox.answers import Refusal
from cm_service.sandbox.matching import Test, compile_test
from cm_service.sandbox.personality import Declared, Personality
from cm_service.sandbox.store import Store, Version
from cm_service.sandbox.wire import Resource, instant

Pairs = Sequence[tuple[str, str]]

PAGE = "_page"
RESULT_PARAMETERS = ("_count", "_summary")
_KEPT_SEARCHES = 500


@dataclass
class Query:
    """One search as the server understood it. `used` are the parameters of the self link."""

    count: int
    tests: list[Test] = field(default_factory=list)
    used: list[tuple[str, str]] = field(default_factory=list)
    only_count: bool = False

    def wanted(self, name: str) -> list[str]:
        return [raw for used, raw in self.used if used == name]


def parse(pairs: Pairs, *, declared: Declared, limits: Personality, strict: bool, base: str) -> Query:
    """Raises Refusal 400 for a bad value always, for an unknown parameter only where `strict`."""
    query = Query(count=limits.default_count)
    for name, raw in pairs:
        if name in RESULT_PARAMETERS:
            _shape(query, name, raw, limits)
        elif name in declared.parameters:
            try:
                query.tests.append(compile_test(declared.parameters[name], raw, base=base))
            except ValueError as error:
                raise Refusal(400, "value", f"the value of {name} cannot be read") from error
            query.used.append((name, raw))
        elif ":" in name and name.partition(":")[0] in declared.parameters:
            raise Refusal(400, "not-supported", f"modifiers of {name.partition(':')[0]} are not supported")
        elif strict:
            raise Refusal(400, "not-supported", "unknown search parameter: see /metadata")
    return query


def _shape(query: Query, name: str, raw: str, limits: Personality) -> None:
    if name == "_summary":
        if raw not in ("count", "false"):
            raise Refusal(400, "not-supported", "only _summary=count and _summary=false are supported")
        query.only_count = query.only_count or raw == "count"
        query.used.append((name, raw))
        return
    if not raw.isdecimal():
        raise Refusal(400, "value", "the value of _count cannot be read")
    query.count = min(int(raw), limits.max_count)
    query.only_count = query.only_count or query.count == 0
    query.used.append((name, str(query.count)))


def condition_pairs(condition: str, *, type_: str) -> Pairs:
    """The parameters of an If-None-Exist, which some clients begin with `Type?`."""
    return parse_qsl(condition.removeprefix(type_).removeprefix("?"), keep_blank_values=True)


def run(store: Store, type_: str, query: Query) -> list[Version]:
    """What matches all parameters, at one moment."""
    with store.atomic():
        candidates = _candidates(store, type_, query)
        return [v for v in candidates if all(test(v.resource or {}) for test in query.tests)]


def _candidates(store: Store, type_: str, query: Query) -> Iterable[Version]:
    """A small superset of the answer where an index knows one; the tests decide anyway."""
    for raw in query.wanted("patient"):
        if "," not in raw and "\\" not in raw:
            return store.of_patient(type_, f"Patient/{raw.rpartition('/')[2]}")
    for raw in query.wanted("identifier"):
        value = raw.rpartition("|")[2]
        if value and "," not in raw and "\\" not in raw:
            return store.with_identifier(type_, value)
    for raw in query.wanted("_id"):
        if "\\" not in raw and "|" not in raw:
            found = (store.current(type_, id_) for id_ in dict.fromkeys(raw.split(",")))
            return [v for v in found if v is not None and v.resource is not None]
    return store.live(type_)


@dataclass(frozen=True)
class _Snapshot:
    versions: list[Version]
    count: int
    self_url: str
    base: str


class Pages:
    """Searches that somebody may still be paging through: the newest few hundred."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[str, _Snapshot] = OrderedDict()
        self._lock = threading.Lock()

    def first(self, type_: str, query: Query, found: list[Version], *, base: str) -> Resource:
        self_url = f"{base}/{type_}" + (f"?{urlencode(query.used, quote_via=quote)}" if query.used else "")
        if query.only_count:
            return self._bundle(total=len(found), links=[("self", self_url)], versions=[], base=base)
        snapshot, name = _Snapshot(found, query.count, self_url, base), secrets.token_urlsafe(12)
        if len(found) > query.count:
            with self._lock:
                self._kept[name] = snapshot
                while len(self._kept) > _KEPT_SEARCHES:
                    self._kept.popitem(last=False)
        return self._page(snapshot, name, 0)

    def later(self, token: str) -> Resource:
        """Raises Refusal 410 for a link that was never given out or is no longer kept."""
        name, _, offset = token.rpartition(".")
        with self._lock:
            snapshot = self._kept.get(name)
        if snapshot is None or not offset.isdecimal():
            raise Refusal(410, "expired", "this page is no longer kept: search again")
        return self._page(snapshot, name, int(offset))

    def _page(self, snapshot: _Snapshot, name: str, offset: int) -> Resource:
        end = offset + snapshot.count
        here = f"{snapshot.base}?{PAGE}={name}.{offset}" if offset else snapshot.self_url
        links = [("self", here)]
        if end < len(snapshot.versions):
            links.append(("next", f"{snapshot.base}?{PAGE}={name}.{end}"))
        page = snapshot.versions[offset:end]
        return self._bundle(total=len(snapshot.versions), links=links, versions=page, base=snapshot.base)

    def _bundle(
        self, *, total: int, links: list[tuple[str, str]], versions: list[Version], base: str
    ) -> Resource:
        bundle: Resource = {
            "resourceType": "Bundle",
            "id": secrets.token_hex(8),
            "meta": {"lastUpdated": instant(self._store.clock())},
            "type": "searchset",
            "total": total,
            "link": [{"relation": relation, "url": url} for relation, url in links],
        }
        if versions:
            bundle["entry"] = [_entry(version, base) for version in versions]
        return bundle


def _entry(version: Version, base: str) -> Resource:
    return {
        "fullUrl": f"{base}/{version.key}",
        "resource": msgspec.Raw(version.body),
        "search": {"mode": "match"},
    }
