"""What searches do here: which parameters filter, how pages come, what `meta` tells. Reads only.

A parameter is asked with a value that nothing can have. Rows, or a self link without it, say that it
is ignored (LinuxForHealth 260: an unknown parameter may return everything). No row and no self link
says nothing yet (Medplum answers an unknown parameter with nothing): then a value that every row has
must bring the rows back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from cm_service.errors import EmrRefused, EmrUnreachable, FilterDropped, NotFhir, PagingBroken
from cm_service.fhir import rawjson
from cm_service.fhir.client import FhirClient
from cm_service.fhir.searchset import Page
from cm_service.flow.ours import KINDS, Json
from cm_service.flow.passport.standing import LAST_UPDATED, VERSION

ROWS, MANY = 20, 1000
_DAY = 10  # characters of a date
NEVER, ALWAYS = "gt2999-01-01", "gt1900-01-01"
_ABSENT = "no-such-value"
_ODD = (EmrRefused, FilterDropped, NotFhir, PagingBroken)

Params = list[tuple[str, str]]
Saw = Callable[[list[Json]], object]


class Fact(NamedTuple):
    resource: str  # "" for the EMR as a whole
    name: str
    value: str


class Asked(NamedTuple):
    """One type: `within` are the parameters without which this EMR answers no search of it;
    `parameters` those beside `_lastUpdated` that we ever search it by."""

    type: str
    within: Params
    parameters: tuple[str, ...]


class Reader:
    """Asks one EMR about its searches. `identifier_base`: the value asked for is one of ours, so that
    no patient's identifier travels; `count` names a page's size there. `saw` is told at once of the plans,
    goals and tasks that came with an answer."""

    def __init__(self, client: FhirClient, identifier_base: str, *, count: str, saw: Saw) -> None:
        self._client, self._count, self._saw = client, count, saw
        self._absent = f"{identifier_base}/id/probe|{_ABSENT}"
        self._paged = self._dated = False

    async def facts(self, asked: Asked) -> list[Fact] | None:
        """What was seen of one type, None where its list makes no sense. Raises EmrRefused where the EMR
        gives none, EmrUnreachable; the refusal of a parameter is an answer."""
        try:
            page = await self._page(asked, [(self._count, str(ROWS))])
        except (FilterDropped, NotFhir, PagingBroken):
            return None
        found = [Fact(asked.type, name, value) for name, value in _of_rows(_resources(page))]
        if not page.resources:
            return found  # with nothing there, nothing can be seen to be filtered
        filters = await self._filters(asked, "_lastUpdated", NEVER, ALWAYS)
        found.append(Fact(asked.type, "filter:_lastUpdated", filters))
        for name in asked.parameters:
            none = self._absent if name == "identifier" else _ABSENT
            found.append(Fact(asked.type, f"filter:{name}", await self._filters(asked, name, none, None)))
        if filters == "filters" and not self._dated:
            found += await self._date_search(asked, _resources(page))
        if page.next and not self._paged:
            found += await self._pages(asked)
        return found

    async def _filters(self, asked: Asked, name: str, none: str, all_: str | None) -> str:
        try:
            page = await self._page(asked, [(name, none), (self._count, "1")])
            if page.resources:
                return "ignored"
            if page.self_link is not None:
                return "filters"
            if all_ is None:
                return "unknown"
            page = await self._page(asked, [(name, all_), (self._count, "1")])
            return "filters" if page.resources else "ignored"
        except FilterDropped:
            return "ignored"
        except EmrRefused:
            return "refused"
        except (NotFhir, PagingBroken):
            return "unknown"

    async def _date_search(self, asked: Asked, rows: Sequence[Json]) -> list[Fact]:
        """Does `_lastUpdated` see the time of day? A row asked for from one second after its own change
        on comes back only where whole days are compared; an EMR may also take no time of day at all."""
        for row in rows:
            told = str(_meta(row).get("lastUpdated") or "")
            later = _a_second_later(told)
            if later is None:
                continue
            self._dated = True
            back = await self._finds(asked, row, later)
            if back is None:
                back = True if await self._finds(asked, row, told[:_DAY]) else None
            value = {None: "unknown", True: "date", False: "instant"}[back]
            return [Fact("", "last-updated-search", value)]
        return []

    async def _finds(self, asked: Asked, row: Json, since: str) -> bool | None:
        """Is the row among what changed since then? None where that cannot be asked."""
        try:
            page = await self._page(asked, [("_id", str(row.get("id"))), ("_lastUpdated", f"ge{since}")])
        except _ODD:
            return None
        return bool(page.resources)

    async def _pages(self, asked: Asked) -> list[Fact]:
        """How many rows one page holds at most, and what its `next` link changes."""
        try:
            page = await self._page(asked, [(self._count, str(MANY))])
        except _ODD:
            return []
        if page.next is None:
            return []
        self._paged = True
        style = _style(page.next, self._count)
        return [Fact("", "page-cap", str(len(page.resources))), Fact("", "next-link", style)]

    async def _page(self, asked: Asked, params: Params) -> Page:
        within = [pair for pair in asked.within if pair[0] not in dict(params)]
        try:
            async with aclosing(self._client.search(asked.type, [*within, *params])) as pages:
                page = await anext(pages)
        except EmrUnreachable as error:
            if error.status in (None, 429):
                raise
            raise NotFhir(str(error)) from error  # a server that stumbles over this one question
        if asked.type in KINDS:
            self._saw(_resources(page))
        return page


def _style(link: str, count: str) -> str:
    """Where the link leads and by which parameters of the EMR's own; never a value."""
    parts = urlsplit(link)
    own = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} - {count, "_format"})
    kind = "absolute" if parts.scheme else "relative"
    return f"{kind}, by {', '.join(own)}"[:255] if own else kind


def _resources(page: Page) -> list[Json]:
    found: list[Json] = []
    for line in page.resources:
        try:
            resource = rawjson.loads(line)
        except NotFhir:
            continue
        if isinstance(resource, dict):
            found.append(resource)
    return found


def _meta(resource: Json) -> dict[str, Any]:
    meta = resource.get("meta")
    return meta if isinstance(meta, dict) else {}


def _of_rows(resources: Sequence[Json]) -> Iterator[tuple[str, str]]:
    """How exactly `meta.lastUpdated` is told at best, and what a version looks like."""
    if not resources:
        return
    metas = [_meta(resource) for resource in resources]
    told = [precision(meta.get("lastUpdated")) for meta in metas]
    yield LAST_UPDATED, max(told, key=("none", "date", "second", "fraction").index)
    yield VERSION, version_style([meta.get("versionId") for meta in metas])


def precision(instant: Any) -> str:
    """none, date, second or fraction."""
    if not isinstance(instant, str) or not instant:
        return "none"
    if "T" not in instant:
        return "date"
    return "fraction" if "." in instant else "second"


def version_style(versions: Sequence[Any]) -> str:
    """none, number or opaque."""
    given = [version for version in versions if isinstance(version, str) and version]
    if not given:
        return "none"
    return "number" if all(version.isdecimal() for version in given) else "opaque"


def _a_second_later(instant: Any) -> str | None:
    """The instant one second later on the same day, None at a day's end and for odd values."""
    if precision(instant) not in ("second", "fraction") or len(instant) < 20:
        return None
    second = instant[17:19]
    if not second.isdecimal() or int(second) >= 59:
        return None
    return f"{instant[:17]}{int(second) + 1:02}{instant[19:]}"
