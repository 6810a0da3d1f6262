"""A thin FHIR R4 client for one EMR: reads go again until they succeed, each write goes once."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from cm_service.errors import EmrRefused, FilterDropped, NotFhir, PagingBroken
from cm_service.fhir import rawjson
from cm_service.fhir.answers import Answer
from cm_service.fhir.capability import Capability, read_capability
from cm_service.fhir.history import HistoryPage, parse_history
from cm_service.fhir.http import Ask, EmrHttp
from cm_service.fhir.links import Params, check_filters, next_url
from cm_service.fhir.searchset import Page, parse_page
from cm_service.fhir.writes import WriteResult, judge, judge_operation

FHIR_JSON = "application/fhir+json"
_EXPIRED = frozenset({400, 404, 410})
_RESTARTS = 2
_Json = dict[str, Any]
AnyPage = TypeVar("AnyPage", Page, HistoryPage)


class Held(NamedTuple):
    """A resource as it is read by id, with headers as the EMR gave them (None: it did not)."""

    resource: _Json
    etag: str | None
    last_modified: str | None
    date: str | None


class FhirClient:
    """Knows paths, headers and Bundles; `mime` may carry `; fhirVersion=4.0` where an EMR wants it.

    `max_pages` and `max_bytes` bound one search: a server can hand out `next` links for ever."""

    def __init__(
        self,
        http: EmrHttp,
        *,
        mime: str = FHIR_JSON,
        max_pages: int = 100_000,
        max_bytes: int = 100_000_000_000,
    ) -> None:
        self._http, self._mime = http, mime
        self._max_pages, self._max_bytes = max_pages, max_bytes

    @property
    def host(self) -> str:
        return self._http.host

    @property
    def http(self) -> EmrHttp:
        """The connection, for what is no interaction of one resource type."""
        return self._http

    @property
    def base_url(self) -> str:
        return str(self._http.base_url).rstrip("/")

    @property
    def scope(self) -> str | None:
        """The scopes of the token, None where nobody said them."""
        return self._http.scope

    @property
    def throttling(self) -> tuple[int, float]:
        """How often the EMR said 429, and the longest wait in seconds that it asked for."""
        return self._http.throttled, self._http.longest_wait_asked

    async def capability(self) -> Capability:
        """What /metadata declares. Raises EmrUnreachable, EmrRefused, NotFhir."""

        def parse(answer: Answer) -> Capability:
            return read_capability(_resource(answer, "CapabilityStatement"))

        return await self._http.read(self._get("metadata", "GET metadata"), parse)

    async def read(self, type_: str, id_: str) -> _Json:
        """The resource, decimals kept. Raises EmrRefused: status 410 is deleted, 404 unknown or hidden."""
        ask = self._get(f"{type_}/{quote(id_, safe='')}", f"GET {type_} by id")
        return await self._http.read(ask, lambda answer: _resource(answer, type_))

    async def held(self, type_: str, id_: str) -> Held:
        """The same with what the answer says of its version; for updates that are guarded by a date."""
        ask = self._get(f"{type_}/{quote(id_, safe='')}", f"GET {type_} by id")
        return await self._http.read(ask, lambda answer: _held(answer, type_))

    async def vread(self, type_: str, id_: str, version: str) -> _Json:
        """An old version. Raises what reading raises; many EMRs keep none."""
        path = f"{type_}/{quote(id_, safe='')}/_history/{quote(version, safe='')}"
        ask = self._get(path, f"GET an old version of {type_}")
        return await self._http.read(ask, lambda answer: _resource(answer, type_))

    async def find_by_identifier(self, type_: str, system: str, value: str) -> list[_Json]:
        """Every resource with this identifier, asked past all caches (HAPI reuses results for 60 s).
        Raises FilterDropped if the answer is not about this identifier."""
        fresh = {"Cache-Control": "no-cache"}
        params = [("identifier", f"{search_value(system)}|{search_value(value)}")]
        found: dict[Any, _Json] = {}
        async for page in self.search(type_, params, headers=fresh):
            for resource in map(rawjson.loads, page.resources):
                if not _has_identifier(resource, system, value):
                    raise FilterDropped(f"the EMR ignored the identifier of a search on {type_}")
                found[resource.get("id")] = resource
        return list(found.values())

    async def search(
        self,
        type_: str,
        params: Params,
        *,
        post: bool = False,
        headers: dict[str, str] | None = None,
        resume: str | None = None,
    ) -> AsyncGenerator[Page, None]:
        """Pages in the order of the EMR's own `next` links. A link that expired while we read (HAPI
        answers 410) starts the search anew: resources then come twice. `resume` is a `next` link that an
        earlier walk of the same search did not come to follow.

        Raises PagingBroken, FilterDropped and what reading raises."""
        first = self._first(type_, params, post=post, headers=headers or {})
        for restart in range(_RESTARTS + 1):
            going_on = resume is not None and restart == 0
            trail = _Trail(self, type_, params, resumed=going_on)
            try:
                ask = self._resumed(type_, first, resume) if going_on else first
                async for page in trail.walk(ask, parse_page):
                    yield msgspec.structs.replace(page, anew=restart > 0 and trail.pages == 1)
                return
            except EmrRefused as refusal:
                if (trail.pages == 0 and not going_on) or refusal.status not in _EXPIRED:
                    raise
                if restart == _RESTARTS:
                    text = f"the next links of {type_} expire before they are read ({refusal.status})"
                    raise PagingBroken(text) from refusal

    async def history(
        self, type_: str, since: dt.datetime, *, count: str
    ) -> AsyncGenerator[HistoryPage, None]:
        """What happened to the resources of a type since then. `count` names a page's size, which is large:
        HAPI 5 gives one page only, and no link to the next one. Raises PagingBroken and what reading
        raises, an expired link included."""
        moment = since.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = urlencode([("_since", moment), (count, "1000")], quote_via=quote, safe=":")
        headers = {"Accept": self._mime, "Cache-Control": "no-cache"}
        what = f"history of {type_}"
        first = Ask("GET", self._url(f"{type_}/_history?{query}"), what, headers)
        trail = _Trail(self, type_, [], resumed=True)
        async for page in trail.walk(first, lambda answer: parse_history(answer, type_)):
            yield page

    async def create(self, resource: _Json, *, if_none_exist: str | None = None) -> WriteResult:
        """POST, once. `if_none_exist` holds search parameters only ("identifier=system|value")."""
        condition = {"If-None-Exist": if_none_exist} if if_none_exist else {}
        return await self._write("POST", resource, condition, sent_id=None)

    async def operate(self, type_: str, operation: str, parameters: _Json) -> int:
        """POST [type]/$operation, once; the status of its success. Raises what a write raises."""
        headers, what = {"Accept": self._mime, "Content-Type": self._mime}, f"POST {type_}/${operation}"
        ask = Ask("POST", self._url(f"{type_}/${operation}"), what, headers, rawjson.dumps(parameters))
        return judge_operation(self._http, what, await self._http.write(ask))

    async def update(
        self, resource: _Json, *, if_match: str | None = None, if_unmodified_since: str | None = None
    ) -> WriteResult:
        """PUT, once. `if_match` is the ETag, `if_unmodified_since` the Last-Modified exactly as the EMR
        gave it. May be the EMR's own JSON with our elements in it; everything else goes back as it came."""
        said = {"If-Match": if_match, "If-Unmodified-Since": if_unmodified_since}
        condition = {name: value for name, value in said.items() if value}
        return await self._write("PUT", resource, condition, sent_id=resource["id"])

    async def _write(
        self, method: str, resource: _Json, condition: dict[str, str], *, sent_id: str | None
    ) -> WriteResult:
        type_ = resource["resourceType"]
        path = f"{type_}/{quote(sent_id, safe='')}" if sent_id else type_
        headers = {"Accept": self._mime, "Content-Type": self._mime, "Prefer": "return=representation"}
        what = f"{method} {type_}"
        ask = Ask(method, self._url(path), what, headers | condition, rawjson.dumps(resource))
        return judge(self._http, what, type_, await self._http.write(ask), sent_id=sent_id)

    def _first(self, type_: str, params: Params, *, post: bool, headers: dict[str, str]) -> Ask:
        query = urlencode(params, quote_via=quote, safe=":/,")
        strict = {"Prefer": "handling=strict", "Accept": self._mime, **headers}
        if not post:
            path = f"{type_}?{query}" if query else type_
            return Ask("GET", self._url(path), f"search of {type_}", strict)
        form = strict | {"Content-Type": "application/x-www-form-urlencoded"}
        return Ask("POST", self._url(f"{type_}/_search"), f"search of {type_}", form, query.encode())

    def _resumed(self, type_: str, first: Ask, link: str | None) -> Ask:
        url = next_url(self._http.base_url, type_, link or "")
        headers = {name: value for name, value in first.headers.items() if name != "Content-Type"}
        return Ask("GET", url, f"next page of {type_}", headers)

    def _get(self, path: str, what: str) -> Ask:
        return Ask("GET", self._url(path), what, {"Accept": self._mime})

    def _url(self, path: str) -> str:
        return f"{self.base_url}/{path}"


class _Trail:
    """One walk along the `next` links of one search; only a first page says what was asked."""

    def __init__(self, client: FhirClient, type_: str, params: Params, *, resumed: bool) -> None:
        self._client, self._type, self._params, self._resumed = client, type_, params, resumed
        self._seen: set[str] = set()
        self.pages = self._bytes = 0

    async def walk(self, ask: Ask | None, parse: Callable[[Answer], AnyPage]) -> AsyncIterator[AnyPage]:
        while ask is not None:
            page = await self._client._http.read(ask, parse)
            if self.pages == 0 and not self._resumed and page.self_link is not None:
                check_filters(self._type, self._params, page.self_link)
            self.pages += 1
            self._bytes += page.size
            yield page
            ask = self._next(ask, page)

    def _next(self, ask: Ask, page: Page | HistoryPage) -> Ask | None:
        if page.next is None:
            return None
        if self.pages >= self._client._max_pages or self._bytes >= self._client._max_bytes:
            raise PagingBroken(f"the search of {self._type} does not end: stopped after {self.pages} pages")
        here = page.self_link
        following = self._client._resumed(self._type, ask, page.next)
        self._seen.add(ask.url)
        if following.url in self._seen or here == page.next:
            raise PagingBroken(f"the next links of {self._type} run in a circle after {self.pages} pages")
        return following


def _held(answer: Answer, type_: str) -> Held:
    said = answer.headers
    return Held(_resource(answer, type_), said.get("etag"), said.get("last-modified"), said.get("date"))


def _resource(answer: Answer, type_: str) -> _Json:
    body = answer.json()
    if not isinstance(body, dict) or body.get("resourceType") != type_:
        raise NotFhir(f"the body is no {type_}")
    return body


def search_value(text: str) -> str:
    """One value of a search parameter: the separators of FHIR search in it are escaped."""
    for sign in "\\,|$":
        text = text.replace(sign, f"\\{sign}")
    return text


def _has_identifier(resource: Any, system: str, value: str) -> bool:
    identifiers: Sequence[Any] = (isinstance(resource, dict) and resource.get("identifier")) or ()
    pairs = [(item.get("system"), item.get("value")) for item in identifiers if isinstance(item, dict)]
    return (system, value) in pairs
