"""Is the patient pregnant today? (rules.md 1.7, second point)"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from cm_service.rules.clock import Clock
from cm_service.rules.decision import Evidence
from cm_service.rules.facts import ConditionFact
from cm_service.rules.statements import Statement, evidence_of, flags_of, statements
from cm_service.rules.three_valued import Maybe, all_of, any_of
from cm_service.rules.view import PatientView

_LONGEST_DAYS = 300  # older entries were never closed


class Pregnancy(NamedTuple):
    now: Maybe
    evidence: tuple[Evidence, ...]
    flags: tuple[str, ...]


def pregnancy(view: PatientView, clock: Clock) -> Pregnancy:
    """Active pregnancy as of today; ask through `view.derive`."""
    found = view.derive(statements, clock)
    said = [one for one in found.of("pregnancy") if one.is_condition]
    answers = [all_of((one.holds, _still(one, clock))) for one in said]
    flags = {*found.ignored("pregnancy"), *flags_of(said)}
    if False in answers:
        flags.add("pregnancy_stale")
    evidence = tuple(evidence_of(one) for one, now in zip(said, answers, strict=True) if now is not False)
    return Pregnancy(any_of(answers), evidence, tuple(sorted(flags)))


def _still(statement: Statement, clock: Clock) -> Maybe:
    fact = statement.fact
    if isinstance(fact, ConditionFact) and fact.expected_delivery is not None:
        due = clock.span(fact.expected_delivery)
        if not clock.reached(due.high + dt.timedelta(days=1)):
            return True
    return None if statement.since is None else clock.within_days(statement.since, _LONGEST_DAYS)
