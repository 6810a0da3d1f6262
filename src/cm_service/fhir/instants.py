"""Instants as EMRs write them: nine-digit fractions, any offset, leap seconds, HTTP dates."""

from __future__ import annotations

import datetime as dt
import re
from email.utils import parsedate_to_datetime
from typing import Any

_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):(\d\d)(?:\.(\d{1,30}))?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)


def parse_instant(text: Any) -> dt.datetime | None:
    """A FHIR instant in UTC, None for anything else (a date alone is none). What is finer than a
    microsecond is cut off, and the second 60 is the last one of its minute: both lead to an earlier
    moment, which makes a reading wider and never narrower."""
    found = _INSTANT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    day, minute, second, fraction, zone = found.groups()
    second = "59" if second == "60" else second
    offset = "+00:00" if zone in ("Z", "z") else zone
    try:
        moment = dt.datetime.fromisoformat(f"{day}T{minute}:{second}.{(fraction or '0')[:6]:0<6}{offset}")
        return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def parse_http_date(text: str) -> dt.datetime | None:
    """The `Date` of an answer in UTC, None where it says nothing usable."""
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return parsed.astimezone(dt.UTC) if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)


def earliest(*moments: dt.datetime | None) -> dt.datetime | None:
    """The earliest of those that are known."""
    return min((moment for moment in moments if moment is not None), default=None)
