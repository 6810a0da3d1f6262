"""A1C-OVERDUE: a patient with diabetes is due for an HbA1c test (rules.md 1.3, 1.8).

The clock runs from the newest test, that is from the last time that blood was taken: how long it
may run depends on whether that test was at target. A result that cannot be used or decided is a
test of unknown level.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from cm_service.rules.a1c_answer import Answer, judged, without_diabetes
from cm_service.rules.a1c_results import Result, Results, results
from cm_service.rules.a1c_threshold import Threshold, exceeds
from cm_service.rules.clock import Clock
from cm_service.rules.conditions import diabetes
from cm_service.rules.decision import Finding, Outcome, Rule
from cm_service.rules.three_valued import Maybe
from cm_service.rules.view import PatientView


def _evaluate(view: PatientView, clock: Clock) -> Finding:
    found, known = view.derive(results, clock), view.derive(diabetes, clock)
    if not known.has:
        return without_diabetes(view, found=found, known=known, facts=_test_facts(found.newest_test))

    def judge(threshold: Threshold) -> Answer:
        return _judge(threshold, found, view, clock)

    return judged(view, clock, found=found, known=known, judge=judge)


def _judge(threshold: Threshold, found: Results, view: PatientView, clock: Clock) -> Answer:
    test = found.newest_test
    facts = _test_facts(test)
    if threshold.value is None:
        return Answer(Outcome.NOT_ELIGIBLE, (threshold.reason,), facts, threshold)
    if test is None:
        overdue: Maybe = True
        reasons: tuple[str, ...] = ("never_tested",)
    else:
        out = _level(test, threshold)
        soonest, latest = _limits(out, view)
        facts["due"] = (test.span.high + dt.timedelta(days=latest + 1)).isoformat()
        overdue = _overdue(test, clock, soonest=soonest, latest=latest)
        reasons = _reasons(overdue, test, out)
    return _held_back(Answer(_OUTCOME[overdue], reasons, facts, threshold), found)


def _level(test: Result, threshold: Threshold) -> Maybe:
    """Was the test above target? None: unusable, or a bound that does not decide."""
    if test.reading.percent is None or threshold.value is None:
        return None
    return exceeds(test.reading, threshold.value, inclusive=threshold.inclusive)


def _limits(out: Maybe, view: PatientView) -> tuple[int, int]:
    """Days through which the test is surely, and possibly, recent enough."""
    high, ok = view.parameters.a1c_recheck_high, view.parameters.a1c_recheck_ok
    if out is None:
        return min(high, ok), max(high, ok)
    return (high, high) if out else (ok, ok)


def _overdue(test: Result, clock: Clock, *, soonest: int, latest: int) -> Maybe:
    if clock.within_days(test.span, soonest):
        return False
    return True if clock.within_days(test.span, latest) is False else None


def _reasons(overdue: Maybe, test: Result, out: Maybe) -> tuple[str, ...]:
    """A level that is known leaves only the date open, which its own flag says."""
    if overdue is not None:
        return ("test_overdue",) if overdue else ("test_recent",)
    if out is not None:
        return ()
    return ("comparator_undecided",) if test.reading.comparator else ("no_usable_result",)


def _held_back(answer: Answer, found: Results) -> Answer:
    """A result on its way is waited for: the flag `pending_newer_result` then says why."""
    if found.pending is None or answer.outcome is Outcome.NOT_ELIGIBLE:
        return answer
    if found.pending_open:
        return answer._replace(outcome=Outcome.NOT_ELIGIBLE, reasons=())
    return answer._replace(outcome=Outcome.INSUFFICIENT_DATA)


def _test_facts(test: Result | None) -> dict[str, Any]:
    """`last_test` as a local day; a month or a year stays as the EMR wrote it."""
    if test is None:
        return {}
    return {"last_test": test.span.low.isoformat() if test.span.exact else test.when.raw}


_OUTCOME = {True: Outcome.ELIGIBLE, False: Outcome.NOT_ELIGIBLE, None: Outcome.INSUFFICIENT_DATA}

RULE = Rule(
    id="A1C-OVERDUE",
    version="1.1",
    title="HbA1c test overdue",
    inputs=frozenset({"Observation", "Condition", "Goal"}),
    gates=("GX-01", "GX-04", "GX-02", "GX-03"),
    evaluate=_evaluate,
)
