"""One page of search results. The resources stay the bytes that the EMR sent.

Nothing is lost or made up on the way to the landing file that way: decimals, duplicate keys, numbers
of any size and nine-digit seconds stand there as they came.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from cm_service.errors import NotFhir
from cm_service.fhir import rawjson
from cm_service.fhir.answers import Answer
from cm_service.fhir.instants import earliest, parse_http_date, parse_instant

# A line break cannot stand inside a JSON string: between tokens it becomes a space.
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """`resources`: what matched, one line of JSON each; `ids` and `updated` the id ("" for none) and the
    meta.lastUpdated of each. `hollow` counts entries without a resource, `included` those that only came
    along, `failed` outcomes of severity error. `date` is when the server says that it answered: the earlier
    one of its header and its Bundle. `anew`: a link had expired, and this is the first page again."""

    resources: tuple[bytes, ...]
    ids: tuple[str, ...]
    updated: tuple[dt.datetime | None, ...]
    date: dt.datetime | None
    size: int
    total: int | None
    next: str | None
    self_link: str | None
    hollow: int
    included: int
    failed: int
    warned: int
    anew: bool = False


class _Link(msgspec.Struct):
    relation: str = ""
    url: str = ""


class _Search(msgspec.Struct):
    mode: str | None = None


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()
    search: _Search | None = None


class _Bundle(msgspec.Struct):
    resourceType: str = ""
    meta: Any = None
    type: str | None = None
    total: Any = None
    link: list[_Link] | None = None
    entry: list[_Entry] | None = None


class _Issue(msgspec.Struct):
    severity: str | None = None


class _Head(msgspec.Struct):
    resourceType: str = ""
    id: Any = None
    meta: Any = None
    issue: list[_Issue] | None = None  # of an OperationOutcome


def parse_page(answer: Answer) -> Page:
    """Raises NotFhir for anything but a Bundle of type searchset."""
    body = answer.json_bytes()
    bundle = _bundle(body)
    if bundle.resourceType != "Bundle" or bundle.type != "searchset":
        raise NotFhir(f"a search was answered with {_named(bundle)} in place of a searchset")
    links = {link.relation: link.url for link in reversed(bundle.link or [])}
    told = earliest(parse_http_date(answer.headers.get("date", "")), _updated(bundle.meta))
    return _page(bundle, links, size=len(body), date=told)


def _bundle(body: bytes) -> _Bundle:
    try:
        return msgspec.json.decode(body, type=_Bundle)
    except (ValueError, RecursionError) as error:
        raise NotFhir(rawjson.broken_json(error)) from None


def _named(bundle: _Bundle) -> str:
    if bundle.resourceType == "OperationOutcome":
        return "an OperationOutcome"
    return "another Bundle" if bundle.resourceType == "Bundle" else "another resource"


def _page(bundle: _Bundle, links: dict[str, str], *, size: int, date: dt.datetime | None) -> Page:
    lines: list[bytes] = []
    ids: list[str] = []
    updated: list[dt.datetime | None] = []
    counts = {"hollow": 0, "included": 0, "failed": 0, "warned": 0}
    for entry in bundle.entry or []:
        head = _head(entry)
        kind = _kind(entry, head)
        if kind == "match":
            lines.append(bytes(entry.resource).translate(_ONE_LINE))
            ids.append(head.id if isinstance(head.id, str) else "")
            updated.append(_updated(head.meta))
        else:
            counts[kind] += 1
    total = bundle.total if isinstance(bundle.total, int) and not isinstance(bundle.total, bool) else None
    return Page(
        resources=tuple(lines),
        ids=tuple(ids),
        updated=tuple(updated),
        date=date,
        size=size,
        total=total,
        next=links.get("next"),
        self_link=links.get("self"),
        hollow=counts["hollow"],
        included=counts["included"],
        failed=counts["failed"],
        warned=counts["warned"],
    )


def _head(entry: _Entry) -> _Head:
    try:
        return msgspec.json.decode(bytes(entry.resource), type=_Head)
    except (ValueError, RecursionError):
        return _Head()


def _kind(entry: _Entry, head: _Head) -> str:
    """match, included, hollow, failed or warned. A resource that nobody can read is a match all the
    same: its line is for the quarantine, with its place."""
    if bytes(entry.resource) in (b"", b"null", b"{}"):
        return "hollow"
    if head.resourceType == "OperationOutcome":
        severe = any(issue.severity in ("fatal", "error") for issue in head.issue or [])
        return "failed" if severe else "warned"
    readable = head.resourceType != ""
    return "included" if readable and entry.search and entry.search.mode == "include" else "match"


def _updated(meta: Any) -> dt.datetime | None:
    return parse_instant(meta.get("lastUpdated")) if isinstance(meta, dict) else None
