"""How strong the evidence for one counting group is (rules.md 3.2, 3.4), one function per answer.

Each takes all Conditions that name the group and gives back those that make the answer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from cm_service.rules.clock import Clock
from cm_service.rules.condition_codes import Match
from cm_service.rules.condition_evidence import Seen, Standing, from_home_health, from_hospital
from cm_service.rules.view import PatientView

_C_MONTHS = 24  # a conditional category is looked for in two years, whatever its reference period
_C_DAYS = 30
_OLD_MONTHS = 12
# These count from one diagnosis of a stay: the year after the event is when it matters.
_EVENTS = frozenset({"acute_myocardial_infarction", "stroke_tia"})


class Item(NamedTuple):
    """A Condition as evidence for one category that it names."""

    seen: Seen
    match: Match


def regular(items: list[Item], view: PatientView, clock: Clock) -> list[Item]:
    """Evidence that suffices for Y categories (3.4): the problem list; or within the reference
    period one diagnosis of a stay or home-health visit, or two on different dates."""
    active = _active(items, "Y")
    if not active:
        return []
    recent = [i for i in active if not i.seen.listed and _recent(i, i.match.months, clock)]
    enough = _apart(recent, 1)
    strong = recent if enough else [i for i in recent if _is_strong(i, view, clock)]
    return [*(i for i in active if i.seen.listed), *strong]


def conditional(items: list[Item], view: PatientView, clock: Clock) -> list[Item]:
    """Evidence that suffices for C categories (3.2)."""
    active = _active(items, "C")
    if not active:
        return []
    recent = [i for i in active if _recent(i, _C_MONTHS, clock)]
    twice = recent if _apart(recent, _C_DAYS) else []
    events = [i for i in active if i.match.category in _EVENTS and _recent(i, i.match.months, clock)]
    return [
        *(i for i in active if i.seen.listed and _is_old(i, clock)),
        *twice,
        *(i for i in events if from_hospital(i.seen.fact, view, clock)),
    ]


def persisting(items: list[Item], view: PatientView, clock: Clock) -> list[Item]:
    """What may be there and should be confirmed (3.3, 3.4): Y categories only. A date too vague to
    decide leaves the question open, so it persists as well; what nobody dated is only possible."""
    unsure = [i for i in items if i.match.counts == "Y" and i.seen.standing is Standing.UNSURE]
    active = _active(items, "Y")
    old = [i for i in active if i.seen.explicit and _is_old(i, clock) is not False]
    vague = [i for i in active if _recent(i, i.match.months, clock) is not False]
    twice = vague if _apart(vague, 1) is not False else []
    once = [i for i in vague if _is_strong(i, view, clock)]
    return [*unsure, *old, *twice, *once]


def _active(items: Iterable[Item], counts: str) -> list[Item]:
    return [i for i in items if i.match.counts == counts and i.seen.standing is Standing.ACTIVE]


def _is_strong(item: Item, view: PatientView, clock: Clock) -> bool:
    condition = item.seen.fact
    return from_hospital(condition, view, clock) or from_home_health(condition, view, clock)


def _recent(item: Item, months: int, clock: Clock) -> bool | None:
    recorded = item.seen.recorded
    return False if recorded is None else clock.within_months(recorded, months)


def _is_old(item: Item, clock: Clock) -> bool | None:
    since = item.seen.since
    return False if since is None else clock.months_old(since, _OLD_MONTHS)


def _apart(items: Iterable[Item], days: int) -> bool | None:
    """Were two of these recorded at least so many days apart? None if vague dates may say so."""
    spans = [item.seen.recorded for item in items if item.seen.recorded is not None]
    if len(spans) < 2:
        return False
    gap = dt.timedelta(days=days)
    if max(span.low for span in spans) - min(span.high for span in spans) >= gap:
        return True
    return False if max(span.high for span in spans) - min(span.low for span in spans) < gap else None
