"""The only way in which a rule may ask about time.

Every comparison with `as_of` goes through a method here, and each method notes the instant at
which its answer will change. The earliest note is the decision's `stable_until`: a rule is a
deterministic function of these answers, so until the first of them flips, nothing can change.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import NamedTuple

from cm_service.rules.dates import (
    FIRST_WITH_TIME,
    INSTANT,
    Precision,
    When,
    add_months,
    day_start,
    instant_of,
    micros_of,
)

_DAY = dt.timedelta(days=1)


class Span(NamedTuple):
    """A `When` in the practice's zone: first and last local day, and the instant (UTC) if it has one."""

    low: dt.date
    high: dt.date
    instant: dt.datetime | None
    precision: int

    @property
    def exact(self) -> bool:
        """True when the local day is known."""
        return self.low == self.high


class Clock:
    """`as_of` (aware) and the practice's zone; collects the next instant at which time matters."""

    __slots__ = ("_ago", "_micros", "_today", "as_of", "until", "zone")

    def __init__(self, as_of: dt.datetime, zone: dt.tzinfo) -> None:
        self.as_of = as_of.astimezone(dt.UTC)
        self.zone = zone
        self._today = as_of.astimezone(zone).date()
        self._micros = micros_of(self.as_of)
        self._ago: dict[int, dt.date] = {}
        self.until: dt.datetime | None = None

    def fresh(self) -> Clock:
        """The same moment, with nothing noted yet."""
        other = Clock.__new__(Clock)
        other.as_of, other.zone, other.until = self.as_of, self.zone, None
        other._today, other._micros, other._ago = self._today, self._micros, self._ago
        return other

    def note(self, turn: dt.datetime | None) -> None:
        """Remember that an answer changes at `turn`; moments already past change nothing."""
        if turn is not None and turn > self.as_of and (self.until is None or turn < self.until):
            self.until = turn

    def span(self, when: When) -> Span:
        """Local days of a date. Depends on the zone, not on `as_of`."""
        if when.precision < FIRST_WITH_TIME:
            low = dt.date.fromordinal(when.low)
            high = low if when.high == when.low else dt.date.fromordinal(when.high)
            return Span(low, high, None, when.precision)
        return _span_of_time(when, self.zone)

    def passed(self, instant: dt.datetime) -> bool:
        """Has `instant` come (as_of >= instant)?"""
        self.note(instant)
        return self.as_of >= instant

    def reached(self, day: dt.date) -> bool:
        """Is the local day of as_of `day` or later?"""
        if self._today >= day:
            return True
        self.note(day_start(day, self.zone))
        return False

    def is_future(self, when: When) -> bool:
        """Dated more than 24 h after as_of (rules.md 0.2: to be ignored, flag `future_date`)."""
        if when.precision < FIRST_WITH_TIME:
            if when.low <= self._today.toordinal():
                return False  # nearly every date of a record: no instant needs to be made
            return not self.passed(instant_of(when, self.zone) - _DAY)
        if when.precision == INSTANT and when.low <= self._micros:
            return False
        instant = _span_of_time(when, self.zone).instant
        return instant is not None and not self.passed(instant - _DAY)

    def within_days(self, span: Span, days: int) -> bool | None:
        """Did it happen at most `days` local days ago? None when a partial date leaves it open."""
        if not self.reached(span.low + dt.timedelta(days=days + 1)):
            return True
        if self.reached(span.high + dt.timedelta(days=days + 1)):
            return False
        return None

    def within_months(self, span: Span, months: int) -> bool | None:
        """On or after the local day of as_of minus `months` (clipped)? None when open."""
        first = self._months_ago(months)
        if span.high < first:
            return False  # most dates of a record, and for good: there is nothing to note
        within = span.low >= first
        # Not yet, but this is the day on which the answer changes.
        self.reached(_first_day_after_months(span.low if within else span.high, months))
        return True if within else None

    def months_old(self, span: Span, months: int) -> bool | None:
        """On or before the local day of as_of minus `months`? None when a partial date leaves it open."""
        if self.reached(_day_months_old(span.high, months)):
            return True
        return None if self.reached(_day_months_old(span.low, months)) else False

    def _months_ago(self, months: int) -> dt.date:
        day = self._ago.get(months)
        if day is None:
            day = self._ago[months] = add_months(self._today, -months)
        return day

    def age_at_least(self, born: Span, years: int) -> bool | None:
        """Has the birthday been reached? A birth on 29 February is kept on 1 March."""
        if self.reached(_birthday(born.high, years)):
            return True
        return None if self.reached(_birthday(born.low, years)) else False

    @property
    def today(self) -> dt.date:
        """The local day of as_of. Reading it makes the answer good until midnight only: prefer
        the comparisons above, and never put it, or a number counted from it, into facts."""
        self.note(day_start(self._today + _DAY, self.zone))
        return self._today


def is_later(one: Span, other: Span) -> bool:
    """Does `one` come after `other`, as rules.md 0.2 orders two dated facts? Days that overlap are
    decided by precision (a day over a month over a year), then by the later high bound."""
    if one.instant and other.instant:
        return one.instant > other.instant
    if one.low > other.high or other.low > one.high:
        return one.low > other.high
    precise, than = min(one.precision, Precision.DAY), min(other.precision, Precision.DAY)
    return precise > than if precise != than else one.high > other.high


def _birthday(born: dt.date, years: int) -> dt.date:
    if born.month == 2 and born.day == 29:
        return dt.date(born.year + years, 2, 28) + _DAY
    return born.replace(year=born.year + years)


@lru_cache(maxsize=1 << 14)  # one visit dates a dozen resources, and zones are slow
def _span_of_time(when: When, zone: dt.tzinfo) -> Span:
    instant = instant_of(when, zone)
    day = instant.astimezone(zone).date()
    return Span(day, day, instant, when.precision)


@lru_cache(maxsize=1 << 14)  # the same days come up again and again, and months are slow to add
def _day_months_old(day: dt.date, months: int) -> dt.date:
    """The first day on which `day` is at or before as_of minus `months`."""
    guess = add_months(day, months)
    return guess if add_months(guess, -months) >= day else guess + _DAY


@lru_cache(maxsize=1 << 14)
def _first_day_after_months(day: dt.date, months: int) -> dt.date:
    """The first day on which `day` lies before as_of minus `months`."""
    guess = add_months(day, months)
    while add_months(guess, -months) <= day:
        guess += _DAY
    return guess
