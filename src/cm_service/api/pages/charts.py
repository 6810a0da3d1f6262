"""Last values of a goal as a small line: drawn here, so that it is there without any script."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from cm_service.rules.dates import instant_of
from cm_service.rules.facts import AnyFact, ObservationFact

MOST, WIDTH, HEIGHT, EDGE = 8, 240, 64, 8
A1C_CODES = ("4548-4", "17856-6", "4549-2", "59261-8", "41995-2")
_USABLE = frozenset({"final", "amended", "corrected"})


class Point(NamedTuple):
    day: dt.date
    value: Decimal


class Chart(NamedTuple):
    """Pixel coordinates, and the values in words for whoever does not see them."""

    points: tuple[tuple[float, float], ...]
    target: float | None
    words: str

    @property
    def line(self) -> str:
        return " ".join(f"{x},{y}" for x, y in self.points)


def a1c_values(facts: Mapping[str, AnyFact], zone: dt.tzinfo) -> list[Point]:
    """The last readings in percent, oldest first."""
    found = [
        Point(instant_of(fact.effective, zone).astimezone(zone).date(), fact.reading.percent)
        for fact in facts.values()
        if isinstance(fact, ObservationFact)
        and fact.status in _USABLE
        and fact.reading is not None
        and fact.reading.percent is not None
        and fact.effective is not None
        and not fact.effective.is_partial
    ]
    return sorted(found)[-MOST:]


def of_goal(goal: dict[str, Any], values: Sequence[Point]) -> Chart | None:
    """None where no value is known for what the goal measures."""
    target = (goal.get("target") or [{}])[0]
    codings = (target.get("measure") or {}).get("coding") or ()
    if not values or not any(coding.get("code") in A1C_CODES for coding in codings):
        return None
    return draw(values, (target.get("detailQuantity") or {}).get("value"))


def draw(values: Sequence[Point], target: Any = None) -> Chart:
    wanted = Decimal(str(target)) if target is not None else None
    numbers = [point.value for point in values] + ([wanted] if wanted is not None else [])
    low, high = min(numbers) - Decimal("0.2"), max(numbers) + Decimal("0.2")

    def up(value: Decimal) -> float:
        return round(HEIGHT - EDGE - float((value - low) / (high - low)) * (HEIGHT - 2 * EDGE), 1)

    step = (WIDTH - 2 * EDGE) / max(len(values) - 1, 1)
    said = ", ".join(f"{point.value} % on {point.day.isoformat()}" for point in values)
    return Chart(
        points=tuple((round(EDGE + step * n, 1), up(point.value)) for n, point in enumerate(values)),
        target=up(wanted) if wanted is not None else None,
        words=f"HbA1c: {said}" + (f"; target {wanted} %" if wanted is not None else ""),
    )
