"""Stays and emergency visits of one patient: groups of encounters, and how each of them stands.

A group with a stay-class member is a stay, one with EMER members only an ED visit (rules.md 2.2,
2.3). Whether an encounter tells of a death, which is what a gate asks, stands here, too.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import NamedTuple

import msgspec

from cm_service.rules.clock import Clock, Span, is_later
from cm_service.rules.dates import date_flags, day_start
from cm_service.rules.encounters import (
    Disposition,
    class_word,
    disposition,
    is_finished,
    is_stay_class,
)
from cm_service.rules.facts import EncounterFact
from cm_service.rules.stay_links import between, connected
from cm_service.rules.stay_members import Member, Reading, is_contradicted, read
from cm_service.rules.view import PatientView

_DAY = dt.timedelta(days=1)
_MOMENT = dt.timedelta(microseconds=1)
_CLASS_ORDER = {"OBSENC": 0, "SS": 0, "NONAC": 1, "IMP": 2, "ACUTE": 2}


class State(StrEnum):
    """CLOSED: the day of its end is known. UNDATED: finished, the end missing. PARTIAL: the end is
    a month or year. STALE: open though it should have ended. SUPERSEDED: undated, but too old or
    followed by another stay or visit, so left out with a review."""

    CLOSED = "closed"
    OPEN = "open"
    STALE = "stale"
    UNDATED = "undated"
    PARTIAL = "partial"
    SUPERSEDED = "superseded"


class Stay(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A group of encounters. `last` is the member that decides: of a stay the stay-class member
    with the latest end (the last to begin where ends are unknown). `end` is its end."""

    members: tuple[Member, ...]
    last: Member
    state: State
    flags: tuple[str, ...]

    @property
    def key(self) -> str:
        """Identifies the stay for ever: "system|value" of its first encounter, else that one's id."""
        return self.members[0].key

    @property
    def start(self) -> Span:
        return self.members[0].start

    @property
    def end(self) -> Span | None:
        return self.last.end

    @property
    def day(self) -> dt.date | None:
        """D, the local date of the end; None while it is not known."""
        return self.end.high if self.end and self.state is State.CLOSED else None

    @property
    def left(self) -> Disposition:
        return self.last.left

    @property
    def known_left(self) -> Disposition:
        """The final disposition, or the last known one of a stay whose end is not known."""
        if self.state in (State.CLOSED, State.PARTIAL):
            return self.left
        told = [m.left for m in sorted(self.members, key=_rank) if m.is_stay and not m.left.missing]
        return told[-1] if told else self.left

    @property
    def has_open_snf(self) -> bool:
        return any(member.is_open and member.is_snf for member in self.members)


class History(NamedTuple):
    """`stays` and `visits` in the order of their start. `lone` are visits without an end that are
    too old for any group; `lone_stays` the same of stay classes; `absorbed` are EMER encounters
    that flowed into a stay. `died_flags` is `expired_conflict` where a death is not believed."""

    stays: tuple[Stay, ...]
    visits: tuple[Stay, ...]
    lone: tuple[Stay, ...]
    lone_stays: tuple[Stay, ...]
    absorbed: tuple[Member, ...]
    reading: Reading
    died_flags: tuple[str, ...]


class Death(NamedTuple):
    """`encounters`: ids of believed deaths; without any the whole is false. `flags`:
    `expired_conflict` where later encounters or results deny one."""

    encounters: tuple[str, ...]
    flags: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.encounters)


def build(view: PatientView, clock: Clock) -> History:
    """Use as `view.derive(stays.build, clock)`: once per patient."""
    reading = read(view, clock)
    linked = any(member.encounter.part_of for member in reading.kept)
    by_id = {e.id: e for e in view.of(EncounterFact)} if linked else {}
    groups = [_group(members, assumed, clock) for members, assumed in connected(reading.kept, by_id)]
    groups = [_supersede(group, groups, reading, view, clock) for group in groups]
    stays = tuple(group for group in groups if group.last.is_stay)
    lone = [_alone(member) for member in reading.left_out]
    flowed = [one for one in lone if not one.last.is_stay and _joins(one.last, reading)]
    emergency = [m for stay in stays for m in stay.members if not m.is_stay]
    return History(
        stays=stays,
        visits=tuple(group for group in groups if not group.last.is_stay),
        lone=tuple(one for one in lone if not one.last.is_stay and one not in flowed),
        lone_stays=tuple(one for one in lone if one.last.is_stay),
        absorbed=(*emergency, *(one.last for one in flowed)),
        reading=reading,
        died_flags=view.derive(death, clock).flags,
    )


def death(view: PatientView, clock: Clock) -> Death:
    """Use as `view.derive(stays.death, clock)`. A disposition `expired` of a finished stay or ED
    visit, unless the patient was seen, or blood taken, on a later local day (rules.md 2.4)."""
    believed: list[str] = []
    denied = False
    for encounter in view.of(EncounterFact):
        if encounter.disposition is None or not is_finished(encounter):
            continue
        if disposition(encounter).kind != "expired" or not _is_stay_or_visit(encounter, view):
            continue
        if encounter.start and clock.is_future(encounter.start):
            continue
        if is_contradicted(encounter, view, clock):
            denied = True
        else:
            believed.append(encounter.id)
    return Death(tuple(sorted(believed)), ("expired_conflict",) if denied else ())


def _is_stay_or_visit(encounter: EncounterFact, view: PatientView) -> bool:
    word = class_word(encounter)
    return word == "EMER" or is_stay_class(word, short_stay=view.parameters.dis_include_short_stay)


def more_than_a_day_ago(end: Span, clock: Clock) -> bool:
    """Did it end more than 24 h ago, whichever instant of its day (or month) it was?"""
    latest = end.instant or day_start(end.high + _DAY, clock.zone)
    return clock.passed(latest + _DAY + _MOMENT)


def _group(members: list[Member], assumed: bool, clock: Clock) -> Stay:
    deciders = [member for member in members if member.is_stay] or members
    last = _last(deciders)
    state = _state(members, deciders, last, clock)
    flags = [flag for member in members for flag in _flags(member)]
    if assumed:
        flags.append("possible_readmission")
    if state is State.STALE:
        flags.append("status_stale")
    if last.is_stay and last.left.kind == "unknown" and state in (State.CLOSED, State.PARTIAL):
        flags.append("disposition_missing")
    return Stay(members=tuple(members), last=last, state=state, flags=tuple(dict.fromkeys(flags)))


def _flags(member: Member) -> tuple[str, ...]:
    encounter = member.encounter
    return (*encounter.flags, *date_flags(encounter.start, encounter.end), *member.left.flags)


def _alone(member: Member) -> Stay:
    state = State.STALE if member.is_open else State.UNDATED
    return Stay(members=(member,), last=member, state=state, flags=(*_flags(member), "status_stale"))


def _joins(visit: Member, reading: Reading) -> bool:
    """Did a forgotten ED visit flow into a stay, by what its start says?"""
    closed = msgspec.structs.replace(visit, end=visit.end or visit.start)
    for stay in reading.kept:
        if stay.is_stay and stay.encounter.id != visit.encounter.id:
            pair = sorted((closed, stay), key=lambda member: member.first)
            if between(*pair):
                return True
    return False


def _last(deciders: list[Member]) -> Member:
    """The one with the latest end; of equal ends the more acute class, then the later start. Where
    an end is unknown, the last of those to begin."""
    loose = [member for member in deciders if member.end is None]
    if loose:
        return max(loose, key=_rank)
    ends = [member.end for member in deciders if member.end]
    newest = [m for m in deciders if m.end and not any(is_later(end, m.end) for end in ends)]
    return max(newest, key=lambda member: (_CLASS_ORDER.get(member.word, 0), *_rank(member)))


def _rank(member: Member) -> tuple[dt.datetime, str]:
    return member.first, member.encounter.id


def _state(members: list[Member], deciders: list[Member], last: Member, clock: Clock) -> State:
    newest = max(member.first for member in members)
    late = [member for member in members if member.is_open and _denied(member, clock)]
    if any(m.is_open and m.first == newest and m not in late for m in members):
        return State.OPEN
    if late or _is_overtaken(members, clock):
        return State.STALE
    if any(member.is_open for member in members):
        return State.OPEN
    if any(member.end is None for member in members):
        return State.UNDATED
    if last.end and any(_may_end_later(member, last.end) for member in deciders):
        return State.PARTIAL
    return State.CLOSED


def _denied(member: Member, clock: Clock) -> bool:
    """Open by its status though it ended more than 24 h ago."""
    return member.end is not None and more_than_a_day_ago(member.end, clock)


def _is_overtaken(members: list[Member], clock: Clock) -> bool:
    """An open or undated member began before another began that ended more than 24 h ago."""
    loose = [member.first for member in members if member.is_open or member.end is None]
    return bool(loose) and any(
        member.end is not None and member.first > min(loose) and more_than_a_day_ago(member.end, clock)
        for member in members
    )


def _may_end_later(member: Member, end: Span) -> bool:
    return member.end is not None and not member.end.exact and member.end.high >= end.low


def _supersede(group: Stay, groups: list[Stay], reading: Reading, view: PatientView, clock: Clock) -> Stay:
    """An end that is missing counts for 60 days, and until a later stay or ED visit begins."""
    if group.state is not State.UNDATED:
        return group
    last = max((m for m in group.members if m.end is None), key=lambda member: member.first)
    began = [*(other.members[0].first for other in groups), *(m.first for m in reading.left_out)]
    overtaken = any(first > last.first for first in began)
    if not overtaken and clock.within_days(last.start, view.parameters.dis_open_max_days):
        return group
    flags = tuple(dict.fromkeys((*group.flags, "status_stale")))
    return msgspec.structs.replace(group, state=State.SUPERSEDED, flags=flags)
