"""HbA1c: out of range, test overdue, diabetic range without diabetes (rules.md 1.8, 1.9)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from cm_service.flow.plans import inputs, words
from cm_service.flow.plans.context import Night
from cm_service.flow.plans.due import Due
from cm_service.flow.plans.goals import quantity
from cm_service.flow.plans.identity import A1C_MEASURE
from cm_service.flow.plans.needs import FOCUS_GOAL, JOIN, ONCE, GoalNeed, Memory, TaskNeed
from cm_service.rules.conditions import DIABETES
from cm_service.rules.decision import Decision, Evidence
from cm_service.rules.facts import AppointmentFact, ServiceRequestFact
from cm_service.rules.value_sets import LOINC, in_set

_OUTREACH, _TEST = "a1c-outreach", "a1c-test-due"
_DONE_DAYS = 90
_BOOKED = frozenset({"proposed", "pending", "booked", "arrived", "checked-in", "waitlist"})


def needs(night: Night) -> Iterator[TaskNeed]:
    """Out of range goes before overdue: it asks for the test as well."""
    if out := night.eligible("A1C-OUT"):
        yield _outreach(night, out)
    if overdue := night.eligible("A1C-OVERDUE"):
        yield _test(night, overdue)
    if without := night.eligible("A1C-NODX"):
        yield _review(night, without)


def _outreach(night: Night, decision: Decision) -> TaskNeed:
    result, target = decision.evidence[0], decision.facts["threshold"]
    priority = str(decision.facts.get("priority", "routine"))
    limit = quantity(target, "%", "%")
    return TaskNeed(
        rule=decision.rule,
        code=_OUTREACH,
        text=f"HbA1c {_said(night, result)}, target {target} %",
        ask="call by",
        priority=priority,
        due=Due(business_days=2) if priority == "urgent" else Due(days=7),
        memory=Memory(_DONE_DAYS, _cooloff(night), codes=frozenset({_TEST})),
        source=words.source_of(result),
        focus=FOCUS_GOAL,
        inputs=(
            inputs.evidence(result, night.zone),
            (inputs.TARGET, "valueQuantity", limit),
            *inputs.supporting(decision, night.zone, beside=words.source_of(result)),
        ),
        flags=tuple(decision.flags),
        plan=JOIN,
        goal=GoalNeed(
            measure=A1C_MEASURE,
            text=f"HbA1c at or below {target} %",
            categories=("dietary", "behavioral"),
            coding={
                "system": LOINC,
                "code": A1C_MEASURE,
                "display": "Hemoglobin A1c/Hemoglobin.total in Blood",
            },
            quantity=limit,
            days=92,
            addresses=_diabetes(decision),
        ),
        addresses=_diabetes(decision),
        supporting=(words.source_of(result),),
    )


def _test(night: Night, decision: Decision) -> TaskNeed:
    last = _last_test(night, decision)
    conditions = _diabetes(decision)
    source = words.source_of(last) if last else next(iter(conditions), "")
    return TaskNeed(
        rule=decision.rule,
        code=_TEST,
        text=f"HbA1c test due: {_last_text(night, last)}",
        ask="arrange by",
        priority="routine",
        due=Due(days=14),
        memory=Memory(_DONE_DAYS, _cooloff(night)),
        source=source,
        focus=source,
        inputs=(
            *((inputs.evidence(last or source, night.zone),) if source else ()),
            *inputs.supporting(decision, night.zone, beside=source),
        ),
        flags=tuple(decision.flags),
        performer="medical assistant or care manager",
        plan=JOIN,
        yields_to=_OUTREACH,
        blocked=_is_arranged(night, decision),
        addresses=conditions,
    )


def _review(night: Night, decision: Decision) -> TaskNeed:
    result = decision.evidence[0]
    remission = "remission_relapse" in decision.reasons
    known = "diabetes on record only as in remission" if remission else "no diabetes on record"
    return TaskNeed(
        rule=decision.rule,
        code="provider-review",
        text=f"HbA1c {_said(night, result)}, {known}",
        ask="please review by",
        priority="routine",
        due=Due(days=14),
        memory=ONCE,
        subject=result.id,
        source=words.source_of(result),
        focus=words.source_of(result),
        inputs=(
            inputs.evidence(result, night.zone),
            *inputs.supporting(decision, night.zone, beside=words.source_of(result)),
        ),
        flags=tuple(decision.flags),
        performer="primary care provider",
        to_provider=True,
    )


def _said(night: Night, result: Evidence) -> str:
    return f"{result.value} % on {words.evidence_day(result, night.zone)}"


def _last_test(night: Night, decision: Decision) -> Evidence | None:
    """The evidence of the newest test, usable or not."""
    results = [each for each in decision.evidence if each.type == "Observation"]
    day = str(decision.facts.get("last_test", ""))
    return next((e for e in results if day and words.evidence_day(e, night.zone) == day), None)


def _last_text(night: Night, last: Evidence | None) -> str:
    if last is None:
        return "none on record in 24 months"
    value = f"{last.value} %" if last.value else "value not usable"
    return f"last {words.evidence_day(last, night.zone)} ({value})"


def _diabetes(decision: Decision) -> tuple[str, ...]:
    found = (e for e in decision.evidence if e.type == "Condition" and e.value == DIABETES)
    return tuple(dict.fromkeys(words.source_of(each) for each in found))


def _cooloff(night: Night) -> int:
    return night.view.parameters.gx_decline_cooloff_days


def _is_arranged(night: Night, decision: Decision) -> bool:
    """Has the test been ordered, or is there an appointment for it that is still to come?"""
    last = words.fact_day(decision.facts.get("last_test"), night.zone)
    return any(_is_ordered(night, each, last) for each in night.view.of(ServiceRequestFact)) or any(
        each.status in _BOOKED
        and _is_ahead(night, each)
        and any(in_set("hba1c", kind) for kind in each.types)
        for each in night.view.of(AppointmentFact)
    )


def _is_ordered(night: Night, order: ServiceRequestFact, last: dt.date | None) -> bool:
    """An active order since the last test. EMRs leave orders active for years: one that is older
    than the longest interval between tests was forgotten, and one without a date tells nothing."""
    when = order.occurrence or order.authored
    day = words.fact_day(when.raw, night.zone) if when else None
    if (
        order.status != "active"
        or order.intent == "proposal"
        or day is None
        or not in_set("hba1c", order.code)
    ):
        return False
    age = (night.today - day).days
    return age <= night.view.parameters.a1c_recheck_ok and (last is None or day > last)


def _is_ahead(night: Night, appointment: AppointmentFact) -> bool:
    if appointment.start is None:
        return False
    day = words.fact_day(appointment.start.raw, night.zone)
    return day is not None and day >= night.today
