"""How long to wait before a read goes again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime

from cm_service.fhir.instants import parse_http_date

FIRST_WAIT, LONGEST_WAIT = 0.5, 120.0
# Some gateways send the epoch second (or millisecond) at which to come back where seconds belong.
_EPOCH_FROM, _EPOCH_MS_FROM = 1_000_000_000, 100_000_000_000
_MAKES_SENSE = 31 * 86_400.0  # exports have asked for hours and days; nobody means a century


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks for; None when it says nothing usable (garbage, the past).

    A date is measured against the server's own `Date`: our clock may differ from its clock."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(parse_http_date(text), headers)
    if seconds >= _EPOCH_FROM:
        seconds = _until(_epoch(seconds), headers)
    return seconds if 0 <= seconds <= _MAKES_SENSE else None


def wait_before(attempt: int, asked: float | None = None) -> float:
    """Seconds before try number `attempt` + 1: what was asked for, else doubling with some jitter."""
    doubling = FIRST_WAIT * 2.0 ** (attempt - 1)
    return min(LONGEST_WAIT, asked if asked is not None else doubling * random.uniform(0.75, 1.25))


def _until(moment: datetime | None, headers: Mapping[str, str]) -> float:
    sent = parse_http_date(headers.get("date", ""))
    return (moment - sent).total_seconds() if moment and sent else -1.0


def _epoch(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds / 1000 if seconds >= _EPOCH_MS_FROM else seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
