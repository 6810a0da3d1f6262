"""Conditions in short, and what they come to."""

from __future__ import annotations

from typing import Any

from cm_service.rules.conditions import Assessment, assess
from cm_service.rules.facts import AnyFact, EncounterFact
from tests.rules.builders import at, condition, diagnosis, encounter, view

COPD, GERD = "J44.9", "K21.9"


def found(*facts: AnyFact, as_of: str = "2026-11-22T15:00", **changes: Any) -> Assessment:
    return assess(view(*facts, **changes), at(as_of))


def counted(*facts: AnyFact, as_of: str = "2026-11-22T15:00", **changes: Any) -> list[str]:
    return list(found(*facts, as_of=as_of, **changes).counted)


def copd(date: str, **changes: Any) -> Any:
    """An encounter diagnosis that says nothing of its clinical status, so it never persists."""
    return diagnosis(COPD, **{"id": date, "recorded": date, "clinical": "", **changes})


def stay(word: str = "IMP", **changes: Any) -> EncounterFact:
    dates = {"start": "2026-03-01T08:00:00-05:00", "end": "2026-03-05T10:00:00-05:00"}
    return encounter(word, **{"id": "stay", **dates, **changes})


def anemia(**changes: Any) -> Any:
    return condition("D50.9", **changes)
