"""From which value on an HbA1c is out of range for this patient (rules.md 1.5 comparators, 1.7)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from cm_service.rules.a1c_goal import Limit, goal_evidence, individual_goal
from cm_service.rules.clock import Clock
from cm_service.rules.dates import date_flags
from cm_service.rules.decision import Evidence
from cm_service.rules.facts import Reading
from cm_service.rules.older_adult import Health, health
from cm_service.rules.pregnancy import pregnancy
from cm_service.rules.three_valued import Maybe, all_of, any_of
from cm_service.rules.view import PatientView

_OLDER, _FRAIL_AGE = 65, 66
_HEALTHY, _COMPLEX = Decimal("7.5"), Decimal("8.0")


class Threshold(NamedTuple):
    """Out means above `value`, or at or above it where `inclusive`. Without a value there is no
    numeric target, and `reason` says why; with one, `reason` is `individual_goal` or empty."""

    value: Decimal | None
    inclusive: bool = False
    low: Decimal | None = None
    reason: str = ""
    flags: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()


class Thresholds(NamedTuple):
    """Every threshold that could apply; more than one where something is unknown, and then `doubt`
    is the reason to give if they do not agree."""

    options: tuple[Threshold, ...]
    doubt: str = ""
    flags: tuple[str, ...] = ()


def exceeds(reading: Reading, limit: Decimal, *, inclusive: bool = False) -> Maybe:
    """Is the value out: above the limit, or at or above it where `inclusive`? A bound (`>`, `<=` ...)
    may leave that open: None. `reading` must be usable."""
    value = reading.percent
    if value is None:
        raise ValueError("an HbA1c without a value exceeds nothing")
    return _compare(value, reading.comparator, limit, inclusive=inclusive)


def exceeds_native(reading: Reading, percent: Decimal, mmol_per_mol: Decimal) -> Maybe:
    """At or above a limit that is given in both units: a value is compared as it was measured."""
    if reading.unit == "mmol/mol" and reading.native is not None:
        return _compare(reading.native, reading.comparator, mmol_per_mol, inclusive=True)
    return exceeds(reading, percent, inclusive=True)


def _compare(value: Decimal, comparator: str, limit: Decimal, *, inclusive: bool) -> Maybe:
    if not comparator:
        return value >= limit if inclusive else value > limit
    if comparator.startswith(">"):
        reached = value > limit if comparator == ">=" and not inclusive else value >= limit
        return True if reached else None
    under = value < limit if comparator == "<=" and inclusive else value <= limit
    return False if under else None


def thresholds(view: PatientView, clock: Clock) -> Thresholds:
    """First match wins: Goal, pregnancy, older adult, default. Ask through `view.derive`."""
    goal = view.derive(individual_goal, clock)
    if goal.limit is not None:
        return Thresholds((_of_goal(goal.limit),), flags=goal.flags)
    pregnant = view.derive(pregnancy, clock)
    routed = Threshold(None, reason="pregnancy_route_to_provider", evidence=pregnant.evidence)
    flags = (*goal.flags, *pregnant.flags)
    if pregnant.now:
        return Thresholds((routed,), flags=flags)
    rest = _by_age(view, clock)
    if pregnant.now is False:
        return rest._replace(flags=(*flags, *rest.flags))
    return Thresholds((routed, *rest.options), rest.doubt or routed.reason, (*flags, *rest.flags))


def _of_goal(limit: Limit) -> Threshold:
    reason = "individual_goal" if limit.high is not None else "no_numeric_target"
    return Threshold(limit.high, limit.inclusive, limit.low, reason, evidence=(goal_evidence(limit),))


def _by_age(view: PatientView, clock: Clock) -> Thresholds:
    default = Threshold(view.parameters.a1c_target)
    if view.parameters.a1c_older_adult_mode != "ada":
        return Thresholds((default,))
    older = _age_at_least(_OLDER, view, clock)
    if older is False:
        return Thresholds((default,), flags=_birth_flags(view))
    found = view.derive(health, clock)
    frail_age = _age_at_least(_FRAIL_AGE, view, clock)
    options = tuple(_older_options(found, any_of((found.very, all_of((found.very_at_66, frail_age))))))
    depends = older is None or (frail_age is None and found.very_at_66 is not False and not found.very)
    doubt = "age_unknown" if depends else "complexity_not_assessed"
    flags = (*_birth_flags(view), *found.flags)
    if len(options) > 1 and not depends:
        flags = (*flags, doubt)
    return Thresholds((default, *options) if older is None else options, doubt, flags)


def _older_options(found: Health, very: Maybe) -> Iterator[Threshold]:
    if very is not False:
        yield Threshold(None, reason="older_adult_very_complex", evidence=found.evidence)
    if very is not True and found.burdened is not False:
        yield Threshold(_COMPLEX, flags=("older_adult_complex",), evidence=found.evidence)
    if very is not True and found.burdened is not True:
        unknown = () if found.assessed else ("complexity_not_assessed",)
        yield Threshold(_HEALTHY, flags=("older_adult_healthy", *unknown))


def _age_at_least(years: int, view: PatientView, clock: Clock) -> Maybe:
    patient = view.patient
    if patient is None or patient.birth is None:
        return None
    return clock.age_at_least(clock.span(patient.birth), years)


def _birth_flags(view: PatientView) -> tuple[str, ...]:
    return date_flags(view.patient.birth) if view.patient is not None else ()
