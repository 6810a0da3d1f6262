"""Which Specimens, Locations and Organizations a resource refers to: they are read by their ids."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_ID = r"[A-Za-z0-9._\-]{1,128}"


class _Referring(msgspec.Struct):
    """The elements that rules follow, of any shape: what is odd is for the normaliser to reject."""

    specimen: Any = None  # Observation
    location: Any = None  # Encounter
    serviceProvider: Any = None  # Encounter


class References:
    """Collects ids per type. References elsewhere than under `base` are not ours to read."""

    def __init__(self, base: str) -> None:
        self.ids: dict[str, set[str]] = {}
        self._local = re.compile(
            rf"(?:{re.escape(base.rstrip('/'))}/)?(Specimen|Location|Organization)/({_ID})(?:/_history/[^/]+)?"
        )

    def collect(self, line: bytes) -> None:
        """Take the references of one resource."""
        try:
            found = msgspec.json.decode(line, type=_Referring)
        except (ValueError, RecursionError):
            return  # the line is no resource: the sieve rejects it, with its place
        places = found.location if isinstance(found.location, list) else []
        for holder in (found.specimen, found.serviceProvider, *(_location(place) for place in places)):
            self._take(holder)

    def _take(self, holder: Any) -> None:
        reference = holder.get("reference") if isinstance(holder, dict) else None
        match = self._local.fullmatch(reference) if isinstance(reference, str) else None
        if match:
            self.ids.setdefault(match[1], set()).add(match[2])


def _location(place: Any) -> Any:
    return place.get("location") if isinstance(place, dict) else None
