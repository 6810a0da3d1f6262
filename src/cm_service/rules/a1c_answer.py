"""What the HbA1c rules share: one answer per threshold that could apply, settled into one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from cm_service.rules.a1c_reliability import reliability_flags
from cm_service.rules.a1c_results import Results
from cm_service.rules.a1c_threshold import Threshold, thresholds
from cm_service.rules.clock import Clock
from cm_service.rules.conditions import Diabetes
from cm_service.rules.dates import When
from cm_service.rules.decision import Evidence, Finding, Outcome
from cm_service.rules.facts import ObservationFact, Reading
from cm_service.rules.view import PatientView

RECENT_DAYS = 365


class Answer(NamedTuple):
    """The outcome if `threshold` were the one that applies; `facts` are those that it decides."""

    outcome: Outcome
    reasons: tuple[str, ...]
    facts: dict[str, Any]
    threshold: Threshold
    flags: tuple[str, ...] = ()


def judged(
    view: PatientView, clock: Clock, *, found: Results, known: Diabetes, judge: Callable[[Threshold], Answer]
) -> Finding:
    """The finding for a patient with diabetes, whatever the threshold turns out to be."""
    limits = view.derive(thresholds, clock)
    answers = [judge(option) for option in limits.options]
    answer = _settle(answers, limits.doubt)
    context = [line for option in limits.options for line in option.evidence]
    flags = (*limits.flags, *answer.flags, *view.derive(reliability_flags, clock))
    return finding(
        answer.outcome,
        answer.reasons,
        found=found,
        known=known,
        facts=answer.facts,
        flags=flags,
        context=context,
    )


def without_diabetes(view: PatientView, *, found: Results, known: Diabetes, facts: dict[str, Any]) -> Finding:
    """No counted diabetes; where one is listed, an encounter that could not be read might make it count."""
    outcome, reasons = Outcome.NOT_ELIGIBLE, ["no_diabetes"]
    if known.evidence and "Encounter" in view.incomplete and not known.remission_only:
        outcome, reasons = Outcome.INSUFFICIENT_DATA, ["input_incomplete", *reasons]
    return finding(outcome, reasons, found=found, known=known, facts=facts)


def finding(
    outcome: Outcome,
    reasons: Iterable[str],
    *,
    found: Results,
    known: Diabetes,
    facts: dict[str, Any],
    flags: Iterable[str] = (),
    context: Iterable[Evidence] = (),
) -> Finding:
    """First the result that speaks, then newer ones that do not, then what the threshold rests on."""
    looked_at = (found.newest, found.newer_unusable, found.pending)
    shown = [result_evidence(one.fact, one.reading, one.when) for one in looked_at if one is not None]
    if found.newest is None:
        shown += [result_evidence(fact, reading, None) for fact, reading in found.undated]
    return Finding(
        outcome=outcome,
        reasons=list(reasons),
        flags=sorted({*found.flags, *known.flags, *flags}),
        evidence=[*shown, *context, *known.evidence],
        facts=facts,
    )


def value_facts(found: Results) -> dict[str, Any]:
    return {"value": found.newest.reading.percent} if found.newest is not None else {}


def why_no_result(found: Results, clock: Clock) -> str:
    """Results that cannot be used call for another deed than no results at all."""
    recent = any(clock.within_days(one.span, RECENT_DAYS) is not False for one in found.unusable)
    return "no_usable_result" if recent or found.undated else "no_recent_result"


def result_evidence(fact: ObservationFact, reading: Reading, when: When | None) -> Evidence:
    value = "" if reading.percent is None else f"{reading.comparator}{reading.percent}"
    return Evidence(
        type="Observation",
        id=fact.id,
        version=fact.version,
        path=reading.path,
        raw=reading.raw,
        value=value,
        unit="%" if value else "",
        date=when.raw if when is not None else "",
    )


def _settle(answers: list[Answer], doubt: str) -> Answer:
    """Several answers agree on the outcome, or nothing can be said (rules.md 1.7.3)."""
    if len(answers) == 1:
        only = answers[0]
        return only._replace(flags=(*only.threshold.flags, *only.flags))
    outcomes = {answer.outcome for answer in answers}
    if len(outcomes) > 1:
        common = {key: value for key, value in answers[0].facts.items() if _is_common(key, value, answers)}
        return Answer(Outcome.INSUFFICIENT_DATA, (doubt,), common, answers[0].threshold)
    if outcomes == {Outcome.ELIGIBLE}:
        return max(answers, key=_number)
    return min(answers, key=lambda answer: (answer.threshold.value is None, _number(answer)))


def _number(answer: Answer) -> Decimal:
    return answer.threshold.value or Decimal(0)


def _is_common(key: str, value: object, answers: list[Answer]) -> bool:
    return all(key in answer.facts and answer.facts[key] == value for answer in answers)
