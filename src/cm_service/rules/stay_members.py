"""Encounters as the stay builder takes them: stay classes and EMER, dated, open or ended.

What is left out of every group is kept beside them, since some rules still speak about it.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import msgspec

from cm_service.rules.clock import Clock, Span
from cm_service.rules.dates import When, day_start, instant_of
from cm_service.rules.encounters import (
    ACUTE,
    CONTACT,
    Disposition,
    class_word,
    disposition,
    is_finished,
    is_open,
    is_stay_class,
    setting,
)
from cm_service.rules.facts import EncounterFact, ObservationFact
from cm_service.rules.value_sets import in_set
from cm_service.rules.view import PatientView

SHORT_OPEN_DAYS = 3  # EMER and OBSENC without an end
SNF_OPEN_DAYS = 120
_USABLE_RESULT = frozenset({"final", "amended", "corrected"})


class Member(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One stay or EMER encounter. `first` is the first instant (UTC) of its start; `end` is None
    while absent or in the future; `left` is how the patient left, as far as it is believed."""

    encounter: EncounterFact
    word: str
    is_stay: bool
    setting: str
    start: Span
    first: dt.datetime
    end: Span | None
    left: Disposition

    @property
    def is_open(self) -> bool:
        return is_open(self.encounter)

    @property
    def is_snf(self) -> bool:
        return self.setting == "snf"

    @property
    def is_acute(self) -> bool:
        return self.word in ACUTE and not self.is_snf

    @property
    def key(self) -> str:
        return self.encounter.identifier or self.encounter.id


class Reading(NamedTuple):
    """`kept` and `left_out` (too old without an end) sorted by start; `odd` are flags of encounters
    that no rule can use, with their last known day."""

    kept: list[Member]
    left_out: list[Member]
    odd: list[tuple[str, Span | None]]

    def flags(self, days: int, clock: Clock) -> list[str]:
        """Flags for a rule that looks back so many days."""
        stale = ["status_stale"] if self.left_out else []
        return stale + [
            word for word, last in self.odd if last is None or clock.within_days(last, days) is not False
        ]


def read(view: PatientView, clock: Clock) -> Reading:
    """Finished and open stay and EMER encounters; every other status is ignored."""
    reading = Reading([], [], [])
    for encounter in view.of(EncounterFact):
        word = class_word(encounter)
        if word in CONTACT or not (is_finished(encounter) or is_open(encounter)):
            continue
        if not word:
            reading.odd.append(("dq_class_unmapped", _last(encounter, clock)))
        elif word == "EMER" or is_stay_class(word, short_stay=view.parameters.dis_include_short_stay):
            _sort_in(encounter, word, reading, view, clock)
    reading.odd.sort(key=lambda pair: pair[0])
    for members in (reading.kept, reading.left_out):
        members.sort(key=lambda member: (member.first, member.encounter.id))
    return reading


def _sort_in(encounter: EncounterFact, word: str, reading: Reading, view: PatientView, clock: Clock) -> None:
    when = encounter.start or encounter.end
    if when is None or when.is_partial:
        reading.odd.append(("partial_date", _last(encounter, clock)))
    elif clock.is_future(when):
        reading.odd.append(("future_date", None))
    else:
        member = _member(encounter, word, clock.span(when), view, clock)
        (reading.kept if _is_young(member, view, clock) else reading.left_out).append(member)


def _last(encounter: EncounterFact, clock: Clock) -> Span | None:
    when = encounter.end or encounter.start
    return clock.span(when) if when else None


def _member(encounter: EncounterFact, word: str, start: Span, view: PatientView, clock: Clock) -> Member:
    return Member(
        encounter=encounter,
        word=word,
        is_stay=word != "EMER",
        setting="" if word == "EMER" else setting(encounter, word, view.places),
        start=start,
        first=start.instant or day_start(start.low, clock.zone),
        end=_end(encounter.end, start, clock),
        left=_left(encounter, view, clock),
    )


def _end(when: When | None, start: Span, clock: Clock) -> Span | None:
    """An end in the future is an expected discharge and one before the start a mistake: both as
    if absent."""
    if when is None or not clock.passed(instant_of(when, clock.zone)):
        return None
    end = clock.span(when)
    if end.instant and start.instant:
        return end if end.instant >= start.instant else None
    return end if end.high >= start.low else None


def _is_young(member: Member, view: PatientView, clock: Clock) -> bool:
    """May it still stand in a group? Without an end for 60 days (EMER and OBSENC 3, SNF 120), or
    with an end that its status denies for as long (EMER 3), it was forgotten by its EMR."""
    days = view.parameters.dis_open_max_days
    if member.end is None:
        if member.word in ("EMER", "OBSENC"):
            days = SHORT_OPEN_DAYS
        elif member.is_snf:
            days = SNF_OPEN_DAYS
    elif not member.is_open:
        return True
    elif member.word == "EMER":
        days = SHORT_OPEN_DAYS
    return clock.within_days(member.start, days) is True


def _left(encounter: EncounterFact, view: PatientView, clock: Clock) -> Disposition:
    """The disposition, where a death that later encounters or results deny reads as missing."""
    left = disposition(encounter)
    if left.kind == "expired" and is_finished(encounter) and is_contradicted(encounter, view, clock):
        return Disposition(flags=(*left.flags, "expired_conflict"), missing=True, raw=left.raw)
    return left


def is_contradicted(encounter: EncounterFact, view: PatientView, clock: Clock) -> bool:
    """Was the patient seen, or blood taken, on a later local day than this encounter's end? An end that is
    not believed is as if absent, and then the start speaks."""
    if encounter.start is None:
        last = _last(encounter, clock)
    else:
        start = clock.span(encounter.start)
        last = _end(encounter.end, start, clock) or start
    return last is not None and any(_is_later(when, last.high, clock) for when in _signs_of_life(view))


def _signs_of_life(view: PatientView) -> list[When]:
    seen = [
        e.start
        for e in view.of(EncounterFact)
        if is_finished(e) and e.start and not any(in_set("not_a_follow_up", kind) for kind in e.types)
    ]
    results = [o.effective for o in view.of(ObservationFact) if o.effective and o.status in _USABLE_RESULT]
    return seen + results


def _is_later(when: When, day: dt.date, clock: Clock) -> bool:
    return clock.span(when).low > day and not clock.is_future(when)
