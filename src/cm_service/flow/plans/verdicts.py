"""Has a finding ended, and why? Time alone ends nothing that is still to be done (rules.md 0.9)."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from cm_service.flow.plans.board import Item
from cm_service.flow.plans.context import LEFT, Night, gate_of
from cm_service.flow.plans.hindsight import RETURN, Answer, answer_of, is_return, stood
from cm_service.flow.plans.inputs import EVENT, EVIDENCE, input_of, inputs_of
from cm_service.flow.plans.sources import CHANGED, lost
from cm_service.flow.plans.words import evidence_text, fact_day, source_of
from cm_service.rules.decision import Decision, Outcome

# Tasks about the record or about a Goal: they end when a person says so, or with the patient.
REVIEWS = frozenset({"goal-review", "data-quality", "confirm-problem-list", "discharge-review"})
# The days after the event through which a finding would still stand if nothing but time had passed.
_WINDOW_DAYS = {
    "DIS-TCM": 29,
    "DIS-AMA": 7,
    "DIS-SNF": 60,
    "DIS-READMIT": 30,
    "ED-FU": 7,
    "ED-OVERUSE": 364,
}
_TIME_WORDS = frozenset({"period_over", "no_recent_result", "no_usable_result"})
_COUNTED = frozenset({"CHR-MULTI", "ED-OVERUSE"})
_DOUBTS = frozenset({"input_incomplete", "deceased_conflict", "age_unknown"})


class Verdict(NamedTuple):
    """`reason` "": it stands. `stops`: the patient is out, reviews end as well. `is_mistake`: the
    ground was wrong, so that a Goal which a person accepted needs a look."""

    reason: str = ""
    stops: bool = False
    is_mistake: bool = False


KEEP = Verdict()


def judge(night: Night, rule: str, subject: str, items: list[Item]) -> Verdict:
    """The verdict on one finding (rule and subject) with its Items."""
    decision = night.decisions.get(rule)
    if night.merged:
        return Verdict("merged", stops=True)
    if decision is None:
        return KEEP
    if gate := gate_of(decision):
        return Verdict(gate, stops=gate in LEFT)
    if not _DOUBTS.isdisjoint(decision.reasons):
        return KEEP
    return _weigh(night, decision, subject, [i for i in items if i.kind == "Task" and i.code not in REVIEWS])


def _weigh(night: Night, decision: Decision, subject: str, tasks: list[Item]) -> Verdict:
    answer, latest = answer_of(decision.rule, decision, subject), tasks[-1] if tasks else None
    if answer is not None and answer.outcome is Outcome.ELIGIBLE:
        return KEEP
    source = latest.source if latest else ""
    if source and (reason := lost(night, source)):
        return Verdict(reason, is_mistake=True)
    if answer is None:
        return _absent(night, decision, latest)
    if _is_old(decision, answer):
        was_so = latest is None or (_rests(night, latest) and stood(night, decision.rule, subject, latest))
        return KEEP if was_so else Verdict(CHANGED, is_mistake=True)
    if answer.outcome is Outcome.INSUFFICIENT_DATA or _is_awaited(decision, answer, latest):
        return KEEP
    return _moved_on(night, decision, answer, latest)


def _absent(night: Night, decision: Decision, latest: Item | None) -> Verdict:
    """The rule speaks no more of this episode: aged out, part of another one now, or corrected away."""
    if "Encounter" in night.view.incomplete or _has_aged(night, decision.rule, latest):
        return KEEP
    if decision.rule == "DIS-SNF":
        return Verdict("snf_ended")
    encounter = (latest.source if latest else "").partition("/")[2]
    joined = any(each.get("encounter") == encounter for each in decision.facts.get("episodes", ()))
    return Verdict("merged") if joined else Verdict(CHANGED, is_mistake=True)


def _is_old(decision: Decision, answer: Answer) -> bool:
    """May time alone have made this answer? Groups lapse and visits age without a word."""
    if decision.rule in _COUNTED:
        return answer.outcome is Outcome.NOT_ELIGIBLE
    return bool(answer.reasons) and _TIME_WORDS.issuperset(answer.reasons)


def _rests(night: Night, latest: Item) -> bool:
    """Does everything that the Task names as its evidence still stand? A Condition may have ended since."""
    written = latest.known.resource if latest.known else latest.resource
    named = (str(text).partition(":")[0] for text in inputs_of(written, EVIDENCE))
    return not any(lost(night, reference) for reference in named)


def _is_awaited(decision: Decision, answer: Answer, latest: Item | None) -> bool:
    if "pending_newer_result" in decision.flags and not answer.reasons:
        return True  # blood was taken: the result will say whether the reminder was needless
    return latest is not None and latest.code == RETURN and is_return(answer)


def _has_aged(night: Night, rule: str, latest: Item | None) -> bool:
    written = (latest.known.resource if latest.known else latest.resource) if latest else {}
    event, window = fact_day(input_of(written, EVENT), night.zone), _WINDOW_DAYS.get(rule)
    return event is not None and window is not None and night.today > event + dt.timedelta(days=window)


def _moved_on(night: Night, decision: Decision, answer: Answer, latest: Item | None) -> Verdict:
    """Withdrawn as a mistake where the very input says something else now; else the world moved on."""
    reason = next(iter(answer.reasons), "")
    first = decision.evidence[0] if decision.evidence else None
    written: dict[str, Any] = latest.known.resource if latest and latest.known else {}
    if first is not None and latest is not None and source_of(first) == latest.source:
        told = input_of(written, EVIDENCE)
        if first.type == "Observation" and told and told != evidence_text(first, night.zone):
            return Verdict(CHANGED, is_mistake=True)
    if not reason:
        return Verdict(CHANGED, is_mistake=True)
    return Verdict(reason, is_mistake=reason == "no_diabetes")
