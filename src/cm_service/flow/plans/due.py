"""When a Task is due (rules.md 0.10): the rule's own date, but never earlier than the end of the next
business day after the Task was created. The creation day is frozen, so this never moves with time."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from cm_service.rules.business_days import business_days_after


class Due(NamedTuple):
    """Either the rule's own instant `at`, or local days or business days after creation."""

    at: dt.datetime | None = None
    days: int = 0
    business_days: int = 0

    @property
    def is_fixed(self) -> bool:
        """Follows from the decision, not from the day of creation."""
        return self.at is not None

    def after(self, created: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
        day = created.astimezone(zone).date()
        earliest = last_second(business_days_after(day, 1), zone)
        if self.at is not None:
            return max(self.at.astimezone(zone), earliest)
        if self.business_days:
            return last_second(business_days_after(day, self.business_days), zone)
        return max(last_second(day + dt.timedelta(days=self.days), zone), earliest)

    def had_passed(self, created: dt.datetime) -> bool:
        return self.at is not None and self.at < created


def last_second(day: dt.date, zone: dt.tzinfo) -> dt.datetime:
    """23:59:59 of a local day."""
    return dt.datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=zone)


def end_of(day: dt.date | None, zone: dt.tzinfo) -> dt.datetime | None:
    return last_second(day, zone) if day else None


def stamp(instant: dt.datetime, zone: dt.tzinfo) -> str:
    """A FHIR dateTime in the practice's zone."""
    return instant.astimezone(zone).isoformat(timespec="seconds")
