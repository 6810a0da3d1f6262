"""One group of encounters: which member decides, when it ended, and how it stands (rules.md 2.2, 2.3)."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

import msgspec

from cm_service.rules.clock import Clock, Span, is_later
from cm_service.rules.dates import date_flags, day_start
from cm_service.rules.encounters import Disposition
from cm_service.rules.stay_members import Member

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


def more_than_a_day_ago(end: Span, clock: Clock) -> bool:
    """Did it end more than 24 h ago, whichever instant of its day (or month) it was?"""
    latest = end.instant or day_start(end.high + _DAY, clock.zone)
    return clock.passed(latest + _DAY + _MOMENT)


def group(members: list[Member], clock: Clock, *, assumed: bool) -> Stay:
    """`members` sorted by start, all that belong together; `assumed`: some pair perhaps does not."""
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


def alone(member: Member) -> Stay:
    """One that is too old without an end to stand in any group."""
    state = State.STALE if member.is_open else State.UNDATED
    return Stay(members=(member,), last=member, state=state, flags=(*_flags(member), "status_stale"))


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
