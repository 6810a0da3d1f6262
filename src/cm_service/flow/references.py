"""Which Specimens, Locations and Organizations a resource refers to: they are read by their ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from cm_service.fhir.values import References, is_id


class _Referring(msgspec.Struct):
    """The elements that rules follow, of any shape: what is odd is for the normaliser to reject."""

    specimen: Any = None  # Observation
    location: Any = None  # Encounter
    serviceProvider: Any = None  # Encounter


class _Named(msgspec.Struct):
    id: Any = None


def id_of(line: bytes) -> str | None:
    """The id of a resource, None where there is no usable one."""
    try:
        found = msgspec.json.decode(line, type=_Named).id
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, str) and is_id(found) else None


class Referred:
    """Collects ids per type. References that lead elsewhere than under `base` are not ours to read."""

    def __init__(self, base: str) -> None:
        self.ids: dict[str, set[str]] = {}
        self._references = References(base)

    def collect(self, line: bytes) -> None:
        """Take the references of one resource."""
        try:
            found = msgspec.json.decode(line, type=_Referring)
        except (ValueError, RecursionError):
            return  # the line is no resource: the sieve rejects it, with its place
        for holder in _holders(found):
            self.add(holder.get("reference") if isinstance(holder, dict) else None)

    def add(self, reference: Any) -> None:
        """One reference as written."""
        key = self._references.key(reference) if isinstance(reference, str) else None
        if key and "?" not in key:
            type_, _, id_ = key.partition("/")
            self.ids.setdefault(type_, set()).add(id_)


def _holders(found: _Referring) -> Iterator[Any]:
    yield found.specimen
    yield found.serviceProvider
    for place in found.location if isinstance(found.location, list) else []:
        yield place.get("location") if isinstance(place, dict) else None
