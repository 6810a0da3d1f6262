"""One page of what happened to the resources of a type: which ids changed, and which were deleted."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from cm_service.errors import NotFhir
from cm_service.fhir import rawjson
from cm_service.fhir.answers import Answer
from cm_service.fhir.instants import parse_instant

_PLACE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,255})(?:/_history/[^/?#]+)?/?$", re.ASCII)


class Happened(NamedTuple):
    """One version of one resource; `at` is None where the EMR does not say when."""

    id: str
    deleted: bool
    at: dt.datetime | None


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """`unclear` counts entries of which nobody can tell what they are about; `total` are all entries."""

    happened: tuple[Happened, ...]
    unclear: int
    total: int | None
    size: int
    next: str | None
    self_link: str | None


class _Request(msgspec.Struct):
    method: Any = None
    url: Any = None


class _Response(msgspec.Struct):
    lastModified: Any = None


class _Head(msgspec.Struct):
    resourceType: Any = None
    id: Any = None
    meta: Any = None


class _Entry(msgspec.Struct):
    resource: _Head | None = None
    request: _Request | None = None
    response: _Response | None = None
    fullUrl: Any = None


class _Link(msgspec.Struct):
    relation: str = ""
    url: str = ""


class _Bundle(msgspec.Struct):
    resourceType: str = ""
    type: str | None = None
    total: Any = None
    link: list[_Link] | None = None
    entry: list[_Entry] | None = None


def parse_history(answer: Answer, type_: str) -> HistoryPage:
    """Raises NotFhir for anything but a Bundle of type history."""
    body = answer.json_bytes()
    try:
        bundle = msgspec.json.decode(body, type=_Bundle)
    except (ValueError, RecursionError) as error:
        raise NotFhir(rawjson.broken_json(error)) from None
    if (bundle.resourceType, bundle.type) != ("Bundle", "history"):
        raise NotFhir(f"the history of {type_} was answered with something else")
    links = {link.relation: link.url for link in reversed(bundle.link or [])}
    entries = [_happened(entry, type_) for entry in bundle.entry or []]
    known = tuple(each for each in entries if each is not None)
    return HistoryPage(
        happened=known,
        unclear=len(entries) - len(known),
        total=bundle.total if type(bundle.total) is int else None,
        size=len(body),
        next=links.get("next"),
        self_link=links.get("self"),
    )


def _happened(entry: _Entry, type_: str) -> Happened | None:
    """A deletion must say so: that an entry has no resource is not enough."""
    head, request = entry.resource or _Head(), entry.request or _Request()
    deleted = request.method == "DELETE"
    if deleted:
        id_ = next(_ids(type_, request.url, entry.fullUrl), None)
    else:
        id_ = head.id if head.resourceType == type_ and isinstance(head.id, str) else None
    if id_ is None:
        return None
    told = head.meta.get("lastUpdated") if isinstance(head.meta, dict) else None
    said = entry.response.lastModified if entry.response else None
    return Happened(id_, deleted, parse_instant(told) or parse_instant(said))


def _ids(type_: str, *places: Any) -> Iterator[str]:
    for place in places:
        found = _PLACE.search(place) if isinstance(place, str) else None
        if found and found[1] == type_:
            yield found[2]
