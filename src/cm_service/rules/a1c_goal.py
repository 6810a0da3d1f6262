"""An individual HbA1c Goal, read as an upper limit (rules.md 1.7, first point)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from cm_service.rules.clock import Clock, Span
from cm_service.rules.dates import Precision, date_flags
from cm_service.rules.decision import Evidence
from cm_service.rules.facts import GoalFact, Target
from cm_service.rules.parameters import Parameters
from cm_service.rules.value_sets import in_set
from cm_service.rules.view import PatientView

_FOLLOWED = frozenset({"active", "accepted"})
_CONFLICT = Decimal("0.2")
_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


class Limit(NamedTuple):
    """What one Goal.target asks for: out above `high` (at or above it, where `inclusive`); below
    `low` only a flag. `high` is None where the Goal says that there is no number to reach."""

    goal: GoalFact
    target: Target
    high: Decimal | None
    inclusive: bool = False
    low: Decimal | None = None


class IndividualGoal(NamedTuple):
    """The Goal that decides, if any can be used."""

    limit: Limit | None
    flags: tuple[str, ...]


def individual_goal(view: PatientView, clock: Clock) -> IndividualGoal:
    """The newest usable HbA1c Goal that is followed now; ask through `view.derive`."""
    flags: set[str] = set()
    limits: list[Limit] = []
    for goal, target in _targets(view.of(GoalFact)):
        flags.update((*goal.flags, *date_flags(goal.status_date or goal.start)))
        limit = _read(goal, target, view.parameters)
        if limit is None:
            flags.add("goal_unusable")
        else:
            limits.append(limit)
    if not limits:
        return IndividualGoal(None, tuple(sorted(flags)))
    numbers = [limit.high for limit in limits if limit.high is not None]
    if numbers and max(numbers) - min(numbers) > _CONFLICT:
        flags.add("goal_conflict")
    newest = max(limits, key=lambda limit: _age_order(limit, clock))
    flags.update(_due(newest.target, clock))
    return IndividualGoal(newest, tuple(sorted(flags)))


def goal_evidence(limit: Limit) -> Evidence:
    reading = limit.target.quantity or limit.target.high
    asked = "no_numeric_target" if limit.high is None else f"{'<' if limit.inclusive else '<='}{limit.high}"
    date = limit.goal.status_date or limit.goal.start or limit.goal.updated
    return Evidence(
        type="Goal",
        id=limit.goal.id,
        version=limit.goal.version,
        path=reading.path if reading is not None and reading.path else "Goal.target",
        raw=reading.raw if reading is not None else limit.target.text,
        value=asked,
        unit="%" if limit.high is not None else "",
        date=date.raw if date else "",
    )


def _targets(goals: Iterable[GoalFact]) -> Iterator[tuple[GoalFact, Target]]:
    for goal in goals:
        if goal.lifecycle in _FOLLOWED:
            for target in goal.targets:
                if in_set("hba1c", target.measure):
                    yield goal, target


def _read(goal: GoalFact, target: Target, parameters: Parameters) -> Limit | None:
    """None: the Goal cannot be read as an upper limit."""
    if _says_no_number(target, parameters):
        return Limit(goal, target, None)
    quantity, high, low = target.quantity, target.high, target.low
    if quantity is not None:
        if quantity.percent is None or quantity.comparator not in ("", "<", "<="):
            return None
        return Limit(goal, target, quantity.percent, quantity.comparator == "<")
    if not target.is_range or high is None or high.percent is None:
        return None
    return Limit(goal, target, high.percent, low=low.percent if low is not None else None)


def _says_no_number(target: Target, parameters: Parameters) -> bool:
    """Only the practice's own codes mean that: what a free text means is not guessed."""
    if not parameters.a1c_no_target_codes:
        return False
    words = {f"{c.system}|{c.code}" for c in target.coded.codings} if target.coded is not None else set()
    return not words.union({target.text.strip()}).isdisjoint(parameters.a1c_no_target_codes)


def _age_order(limit: Limit, clock: Clock) -> tuple[dt.date, int, dt.datetime, bool, Decimal, str]:
    """Newest last, by the first date that the Goal has; of equals the one that asks for most."""
    when = limit.goal.status_date or limit.goal.start or limit.goal.updated
    span = clock.span(when) if when is not None else Span(dt.date.min, dt.date.min, None, 0)
    precision, strictness = min(span.precision, Precision.DAY), -(limit.high or Decimal(0))
    return span.low, precision, span.instant or _NEVER, limit.high is not None, strictness, limit.goal.id


def _due(target: Target, clock: Clock) -> tuple[str, ...]:
    if target.due is None:
        return ()
    past = clock.reached(clock.span(target.due).high + dt.timedelta(days=1))
    return (*date_flags(target.due), *(("goal_past_due",) if past else ()))
