"""A client of Bulk Data Access (`$export`, versions 1 to 3): kick-off, status, manifest, delete.

The address of an export is all that leads to it: whoever starts one keeps it before anything else.
Waiting ends at a given moment; the export goes on without us, and a later run asks again.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urljoin

import httpx

from cm_service.errors import (
    EmrRefused,
    EmrUnreachable,
    ExportBroken,
    ExportGone,
    ExportUnderWay,
    WriteOutcomeUnknown,
)
from cm_service.fhir.answers import Answer, issue_codes
from cm_service.fhir.http import Ask, EmrHttp
from cm_service.fhir.instants import parse_instant
from cm_service.fhir.retry import retry_after

_KICK_OFF = {"Accept": "application/fhir+json", "Prefer": "respond-async"}
_STATUS = {"Accept": "application/json"}
_SHORTEST, _LONGEST = 1.0, 300.0  # seconds between two polls where the EMR asks for none
_BUSY = frozenset({408, 425, 429, 503})
_GATEWAY = frozenset({500, 502, 504})  # without an OperationOutcome these may be a proxy's
_PATIENCE = 4  # such answers in a row, or none at all
_LAG = dt.timedelta(minutes=2)  # a node that does not know the export yet
_PERCENT = re.compile(r"\b\d{1,3}(?:\.\d+)? ?%", re.ASCII)
MOST_MANIFESTS = 1000
Params = Sequence[tuple[str, str]]


class File(NamedTuple):
    """An entry of a manifest; `lines` is how many it should have, None where nobody says."""

    type: str
    url: str
    lines: int | None


class Manifest(NamedTuple):
    """`moment` is the transactionTime, None where it cannot be read. `with_token`: files need our token."""

    moment: dt.datetime | None
    with_token: bool
    output: tuple[File, ...]
    deleted: tuple[File, ...]
    errors: tuple[File, ...]


class Bulk:
    """`until` bounds every wait. `clock` gives an aware instant."""

    def __init__(
        self,
        http: EmrHttp,
        *,
        until: dt.datetime,
        clock: Callable[[], dt.datetime],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.http = http
        self._until, self._clock, self._sleep = until, clock, sleep

    async def kick_off(self, path: str, params: Params) -> str:
        """Start an export of "" (the system), "Patient" or "Group/ID"; returns its address.

        Raises ExportUnderWay where the EMR makes another one for us, EmrRefused, ExportBroken, and
        WriteOutcomeUnknown where nobody knows whether it has begun."""
        level = f"{quote(path)}/" if path else ""
        query = urlencode(params, quote_via=quote, safe=":,")
        base = str(self.http.base_url).rstrip("/")
        ask = Ask("GET", f"{base}/{level}$export?{query}", "the kick-off of an export", dict(_KICK_OFF))
        attempt = 0
        while True:
            answer = await self.http.write(ask)
            if answer.status == 202:
                return self._address(answer)
            if answer.status == 200 and "duplicate" in issue_codes(answer):
                text = f"{self.http.host} makes an export for us already, whose address is not kept here"
                raise ExportUnderWay(text)
            if answer.status not in _BUSY:
                raise self._no(answer, ask.what)
            attempt += 1
            await self.pause(attempt, answer.headers, "does not begin an export yet: it may have one of ours")

    async def manifest(self, url: str, *, begun: dt.datetime) -> Manifest:
        """Wait for it, all its pages. `begun` is when it was asked for.

        Raises ExportUnderWay when it is not there in time, ExportGone when the EMR does not know the export
        (any more), EmrRefused when it failed, EmrUnreachable, ExportBroken."""
        first = await self._poll(url, begun)
        pages, following = [first], _next(first, url)
        while following:
            if not self.http.is_ours(following) or len(pages) >= MOST_MANIFESTS:
                raise ExportBroken(f"{self.http.host} leads from one manifest to another, and not to an end")
            pages.append(await self._poll(following, begun))
            following = _next(pages[-1], following)
        return _joined(pages, url)

    async def delete(self, url: str) -> None:
        """Tell the EMR that the export is of no more use; whether it listens is its own matter."""
        try:
            await self.http.write(Ask("DELETE", url, "DELETE of an export", dict(_STATUS)))
        except (EmrUnreachable, WriteOutcomeUnknown):
            return

    async def pause(self, attempt: int, headers: Mapping[str, str], why: str) -> None:
        """As long as the EMR asks, else longer each time. Raises ExportUnderWay where that is too long."""
        asked = retry_after(headers)
        seconds = max(_SHORTEST, asked if asked is not None else min(_LONGEST, 2.0**attempt))
        if self._clock() + dt.timedelta(seconds=min(seconds, 1e8)) > self._until:
            raise ExportUnderWay(f"{self.http.host} {why}: a later run goes on")
        await self._sleep(seconds)

    async def _poll(self, url: str, begun: dt.datetime) -> dict[str, Any]:
        ask = Ask("GET", url, "the status of an export", dict(_STATUS))
        attempt = in_a_row = 0
        why = "makes the export still"
        while True:
            attempt += 1
            try:
                answer = await self.http.write(ask)
            except (EmrUnreachable, WriteOutcomeUnknown):
                in_a_row += 1
                if in_a_row >= _PATIENCE:
                    raise
                await self.pause(attempt, {}, why)
                continue
            if answer.status == 200:
                return _body(answer, self.http.host)
            in_a_row = in_a_row + 1 if answer.status not in (202, *_BUSY) else 0
            self._check(answer, in_a_row, begun)
            await self.pause(attempt, answer.headers, f"{why}{_progress(answer)}")

    def _check(self, answer: Answer, in_a_row: int, begun: dt.datetime) -> None:
        """Returns where it is worth to ask again."""
        if answer.status == 202 or answer.status in _BUSY or "transient" in issue_codes(answer):
            return
        if answer.status in (404, 410):
            if self._clock() - begun < _LAG and in_a_row < _PATIENCE:
                return
            raise ExportGone(f"{self.http.host} does not know the export that it took")
        if answer.status in _GATEWAY and not issue_codes(answer) and in_a_row < _PATIENCE:
            return
        raise self._no(answer, "the status of an export")

    def _address(self, answer: Answer) -> str:
        """Where the export is asked for: with our token, so on this very server."""
        place = answer.headers.get("content-location", "").strip()
        if not place:
            raise ExportBroken(f"{self.http.host} took an export and does not say where it is")
        url = str(urljoin(f"{str(self.http.base_url).rstrip('/')}/", place))
        if not _is_ours(self.http, url):
            raise ExportBroken(f"{self.http.host} has its exports on another server: no token goes there")
        return url

    def _no(self, answer: Answer, what: str) -> EmrRefused | ExportBroken:
        if answer.status < 300:
            return ExportBroken(f"{self.http.host} answered {answer.status} to {what}, and not as it should")
        return self.http.refusal(what, answer)


def _is_ours(http: EmrHttp, url: str) -> bool:
    try:
        return http.is_ours(url) and not httpx.URL(url).userinfo
    except httpx.InvalidURL:
        return False


def _progress(answer: Answer) -> str:
    """Only a figure: what else stands there is the EMR's own text."""
    found = _PERCENT.search(answer.headers.get("x-progress", "")[:100])
    return f" ({found.group()})" if found else ""


def _body(answer: Answer, host: str) -> dict[str, Any]:
    body = answer.json()
    if not isinstance(body, dict) or not isinstance(body.get("output"), list):
        raise ExportBroken(f"{host} says that an export is done, and lists no files")
    return body


def _next(page: dict[str, Any], url: str) -> str | None:
    for link in page.get("link") or ():
        if isinstance(link, dict) and link.get("relation") == "next" and isinstance(link.get("url"), str):
            return str(urljoin(url, link["url"]))
    return None


def _joined(pages: list[dict[str, Any]], url: str) -> Manifest:
    """The oldest moment counts; without a word on it the files need our token."""
    moments = [parse_instant(page.get("transactionTime")) for page in pages]
    known = [moment for moment in moments if moment is not None]
    return Manifest(
        moment=min(known) if len(known) == len(moments) else None,
        with_token=any(page.get("requiresAccessToken") is not False for page in pages),
        output=_files(pages, url, "output"),
        deleted=_files(pages, url, "deleted"),
        errors=_files(pages, url, "error", "outcome"),
    )


def _files(pages: list[dict[str, Any]], url: str, *names: str) -> tuple[File, ...]:
    """Each address once, in its first place."""
    found: dict[str, File] = {}
    for entry in (entry for page in pages for name in names for entry in page.get(name) or ()):
        if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
            raise ExportBroken("a file of an export has no address")
        count = entry.get("count")
        file = File(str(entry.get("type")), urljoin(url, entry["url"]), count if type(count) is int else None)
        found.setdefault(file.url, file)
    return tuple(found.values())
