"""Kidney failure: end-stage disease and dialysis, unless a transplant came after (rules.md 1.7.3)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from cm_service.rules.clock import Clock, Span
from cm_service.rules.statements import Statement, Statements, flags_of, statements
from cm_service.rules.three_valued import Maybe, all_of, any_of, negation
from cm_service.rules.view import PatientView

_STATEMENT_MONTHS = 12
_SESSIONS_APART = dt.timedelta(days=30)  # a single session may have treated an acute kidney injury
SETS = ("ckd5_esrd", "dialysis_service", "dialysis_status", "kidney_transplant")


class Kidney(NamedTuple):
    failing: Maybe
    evidence: tuple[Statement, ...]
    flags: frozenset[str]


def kidney(view: PatientView, clock: Clock) -> Kidney:
    """CKD 5, end-stage disease or dialysis status as of today; ask through `view.derive`."""
    found = view.derive(statements, clock)
    transplants = found.of("kidney_transplant")
    failing = any_of(
        (
            *_end_stage(found, transplants),
            *_dialysis_status(found, transplants, clock),
            _sessions(found, transplants, clock),
        )
    )
    said = [one for name in SETS for one in found.of(name) if name == "ckd5_esrd" or _may_count(one, clock)]
    return Kidney(failing, tuple(said) if failing else (), found.ignored(*SETS) | flags_of(said))


def _may_count(statement: Statement, clock: Clock) -> bool:
    return _recent(statement.on, clock) is not False


def _end_stage(found: Statements, transplants: tuple[Statement, ...]) -> Iterable[Maybe]:
    """An active Condition, whatever its date; *with transplant* rows are no failure by themselves."""
    replaced = {transplant.fact.id for transplant in transplants if transplant.is_condition}
    for statement in found.of("ckd5_esrd"):
        if statement.is_condition and statement.fact.id not in replaced:
            yield all_of((statement.holds, negation(_ended(statement.since, transplants))))


def _dialysis_status(found: Statements, transplants: tuple[Statement, ...], clock: Clock) -> Iterable[Maybe]:
    for statement in found.of("dialysis_status"):
        recent = _recent(statement.on, clock)
        yield all_of((statement.holds, recent, negation(_ended(statement.on, transplants))))


def _sessions(found: Statements, transplants: tuple[Statement, ...], clock: Clock) -> Maybe:
    """Services on two dates that lie far enough apart, the newest of them within the year."""
    services = [(s.on, _ended(s.on, transplants)) for s in found.of("dialysis_service")]
    possible = [on for on, ended in services if ended is not True]
    sure = [on for on, ended in services if ended is False and on is not None]
    if len(possible) < 2:
        return False
    recent = any_of(_recent(on, clock) for on in possible)
    return all_of((recent, True if _apart([*sure]) else _apart(possible) and None))


def _apart(dates: list[Span | None]) -> Maybe:
    known = [on for on in dates if on is not None]
    if len(known) < len(dates):
        return None
    if len(known) < 2 or max(on.high for on in known) - min(on.low for on in known) < _SESSIONS_APART:
        return False
    return max(on.low for on in known) - min(on.high for on in known) >= _SESSIONS_APART or None


def _recent(on: Span | None, clock: Clock) -> Maybe:
    return None if on is None else clock.within_months(on, _STATEMENT_MONTHS)


def _ended(on: Span | None, transplants: tuple[Statement, ...]) -> Maybe:
    """Did a transplant come after it, or on the same day (the operation that ended it)?"""
    return any_of(all_of((transplant.holds, _after(transplant.since, on))) for transplant in transplants)


def _after(transplant: Span | None, on: Span | None) -> Maybe:
    if transplant is None or on is None:
        return None
    if transplant.low >= on.high:
        return True
    return False if transplant.high < on.low else None
