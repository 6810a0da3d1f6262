"""A1C-OUT: the newest HbA1c of a patient with diabetes is out of range (rules.md 1.7, 1.8)."""

from __future__ import annotations

from cm_service.rules.a1c_answer import (
    RECENT_DAYS,
    Answer,
    judged,
    value_facts,
    why_no_result,
    without_diabetes,
)
from cm_service.rules.a1c_results import Results, results
from cm_service.rules.a1c_threshold import Threshold, exceeds
from cm_service.rules.clock import Clock
from cm_service.rules.conditions import diabetes
from cm_service.rules.decision import Finding, Outcome, Rule
from cm_service.rules.facts import Reading
from cm_service.rules.view import PatientView

_REASON = {True: "above_target", False: "at_target", None: "comparator_undecided"}
_OUTCOME = {True: Outcome.ELIGIBLE, False: Outcome.NOT_ELIGIBLE, None: Outcome.INSUFFICIENT_DATA}


def _evaluate(view: PatientView, clock: Clock) -> Finding:
    found, known = view.derive(results, clock), view.derive(diabetes, clock)
    if not known.has:
        return without_diabetes(view, found=found, known=known, facts=value_facts(found))

    def judge(threshold: Threshold) -> Answer:
        return _judge(threshold, found, view, clock)

    return judged(view, clock, found=found, known=known, judge=judge)


def _judge(threshold: Threshold, found: Results, view: PatientView, clock: Clock) -> Answer:
    facts = value_facts(found)
    if threshold.value is None:  # pregnancy and very complex health decide without a result
        return Answer(Outcome.NOT_ELIGIBLE, (threshold.reason,), facts, threshold)
    facts["threshold"] = threshold.value
    newest = found.newest
    if newest is None or clock.within_days(newest.span, RECENT_DAYS) is not True:
        return Answer(Outcome.INSUFFICIENT_DATA, (why_no_result(found, clock),), facts, threshold)
    out = exceeds(newest.reading, threshold.value, inclusive=threshold.inclusive)
    if out:
        facts["priority"] = _priority(newest.reading, view)
    reasons = [_REASON[out], *([threshold.reason] if threshold.reason else [])]
    return Answer(_OUTCOME[out], tuple(reasons), facts, threshold, _range_flags(newest.reading, threshold))


def _priority(reading: Reading, view: PatientView) -> str:
    return "urgent" if exceeds(reading, view.parameters.a1c_poor) else "routine"


def _range_flags(reading: Reading, threshold: Threshold) -> tuple[str, ...]:
    if threshold.low is None or exceeds(reading, threshold.low, inclusive=True) is not False:
        return ()
    return ("below_goal_range",)


RULE = Rule(
    id="A1C-OUT",
    version="1.1",
    title="HbA1c above target",
    inputs=frozenset({"Observation", "Condition", "Goal"}),
    gates=("GX-01", "GX-04", "GX-02", "GX-03"),
    evaluate=_evaluate,
)
