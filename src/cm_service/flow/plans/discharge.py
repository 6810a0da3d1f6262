"""Discharges: transition care, against advice, skilled nursing, readmission (rules.md 2.5 to 2.7)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import partial
from typing import Any

from cm_service.flow.plans import words
from cm_service.flow.plans.context import Night
from cm_service.flow.plans.due import Due, end_of, last_second
from cm_service.flow.plans.episodes import Found, encounter_of, episodes, facility, found, task
from cm_service.flow.plans.identity import STAY_MEASURE
from cm_service.flow.plans.inputs import CHECKLIST, REGULATORY, REGULATORY_LATER, dates
from cm_service.flow.plans.needs import EPISODE, IF_ENROLLED, IF_OPEN, Episode, GoalNeed, Memory, TaskNeed
from cm_service.rules.business_days import business_days_after
from cm_service.rules.decision import Decision

_CONTACT = "post-discharge-contact"
# What a contact after a discharge has to cover before its Task is complete.
_CHECKLIST = (
    "medications reconciled",
    "follow-up appointment made",
    "symptoms asked about",
    "warning signs taught",
    "discharge instructions reviewed",
    "care coordinated with others involved",
    "barriers found and answered",
)


def needs(night: Night) -> Iterator[TaskNeed]:
    if decision := night.eligible("DIS-TCM"):
        yield from _transition(night, decision)
    if decision := night.eligible("DIS-AMA"):
        yield _against_advice(night, decision)
    if decision := night.eligible("DIS-SNF"):
        yield _skilled_nursing(night, decision)
    if decision := night.eligible("DIS-READMIT"):
        yield _readmission(night, decision)


def _transition(night: Night, decision: Decision) -> Iterator[TaskNeed]:
    """Four Tasks, one Goal, one plan per episode."""
    stay = found(night, decision)
    told = f"Discharged {words.day_text(stay.day('discharge_date'))} from {facility(night, stay.encounter)}"
    moderate = words.day_text(stay.day("visit_due_moderate"))
    contact, visit = (
        Due(at=stay.instant("contact_due")),
        Due(at=end_of(stay.day("visit_due_high"), night.zone)),
    )
    by_visit = dates(
        (REGULATORY, stay.facts.get("visit_due_high")),
        (REGULATORY_LATER, stay.facts.get("visit_due_moderate")),
    )
    make = partial(_of_transition, night, decision, stay)
    yield make(
        code=_CONTACT,
        text=told,
        ask="contact by",
        due=contact,
        inputs=(
            *dates((REGULATORY, stay.facts.get("contact_due"))),
            *((CHECKLIST, "valueString", item) for item in _CHECKLIST),
        ),
    )
    yield make(
        code="medication-reconciliation",
        text=told,
        ask="reconcile medications before the visit, by",
        priority="urgent",
        due=visit,
        inputs=by_visit,
        performer="care manager or pharmacist",
    )
    yield make(
        code="post-discharge-visit",
        text=f"{told} (moderate complexity may be seen until {moderate})",
        ask="visit by",
        priority="urgent",
        due=visit,
        inputs=by_visit,
        performer="provider scheduling",
    )
    yield make(
        code="discharge-summary-request",
        text=told,
        ask="get the discharge summary by",
        priority="routine",
        due=contact,
        performer="medical assistant",
    )


def _of_transition(night: Night, decision: Decision, stay: Found, **own: Any) -> TaskNeed:
    day, end = stay.day("discharge_date"), stay.day("period_end")
    encounter = encounter_of(night, stay.encounter)
    return task(
        night,
        decision,
        stay,
        event="discharge_date",
        plan=EPISODE,
        group=stay.subject,
        goal=GoalNeed(
            measure=STAY_MEASURE,
            text="No unplanned readmission within 30 days",
            categories=("safety", "nursing"),
            subject=stay.subject,
            due=day + dt.timedelta(days=30) if day else None,
        ),
        episode=Episode(
            subject=stay.subject,
            start=day,
            end=end,
            title=f"Transition of care after discharge on {words.day_text(day)}",
            addresses=encounter.diagnoses if encounter else (),
        ),
        supporting=(stay.source,),
        **own,
    )


def _against_advice(night: Night, decision: Decision) -> TaskNeed:
    stay = found(night, decision)
    return task(
        night,
        decision,
        stay,
        event="discharge_date",
        code="post-discharge-outreach",
        text=f"Left hospital against advice on {words.day_text(stay.day('discharge_date'))}",
        ask="call by",
        due=Due(at=stay.instant("contact_due")),
        inputs=dates((REGULATORY, stay.facts.get("contact_due"))),
        group=stay.subject,
        # The description says it already.
        flags=tuple(flag for flag in decision.flags if flag != "left_against_advice"),
    )


def _skilled_nursing(night: Night, decision: Decision) -> TaskNeed:
    """A look every 7 days: when one is done, the next one follows."""
    stay = found(night, decision)
    since, sent = stay.day("snf_since"), stay.day("discharge_date")
    told = "In skilled nursing since" if since else "Sent to skilled nursing, stay not on record, on"
    return task(
        night,
        decision,
        stay,
        event="discharge_date",
        code="snf-watch",
        text=f"{told} {words.day_text(since or sent)}, transition care starts when the patient leaves",
        ask="weekly look, by",
        due=Due(days=7),
        memory=Memory(0, None),
        plan=IF_ENROLLED,
        group=stay.subject,
        since=None,
        flags=tuple(flag for flag in decision.flags if flag != "snf_unseen"),
    )


def _readmission(night: Night, decision: Decision) -> TaskNeed:
    stay = found(night, decision)
    back, left = stay.day("readmission_date"), stay.day("index_discharge_date")
    days = f"{(back - left).days} days after discharge" if back and left else "soon after discharge"
    due = last_second(business_days_after(back, 1), night.zone) if back else None
    return task(
        night,
        decision,
        stay,
        event="readmission_date",
        code="readmission-review",
        text=f"Readmitted {words.day_text(back)}, {days}",
        ask="review by",
        due=Due(at=due, business_days=1),
        focus=_before(night, left) or stay.source,
        plan=IF_OPEN,
        group=stay.subject,
    )


def _before(night: Night, discharged: dt.date | None) -> str:
    """A link to the contact Task of the episode that the readmission ended, "" if there is none."""
    for episode in episodes(night, "DIS-TCM"):
        if discharged is not None and episode.day("discharge_date") == discharged:
            for item in night.board.own("Task", code=_CONTACT, subject=episode.subject):
                if not item.deleted:
                    return item.link["reference"]
    return ""
