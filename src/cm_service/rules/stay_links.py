"""Which encounters belong together: the connected sets of rules.md 2.2 (a) to (d)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from enum import IntEnum

from cm_service.rules.clock import Span
from cm_service.rules.dates import Precision
from cm_service.rules.facts import EncounterFact
from cm_service.rules.references import id_in
from cm_service.rules.stay_members import Member

_DAY = dt.timedelta(days=1)
_TRANSFERS = frozenset({"transfer", "transfer_snf"})


class Link(IntEnum):
    NONE = 0
    ASSUMED = 1  # by (d) only because the disposition is missing: flag `possible_readmission`
    SURE = 2


def connected(
    members: list[Member], encounters: Mapping[str, EncounterFact]
) -> list[tuple[list[Member], bool]]:
    """The groups of `members` (sorted by start), each in that order and with whether one of its
    pairs is only assumed. `encounters` by id: partOf may lead through any of them."""
    root = list(range(len(members)))
    assumed = set[int]()
    for one, two, link in _links(members, encounters):
        root[_find(root, two)] = _find(root, one)
        if link is Link.ASSUMED:
            assumed.add(one)
    groups: dict[int, list[int]] = {}
    for index in range(len(members)):
        groups.setdefault(_find(root, index), []).append(index)
    return [([members[i] for i in group], not assumed.isdisjoint(group)) for group in groups.values()]


def _find(root: list[int], index: int) -> int:
    while root[index] != index:
        root[index] = index = root[root[index]]
    return index


def _links(members: list[Member], encounters: Mapping[str, EncounterFact]) -> Iterator[tuple[int, int, Link]]:
    ancestors = [_ancestors(member.encounter, encounters) for member in members]
    place = {member.encounter.id: index for index, member in enumerate(members)}
    for index, above in enumerate(ancestors):
        known = (place[name] for name in above if name in place)
        yield from (
            (index, other, Link.SURE) for other in known if not _is_return(members[index], members[other])
        )
    reaching: list[int] = []  # earlier ones that may still touch the next start
    for later, member in enumerate(members):
        reaching = [index for index in reaching if _reaches(members[index], member)]
        for earlier in reaching:
            link = between(members[earlier], member)
            if link is Link.ASSUMED and member.encounter.id in ancestors[earlier]:
                link = Link.SURE
            if link is Link.ASSUMED and members[earlier].encounter.id in ancestors[later]:
                link = Link.SURE
            if link:
                yield earlier, later, link
        reaching.append(later)


def _ancestors(encounter: EncounterFact, encounters: Mapping[str, EncounterFact]) -> set[str]:
    """Ids above `encounter` by partOf, through stays and others alike; loops end."""
    above = set[str]()
    reference = encounter.part_of
    while reference:
        name = id_in(reference, "Encounter")
        if not name or name in above or name == encounter.id:
            break
        above.add(name)
        parent = encounters.get(name)
        reference = parent.part_of if parent else None
    return above


def _is_return(one: Member, other: Member) -> bool:
    """Is it an ED visit that surely began after the other, a stay, had ended? It is never folded back
    into that stay, not even as a part of it: a return to the ED must stay in sight."""
    visit, stay = (other, one) if one.is_stay else (one, other)
    if visit.is_stay or not stay.is_stay or stay.is_open or stay.end is None:
        return False
    if visit.start.instant and stay.end.instant:
        return visit.start.instant > stay.end.instant
    return visit.start.low > stay.end.high


def _reaches(earlier: Member, later: Member) -> bool:
    """Can `earlier` have anything to do with what starts as late as `later`?"""
    end = _linking_end(earlier)
    return end is None or end.high + 2 * _DAY >= later.start.low


def between(earlier: Member, later: Member) -> Link:
    """How two encounters, sorted by start, hang together in time. Where only the day of a start is
    known, either of the two may have come first."""
    link = _ordered(earlier, later)
    same_day = earlier.start.low == later.start.low
    if link is not Link.SURE and same_day and not (earlier.start.instant and later.start.instant):
        link = max(link, _ordered(later, earlier))
    return link


def _ordered(earlier: Member, later: Member) -> Link:
    end = _linking_end(earlier)
    if end is None or _overlap(earlier, later, end):
        return Link.SURE
    if not later.is_stay:
        return Link.NONE
    if later.start.low == end.high:
        return Link.SURE
    if not _within_a_day(end, later.start):
        return Link.NONE
    if not earlier.is_stay or earlier.left.kind in _TRANSFERS:
        return Link.SURE
    return Link.ASSUMED if earlier.left.missing else Link.NONE


def _linking_end(member: Member) -> Span | None:
    """Where a member ends as far as linking goes: an open one without an end reaches to as_of
    (None), a finished one to its start day, a partial end to its last day."""
    if member.end is not None:
        return member.end
    if member.is_open:
        return None
    return Span(member.start.low, member.start.low, None, Precision.DAY)


def _overlap(earlier: Member, later: Member, end: Span) -> bool:
    """Half-open intervals; two that only share a day without a time touch."""
    if not _precedes(later.start, end):
        return False
    if earlier.start.low != later.start.low or (earlier.start.instant and later.start.instant):
        return True
    later_end = _linking_end(later)
    return later_end is None or earlier.start.low < later_end.high


def _precedes(start: Span, end: Span) -> bool:
    if start.instant and end.instant:
        return start.instant < end.instant
    return start.low < end.high


def _within_a_day(end: Span, start: Span) -> bool:
    if start.instant and end.instant:
        return dt.timedelta() <= start.instant - end.instant <= _DAY
    return dt.timedelta() <= start.low - end.high <= _DAY
