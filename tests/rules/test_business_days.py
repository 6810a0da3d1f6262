"""Business days, and the one calendar that they rest on."""

import datetime as dt
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cm_service.rules.business_days import business_days_after, end_of_day, is_business_day

CALENDAR = json.loads((Path(__file__).parent / "federal_holidays.json").read_text())
DAY = dt.date.fromisoformat


def test_the_library_knows_exactly_the_observed_federal_holidays_of_2024_to_2031():
    expected = {DAY(row[0]) for row in CALENDAR["rows"]}
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in range(366 + 7 * 365 + 1)]
    off = {day for day in days if day.year <= 2031 and day.weekday() < 5 and not is_business_day(day)}
    assert off == expected


@pytest.mark.parametrize(
    ("discharged", "due"),
    [
        ("2026-11-20", "2026-11-24"),  # Friday: the weekend does not count
        ("2026-11-21", "2026-11-24"),  # Saturday
        ("2026-11-22", "2026-11-24"),  # Sunday
        ("2026-11-23", "2026-11-25"),
        ("2026-11-24", "2026-11-27"),  # over Thanksgiving
        ("2026-11-25", "2026-11-30"),  # Thanksgiving, then Friday and Monday
        ("2026-07-01", "2026-07-06"),  # Independence Day on a Saturday is observed on Friday
        ("2027-12-29", "2028-01-03"),  # New Year's Day on a Saturday is observed in the old year
        ("2026-12-23", "2026-12-28"),  # Christmas Day
    ],
)
def test_the_second_business_day_skips_weekends_and_observed_holidays(discharged, due):
    assert business_days_after(DAY(discharged), 2) == DAY(due)


@pytest.mark.parametrize(
    ("day", "text"),
    [
        ("2026-10-30", "2026-10-30T23:59:59-04:00"),
        ("2026-11-01", "2026-11-01T23:59:59-05:00"),  # clocks went back that morning
        ("2026-03-08", "2026-03-08T23:59:59-04:00"),  # and forward on this one
    ],
)
def test_the_end_of_a_day_has_the_offset_of_that_very_day(day, text):
    assert end_of_day(DAY(day), ZoneInfo("America/Detroit")) == text
