"""The way each type is read, from what is known of the EMR: its vendor profile and its passport."""

from __future__ import annotations

from cm_service.flow.passport.standing import Passport
from cm_service.flow.pull.source import Reach, Since
from cm_service.flow.wanted import CODED, REFERENCED, WHOLE

NEEDS = "search-needs"
_WITHIN = frozenset({"patient", "_id"})
_FILTER, _PRECISION = "filter:_lastUpdated", "last-updated-search"


def reaches(passport: Passport) -> dict[str, Reach]:
    """Per type that a pull reads. What was seen goes before what the profile says."""
    return {
        kind: Reach(_needs_patient(passport, kind), _since(passport, kind))
        for kind in (*WHOLE, *CODED, *REFERENCED)
    }


def _needs_patient(passport: Passport, kind: str) -> bool:
    needed = {*passport.profile.needed_for_search(kind), passport.value(kind, NEEDS)}
    return not _WITHIN.isdisjoint(needed)


def _since(passport: Passport, kind: str) -> Since:
    """Where nobody has seen it filter, it may be tried: an answer that does not show the filter, or not
    even what the cursor was taken from, is not believed."""
    seen = passport.value(kind, _FILTER)
    if seen in ("ignored", "refused"):
        return Since.NONE
    said = passport.profile.last_updated_of(kind)
    if said is not None and said.support != "unknown":
        return Since(said.support)
    precision = passport.value("", _PRECISION)
    return Since(precision) if seen == "filters" and precision in ("instant", "date") else Since.NONE
