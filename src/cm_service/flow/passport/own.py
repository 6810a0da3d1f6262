"""What the EMR does with our own resources: keeps their identifiers, shows fresh ones, guards versions.

Nothing here touches what others wrote. The one probe that sends anything puts a resource of ours back
as it is, under a version that it no longer has: an EMR that tells the truth refuses that.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from typing import Any, NamedTuple

from cm_service.errors import (
    EmrError,
    EmrRefused,
    EmrUnreachable,
    FilterDropped,
    NotFhir,
    PagingBroken,
    WriteConflict,
)
from cm_service.fhir import rawjson
from cm_service.fhir.client import FhirClient
from cm_service.flow import ours, whose
from cm_service.flow.ours import Json
from cm_service.flow.passport.reading import Fact, version_style
from cm_service.flow.passport.standing import ETAG, IDENTIFIERS, SIGHTINGS, VERSION

FRESH_SECONDS = 60.0


class Fresh(NamedTuple):
    """A resource that this run created; `at` is on the monotonic clock. `patient` is the id of the one
    whom a search for it is about, None where it is searched by our identifier."""

    type: str
    id: str
    system: str
    value: str
    at: float
    patient: str | None = None


class FreshWrites:
    """The newest creates of each type, as far as a look at them can tell anything."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[Fresh]] = defaultdict(lambda: deque(maxlen=SIGHTINGS))

    def add(self, *, type_: str, id_: str, system: str, value: str, patient: str | None = None) -> None:
        self._kept[type_].append(Fresh(type_, id_, system, value, time.monotonic(), patient))

    def still_fresh(self) -> list[Fresh]:
        since = time.monotonic() - FRESH_SECONDS
        return [each for kept in self._kept.values() for each in kept if each.at >= since]


async def is_seen(client: FhirClient, fresh: Fresh) -> bool | None:
    """Does the search by which it would be looked up show it? None where that cannot be asked. Raises
    EmrUnreachable."""
    try:
        if fresh.patient is not None:
            return fresh.id in await _ids_of_patient(client, fresh.type, fresh.patient)
        found = await client.find_by_identifier(fresh.type, fresh.system, fresh.value)
    except (EmrRefused, FilterDropped, NotFhir, PagingBroken):
        return None
    return any(resource.get("id") == fresh.id for resource in found)


async def _ids_of_patient(client: FhirClient, type_: str, patient: str) -> set[str]:
    params, fresh = [("patient", patient)], {"Cache-Control": "no-cache"}
    pages = client.search(type_, params, headers=fresh)
    return {str(rawjson.loads(each).get("id")) async for page in pages for each in page.resources}


async def read(client: FhirClient, row: Any) -> Json | None:
    """A resource of ours as it is now; None where it cannot be read. Raises EmrUnreachable."""
    type_, _, id_ = row.reference.partition("/")
    try:
        return await client.read(type_, id_)
    except (EmrRefused, NotFhir):
        return None


def facts_of(row: Any, current: Json) -> list[Fact]:
    type_ = current["resourceType"]
    kept = ours.has_identifier(current, row.system, row.value)
    return [
        Fact(type_, IDENTIFIERS, "kept" if kept else "lost"),
        Fact(type_, VERSION, version_style([whose.version_of(current)])),
    ]


def old_version(row: Any, current: Json) -> str | None:
    """A version that this resource once had and has no longer, None where none is known."""
    version = whose.version_of(current)
    if version is None or not ours.may_be_written_over(current):
        return None
    if version.isdecimal():
        return str(int(version) - 1) if int(version) > 1 else None
    return row.version if row.version not in (None, version) else None


async def stale_if_match(client: FhirClient, current: Json, stale: str) -> Fact | None:
    """Put `current` back unchanged, under an old version. Refused: the EMR guards versions. Taken: it
    looks at none, and has a new version of the same content. Raises EmrUnreachable."""
    type_ = current["resourceType"]
    try:
        await client.update(current, if_match=f'W/"{stale}"')
    except WriteConflict:
        return Fact(type_, ETAG, "refused")
    except EmrUnreachable:
        raise
    except EmrError:
        return None
    return Fact(type_, ETAG, "ignored")
