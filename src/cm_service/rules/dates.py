"""FHIR date, dateTime and instant values as intervals, before any time zone is known.

A value without a time is a local interval of days and no zone ever moves it; a value with a
time is one instant; a time without an offset is illegal in R4 and kept as wall-clock time.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from enum import IntEnum

import msgspec

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NAIVE_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - wall-clock time has no zone by definition
_SHAPE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_MICROSECOND = dt.timedelta(microseconds=1)
# Lengths of the usual shapes (whole seconds or milliseconds, with an offset): the C parser reads
# them ten times as fast, and of these lengths it takes nothing that FHIR would not.
_USUAL_LENGTHS = frozenset({20, 24, 25, 29})
# Placeholder dates such as 0001-01-01 and 9999-12-31 occur in EMRs; day arithmetic must not overflow.
_FIRST, _LAST = dt.date(1800, 1, 1), dt.date(2999, 12, 31)
_FIRST_MICRO = (dt.datetime(1800, 1, 1) - _NAIVE_EPOCH) // _MICROSECOND  # noqa: DTZ001
_LAST_MICRO = (dt.datetime(2999, 12, 31) - _NAIVE_EPOCH) // _MICROSECOND  # noqa: DTZ001


class Precision(IntEnum):
    """How much of a moment was written; a larger one is more precise."""

    YEAR = 1
    MONTH = 2
    DAY = 3
    LOCAL_TIME = 4
    INSTANT = 5


# Plain numbers for what runs for every date of every patient: looking up an Enum's member is slow.
INSTANT = int(Precision.INSTANT)
FIRST_WITH_TIME = int(Precision.LOCAL_TIME)
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FLAWLESS = frozenset({int(Precision.DAY), INSTANT})


class When(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One FHIR date[Time]. `low` and `high` are proleptic ordinals of the first and last day for
    precision YEAR to DAY; microseconds since 1970-01-01T00:00 for LOCAL_TIME (wall clock) and
    INSTANT (UTC), where `low == high`. `raw` is the text as the EMR wrote it."""

    raw: str
    precision: int
    low: int
    high: int

    @property
    def has_time(self) -> bool:
        return self.precision >= FIRST_WITH_TIME

    @property
    def is_partial(self) -> bool:
        return self.precision < Precision.DAY


def parse_when(raw: object) -> When:
    """Read a FHIR date, dateTime or instant.

    Raises ValueError for anything that is not one; fractions beyond microseconds are cut, the
    leap second `:60` is read as `:59`, since neither may cost a whole resource.
    """
    if not isinstance(raw, str):
        raise ValueError("a date must be a string")
    if len(raw) > 10:
        return _parse_time(raw)
    try:
        if len(raw) == 10 and raw[4] == raw[7] == "-":
            day = dt.date.fromisoformat(raw)
            return _days(raw, Precision.DAY, day, day)
        if len(raw) == 7 and raw[4] == "-":
            return _month(raw, int(raw[:4]), int(raw[5:]))
        if len(raw) == 4:
            year = int(raw)
            return _days(raw, Precision.YEAR, dt.date(year, 1, 1), dt.date(year, 12, 31))
    except ValueError:
        pass  # one message for every malformed date, below; the text itself may be PHI
    raise ValueError("not a FHIR date")


def _month(raw: str, year: int, month: int) -> When:
    first = dt.date(year, month, 1)
    return _days(raw, Precision.MONTH, first, first.replace(day=days_in_month(year, month)))


def _days(raw: str, precision: Precision, first: dt.date, last: dt.date) -> When:
    low, high = (min(max(day, _FIRST), _LAST).toordinal() for day in (first, last))
    return When(raw, precision, low, high)


def _parse_usual(raw: str) -> When | None:
    """The usual shapes; None for every other, legal or not."""
    if raw[4:17:3] != "--T::" or raw[19] not in "Z.+-" or not (raw[-1] == "Z" or raw[-3] == ":"):
        return None
    try:
        moment = dt.datetime.fromisoformat(raw)
    except ValueError:
        return None  # a leap second, or no date at all: the slower way tells them apart
    if moment.tzinfo is None or not _FIRST.year <= moment.year <= _LAST.year:
        return None
    since = micros_of(moment)
    return When(raw, INSTANT, since, since)


def _parse_time(raw: str) -> When:
    usual = _parse_usual(raw) if len(raw) in _USUAL_LENGTHS else None
    if usual is not None:
        return usual
    found = _SHAPE.fullmatch(raw)
    if found is None:
        raise ValueError("not a FHIR dateTime")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    wall = dt.datetime(  # noqa: DTZ001 - the offset is applied below
        int(year), int(month), int(day), int(hour), int(minute), min(int(second or 0), 59), micro
    )
    since = min(max((wall - _NAIVE_EPOCH) // _MICROSECOND, _FIRST_MICRO), _LAST_MICRO)
    if offset is None:
        return When(raw, Precision.LOCAL_TIME, since, since)
    if offset != "Z":
        sign = -1 if offset[0] == "-" else 1
        since -= sign * (int(offset[1:3]) * 3600 + int(offset[4:]) * 60) * 1_000_000
    return When(raw, Precision.INSTANT, since, since)


def micros_of(instant: dt.datetime) -> int:
    """Microseconds since 1970 of an aware instant, as `When` counts them."""
    return (instant - _EPOCH) // _MICROSECOND


def instant_of(when: When, zone: dt.tzinfo) -> dt.datetime:
    """The first instant of `when` (UTC); local days and wall-clock times are read in `zone`."""
    if when.precision == Precision.INSTANT:
        return _EPOCH + dt.timedelta(microseconds=when.low)
    if when.precision == Precision.LOCAL_TIME:
        wall = _NAIVE_EPOCH + dt.timedelta(microseconds=when.low)
        return wall.replace(tzinfo=zone).astimezone(dt.UTC)
    return day_start(dt.date.fromordinal(when.low), zone)


def date_flags(*dates: When | None) -> tuple[str, ...]:
    """The flag words that the mere shape of these dates asks for, once they were looked at."""
    odd = [date.precision for date in dates if date is not None and date.precision not in _FLAWLESS]
    if not odd:
        return ()
    partial = ("partial_date",) if min(odd) < Precision.DAY else ()
    return (*partial, "dq_no_offset") if Precision.LOCAL_TIME in odd else partial


def day_start(day: dt.date, zone: dt.tzinfo) -> dt.datetime:
    """The first instant (UTC) of a local day."""
    return dt.datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(dt.UTC)


def add_months(day: dt.date, months: int) -> dt.date:
    """Calendar months later (or earlier), clipped to the end of the month."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return dt.date(year, month + 1, min(day.day, days_in_month(year, month + 1)))


def days_in_month(year: int, month: int) -> int:
    """Many times as fast as calendar.monthrange, which finds out the weekday as well."""
    return 29 if month == 2 and calendar.isleap(year) else _LENGTHS[month - 1]
