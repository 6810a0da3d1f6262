"""Emergency visits: follow-up, return within a transition, frequent use (rules.md 2.8, 2.9)."""

from __future__ import annotations

from collections.abc import Iterator

from cm_service.flow.plans import inputs, words
from cm_service.flow.plans.context import Night, gate_of
from cm_service.flow.plans.due import Due
from cm_service.flow.plans.episodes import Found, episodes, found, task
from cm_service.flow.plans.goals import quantity
from cm_service.flow.plans.identity import ED_MEASURE
from cm_service.flow.plans.inputs import REGULATORY, VISIT_DUE, dates
from cm_service.flow.plans.needs import FOCUS_PLAN, IF_ENROLLED, JOIN, GoalNeed, Memory, TaskNeed
from cm_service.rules.decision import Decision, Outcome

_MEMORY_DAYS = 180


def needs(night: Night) -> Iterator[TaskNeed]:
    """A return within a transition goes before the follow-up of an older visit."""
    visit = _return(night)
    if visit is not None:
        yield _returned(night, night.decisions["ED-FU"], visit)
    if decision := night.eligible("ED-FU"):
        yield _follow_up(night, decision)
    if decision := night.eligible("ED-OVERUSE"):
        yield _frequent(night, decision)


def _return(night: Night) -> Found | None:
    """The newest visit that belongs to a transition of care."""
    decision = night.decisions.get("ED-FU")
    if decision is None or decision.outcome is Outcome.INSUFFICIENT_DATA or gate_of(decision):
        return None
    returns = [e for e in episodes(night, "ED-FU") if list(e.facts.get("reasons", ())) == ["ed_return"]]
    return returns[-1] if returns else None


def _returned(night: Night, decision: Decision, visit: Found) -> TaskNeed:
    stay = _stay_before(night, visit)
    left = stay.day("discharge_date") if stay else None
    after = f", in the transition after the discharge on {words.day_text(left)}" if left else ""
    return task(
        night,
        decision,
        visit,
        event="visit_date",
        code="ed-return",
        text=f"Emergency visit {words.day_text(visit.day('visit_date'))}{after}",
        ask="call by",
        priority="urgent",
        due=Due(at=visit.instant("contact_due"), business_days=1),
        inputs=_due_inputs(visit),
        group=stay.subject if stay else "",
    )


def _stay_before(night: Night, visit: Found) -> Found | None:
    """The newest discharge that is not later than the visit."""
    day = visit.day("visit_date")
    stays = [(stay.day("discharge_date"), stay) for stay in episodes(night, "DIS-TCM")]
    before = [stay for left, stay in stays if left is not None and day is not None and left <= day]
    return before[-1] if before else None


def _follow_up(night: Night, decision: Decision) -> TaskNeed:
    visit = found(night, decision)
    return task(
        night,
        decision,
        visit,
        event="visit_date",
        code="ed-followup",
        text=f"Emergency visit {words.day_text(visit.day('visit_date'))}",
        ask="contact by",
        due=Due(at=visit.instant("contact_due"), business_days=2),
        inputs=_due_inputs(visit),
        plan=IF_ENROLLED,
    )


def _due_inputs(visit: Found) -> tuple[inputs.Input, ...]:
    return dates((REGULATORY, visit.facts.get("contact_due")), (VISIT_DUE, visit.facts.get("visit_due")))


def _frequent(night: Night, decision: Decision) -> TaskNeed:
    """The count stands in the description only: a visit that grows too old changes nothing."""
    dates_, count = list(decision.facts["visit_dates"]), decision.facts["value"]
    source = f"Encounter/{decision.facts['encounter']}"
    limit = night.view.parameters.ed_freq
    return TaskNeed(
        rule=decision.rule,
        code="ed-overuse-outreach",
        text=f"{count} emergency visits in 12 months, last {dates_[-1]}",
        ask="call by",
        priority="routine",
        due=Due(days=7),
        memory=Memory(_MEMORY_DAYS, _MEMORY_DAYS, of_rule=True),
        source=source,
        focus=FOCUS_PLAN,
        encounter=source,
        inputs=(
            inputs.evidence(source, night.zone),
            *dates((inputs.EVENT, dates_[-limit:][0])),
            *inputs.supporting(decision, night.zone, beside=""),
        ),
        flags=tuple(decision.flags),
        plan=JOIN,
        goal=GoalNeed(
            measure=ED_MEASURE,
            text="Use the practice before the emergency department: at most 1 avoidable visit in 6 months",
            categories=("behavioral",),
            coding={
                "system": f"{night.emr.identifier_base}/CodeSystem/cm-measure",
                "code": ED_MEASURE,
                "display": "Avoidable emergency visits in 6 months",
            },
            quantity=quantity(1, "visits", "{visits}"),
            days=183,
        ),
        supporting=(source,),
    )
