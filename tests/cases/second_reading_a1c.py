"""A second, independent answer to the HbA1c rules for the people of `population.with_results`.

Written from the specification and not from the code: plain loops over raw JSON. It knows only what
that population holds. A partial date is every day that it may be, up to today; where those days, or
the thresholds that may apply, disagree, the answer is unknown.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from tests.cases.fhir_json import Json
from tests.cases.harness import CANNOT_TELL, NO, YES
from tests.cases.population import TODAY, ZONE

NOW = dt.datetime(2026, 11, 22, 15, 0, tzinfo=ZONE)
RANK = {"corrected": 0, "amended": 1, "final": 2}
Line = tuple[Decimal, bool]  # a threshold, and whether it is out to stand on it


def months_before(on: dt.date, months: int) -> dt.date:
    year, month = divmod(on.year * 12 + on.month - 1 - months, 12)
    return dt.date(year, month + 1, min(on.day, calendar.monthrange(year, month + 1)[1]))


class Date:
    """`low` to `high`, local days; `instant` where a time is given; `key` orders dates."""

    def __init__(self, text: str) -> None:
        self.instant: dt.datetime | None = None
        if len(text) > 10:
            instant = dt.datetime.fromisoformat(text)
            self.instant = instant if instant.tzinfo else instant.replace(tzinfo=ZONE)
            self.low = self.high = self.instant.astimezone(ZONE).date()
        else:
            numbers = [int(part) for part in text.split("-")]
            year, first, last = numbers[0], numbers[1:2] or [1], numbers[1:2] or [12]
            end = calendar.monthrange(year, last[0])[1]
            self.low = dt.date(year, first[0], (numbers[2:3] or [1])[0])
            self.high = dt.date(year, last[0], (numbers[2:3] or [end])[0])
        self.key = self.low, len(text[:10])

    @property
    def is_future(self) -> bool:
        start = self.instant or dt.datetime.combine(self.low, dt.time(), tzinfo=ZONE)
        return start > NOW + dt.timedelta(hours=24)

    def ages(self) -> range:
        last = self.high if self.low == self.high else min(self.high, TODAY)
        return range((TODAY - last).days, (TODAY - self.low).days + 1)

    def within(self, days: int) -> bool | None:
        return agreed(age <= days for age in self.ages())

    def is_later(self, other: Date) -> bool:
        if self.instant and other.instant and self.low == other.low:
            return self.instant > other.instant
        return self.key > other.key


class Result(NamedTuple):
    date: Date
    status: str
    issued: str
    percent: Decimal
    comparator: str
    ifcc: Decimal | None


class Read(NamedTuple):
    newest: Result | None
    unusable: list[Date]
    pending: list[Date]


def agreed(answers: Iterable[Any]) -> Any:
    """What all say, None where they differ."""
    found = set(answers)
    return found.pop() if len(found) == 1 else None


def read(observations: Iterable[Json]) -> Read:
    usable: list[Result] = []
    unusable: list[Date] = []
    pending: list[Date] = []
    for one in observations:
        when = one.get("effectiveDateTime") or one.get("issued")
        if when is None or (date := Date(when)).is_future or date.high < months_before(TODAY, 24):
            continue
        if one["status"] in ("registered", "preliminary"):
            pending.append(date)
        elif one["status"] in RANK and (result := value(one, date)):
            usable.append(result)
        elif one["status"] in RANK and ("valueQuantity" in one or "valueCodeableConcept" in one):
            unusable.append(date)
    return Read(newest(usable), unusable, pending)


def value(one: Json, date: Date) -> Result | None:
    quantity = one.get("valueQuantity")
    if quantity is None or "dataAbsentReason" in one or quantity.get("unit") == "mg/dL":
        return None
    percent, ifcc = Decimal(str(quantity["value"])), None
    if quantity.get("unit") == "mmol/mol":
        ifcc = percent
        percent = (Decimal("0.0915") * ifcc + Decimal("2.15")).quantize(Decimal("0.1"), ROUND_HALF_UP)
    if not 3 <= percent <= 20:
        return None
    return Result(date, one["status"], one.get("issued", ""), percent, quantity.get("comparator", ""), ifcc)


def newest(usable: list[Result]) -> Result | None:
    if not usable:
        return None
    latest = max(one.date.key for one in usable)
    of_day = [one for one in usable if one.date.key == latest]
    if all(one.date.instant for one in of_day):
        last = max(one.date.instant for one in of_day if one.date.instant)
        of_day = [one for one in of_day if one.date.instant == last]
        values = [one.percent for one in of_day]
        if max(values) - min(values) <= Decimal("0.1") and not any(one.comparator for one in of_day):
            of_day = [one for one in of_day if one.ifcc is None] or of_day
    return min(of_day, key=lambda one: (RANK[one.status], -issued(one), one.percent))


def issued(one: Result) -> float:
    return dt.datetime.fromisoformat(one.issued).timestamp() if one.issued else float("-inf")


def is_out(percent: Decimal, comparator: str, line: Line | None) -> bool | None:
    """Nothing is out where no number applies."""
    if line is None:
        return False
    limit, inclusive = line
    if not comparator:
        return percent >= limit if inclusive else percent > limit
    if comparator.startswith(">"):
        reached = percent > limit if comparator == ">=" and not inclusive else percent >= limit
        return True if reached else None
    under = percent < limit if comparator == "<=" and inclusive else percent <= limit
    return False if under else None


def age_at_least(years: int, world: list[Json]) -> bool | None:
    birth = world[0].get("birthDate")
    if birth is None:
        return None
    ends = Date(birth)
    return agreed(months_before(TODAY, 12 * years) >= born for born in (ends.low, ends.high))


def lines(world: list[Json]) -> list[Line | None]:
    """Every threshold that may apply; None is no number at all."""
    codes = {c["code"]["coding"][0]["code"] for c in of(world, "Condition")}
    for one in of(world, "Goal"):
        detail = one["target"][0]
        if one["lifecycleStatus"] == "proposed":
            continue
        if "detailRange" in detail:
            return [(Decimal(str(detail["detailRange"]["high"]["value"])), False)]
        comparator = detail["detailQuantity"].get("comparator")
        if comparator != ">":
            return [(Decimal(str(detail["detailQuantity"]["value"])), comparator == "<")]
    older: Line | None = (Decimal("8.0") if "M17.0" in codes else Decimal("7.5"), False)
    if "N18.6" in codes:
        older = None
    old = age_at_least(65, world)
    young: list[Line | None] = [(Decimal("7.0"), False)]
    return [older] if old else young if old is False else [*young, older]


def of(world: list[Json], type_: str) -> list[Json]:
    return [resource for resource in world if resource["resourceType"] == type_]


def has_diabetes(world: list[Json]) -> bool:
    return any(
        c["code"]["coding"][0]["code"] == "E11.9"
        and c["verificationStatus"]["coding"][0]["code"] == "confirmed"
        for c in of(world, "Condition")
    )


def answers(world: list[Json]) -> dict[str, str]:
    found, limits = read(of(world, "Observation")), lines(world)
    if has_diabetes(world):
        told = {"A1C-OUT": out(found, limits), "A1C-OVERDUE": overdue(found, limits), "A1C-NODX": NO}
    else:
        told = {"A1C-OUT": NO, "A1C-OVERDUE": NO, "A1C-NODX": without_diagnosis(found)}
    adult = age_at_least(18, world)
    gated = YES if adult else CANNOT_TELL
    return {
        rule: gated if outcome == YES else NO if adult is False else outcome for rule, outcome in told.items()
    }


def out(found: Read, limits: list[Line | None]) -> str:
    if limits == [None]:
        return NO
    if found.newest is None or not found.newest.date.within(365):
        return CANNOT_TELL
    said = [is_out(found.newest.percent, found.newest.comparator, line) for line in limits]
    return {True: YES, False: NO, None: CANNOT_TELL}[agreed(said)]


def overdue(found: Read, limits: list[Line | None]) -> str:
    if limits == [None]:
        return NO
    outcome = agreed(each for line in limits for each in overdue_at(found, line)) or CANNOT_TELL
    waiting = [d.within(14) for d in found.pending if found.newest is None or d.is_later(found.newest.date)]
    if outcome == NO or True in waiting:
        return NO
    return CANNOT_TELL if None in waiting else outcome


def overdue_at(found: Read, line: Line | None) -> list[str]:
    """What each day that the newest test may have been on would say."""
    newer = [d for d in found.unusable if found.newest is None or d.is_later(found.newest.date)]
    if line is None:
        return [NO]
    if not newer and found.newest is None:
        return [YES]
    if newer:
        level, date = None, max(newer, key=lambda d: (d.key, d.instant or NOW - dt.timedelta(days=9999)))
    else:
        assert found.newest is not None
        level, date = is_out(found.newest.percent, found.newest.comparator, line), found.newest.date
    return [overdue_after(age, level) for age in date.ages()]


def overdue_after(age: int, level: bool | None) -> str:
    if level is None:
        return NO if age <= 92 else CANNOT_TELL if age <= 183 else YES
    return YES if age > (92 if level else 183) else NO


def without_diagnosis(found: Read) -> str:
    if found.newest is None:
        return NO
    one = found.newest
    native = one.percent if one.ifcc is None else one.ifcc
    high = is_out(native, one.comparator, (Decimal("6.5") if one.ifcc is None else Decimal(48), True))
    recent = one.date.within(365)
    if high is False or recent is False:
        return NO
    return YES if high and recent else CANNOT_TELL
