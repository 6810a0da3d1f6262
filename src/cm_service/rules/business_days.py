"""Business days of the TCM clock: Monday to Friday without the observed federal holidays.

Practice hours and local closures never move this clock (rules.md 2.5).
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

import holidays

_FEDERAL = holidays.country_holidays("US", observed=True)
_SATURDAY = 5
_ONE_DAY = dt.timedelta(days=1)


def is_business_day(day: dt.date) -> bool:
    return day.weekday() < _SATURDAY and day not in _FEDERAL


@lru_cache(maxsize=4096)
def business_days_after(day: dt.date, count: int) -> dt.date:
    """The `count`-th business day after `day`; `day` itself never counts."""
    while count > 0:
        day += _ONE_DAY
        count -= is_business_day(day)
    return day


def end_of_day(day: dt.date, zone: dt.tzinfo) -> str:
    """23:59:59 local of `day` as an RFC 3339 instant with the offset of that very day."""
    return dt.datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=zone).isoformat()


def business_days_until(day: dt.date, last: dt.date) -> int:
    """Business days after `day` up to and with `last`; below zero where `last` has gone by."""
    if last < day:
        return -business_days_until(last, day)
    span = (last - day).days
    return sum(is_business_day(day + _ONE_DAY * n) for n in range(1, span + 1))
