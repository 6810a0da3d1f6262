"""Accept, decline, snooze, consent, goals, contacts, tasks, closing: one function an act.

Each takes a Desk and returns the act's id. Raises BadInput for what was given wrong and NotNow for what
the case does not allow at present.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from cm_service.db import care, cases, ledger
from cm_service.errors import BadInput, NotNow
from cm_service.flow.care import resources, words
from cm_service.flow.care.desk import Desk
from cm_service.flow.plans.board import Item
from cm_service.flow.plans.due import stamp
from cm_service.flow.plans.identity import LONGITUDINAL, plan_key

LONGEST_DECLINE_DAYS = 3650
_CATEGORIES = (
    ("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan"),
    ("http://snomed.info/sct", "734163000"),
)


def accept(desk: Desk, *, care_manager: str) -> int:
    """The care manager takes the patient. The plan stays a draft until the patient agrees, too."""
    if desk.case.enrolment is not None:
        raise NotNow("this patient is enrolled already")
    if not desk.case.tasks() and not care.decisions_of(desk.connection, desk.emr, [desk.patient_id]):
        raise NotNow("nothing is known of this patient")
    desk.hold()
    for task in desk.case.tasks():
        if task.status in ("draft", "requested", "received"):
            desk.rewrite(task, status="accepted", owner=_owner(desk, task, care_manager))
    enrolment_id = _open(desk, care_manager)
    return desk.done("accept", enrolment_id=enrolment_id)


def _open(desk: Desk, care_manager: str) -> int:
    """The number is that of the plan in draft, else the next one."""
    plan = desk.case.plan()
    earlier = cases.enrolments(desk.connection, desk.emr, desk.patient_id)
    following = 1 + max((row.number for row in earlier), default=0)
    enrolment_id = cases.insert(
        desk.connection,
        "enrolment",
        emr=desk.emr,
        patient_id=desk.patient_id,
        number=int(plan.enrolment) if plan and plan.enrolment.isdigit() else following,
        status="accepted",
        care_manager=care_manager,
        opened_at=desk.now,
        active_since=None,
        closed_at=None,
        closure=None,
        version=1,
    )
    cases.wake(desk.connection, desk.emr, desk.patient_id)
    desk.note(opened=enrolment_id)
    return enrolment_id


def _owner(desk: Desk, task: Item, care_manager: str) -> Any:
    named = resources.person(care_manager, desk.base)
    return named if "reference" in named else task.resource.get("owner")


def decline(desk: Desk, *, reason: str, days: int) -> int:
    """The patient said no to the offer, and is left alone for so many days (GX-03)."""
    if not 1 <= days <= LONGEST_DECLINE_DAYS:
        raise BadInput(f"days must be 1 to {LONGEST_DECLINE_DAYS}")
    if desk.case.enrolment is not None:
        raise NotNow("this patient is enrolled: close the case instead")
    tasks = desk.case.offers() or desk.case.tasks()
    if not tasks:
        raise NotNow("nothing is offered to this patient")
    desk.hold()
    until = desk.now + dt.timedelta(days=days)
    for task in tasks:
        assert task.known is not None
        desk.rewrite(task, status="rejected", statusReason={"text": reason})
    first = tasks[0].known
    assert first is not None
    ledger.add_decline(
        desk.connection,
        emr=desk.emr,
        patient_id=desk.patient_id,
        intent_id=first.id,
        at=desk.now,
        until=until,
    )
    desk.note(declines=[first.id])
    care.mark_due(desk.connection, desk.emr, [desk.patient_id])
    return desk.done("decline")


def snooze(desk: Desk, *, until: dt.date, reason: str) -> int:
    """Not now: off the worklist until that day. Nothing is written to the EMR."""
    if not desk.today < until <= desk.today + dt.timedelta(days=90):
        raise BadInput("until must be a day within the next 90 days")
    cases.snooze(
        desk.connection, emr=desk.emr, patient_id=desk.patient_id, until=until, reason=reason, by=desk.by
    )
    return desk.done("snooze")


def consent(
    desk: Desk, *, decision: str, form: str, given_by: str, text_version: str, at: dt.datetime
) -> int:
    """What the patient answered. Agreement makes an accepted plan active."""
    enrolment = desk.enrolled()
    if decision not in ("agree", "disagree") or form not in words.CONSENT_FORMS:
        raise BadInput("decision is agree or disagree, form verbal or written")
    if at > desk.now:
        raise BadInput("the consent lies in the future")
    desk.row(
        "consent",
        enrolment_id=enrolment.id,
        decision=decision,
        form=form,
        given_by=given_by,
        text_version=text_version,
        at=at,
        recorded_by=desk.by,
    )
    number = desk.number("Consent", "consent")
    resource = resources.consent(
        desk.patient_id,
        decision=decision,
        form=form,
        given_by=given_by,
        text_version=text_version,
        at=stamp(at, desk.case.zone),
    )
    key = f"consent|{desk.patient_id}|{enrolment.number}|{number}"
    desk.mint("Consent", key, resource, code="consent")
    if decision == "agree":
        _activate(desk, enrolment)
    return desk.done("consent", enrolment_id=enrolment.id)


def _activate(desk: Desk, enrolment: Any) -> None:
    for offer in desk.case.offers():
        desk.rewrite(offer, status="completed")
    plan = desk.case.plan()
    if plan is None:
        key = plan_key(desk.patient_id, LONGITUDINAL, str(enrolment.number))
        desk.mint("CarePlan", key, _plan(desk), code=LONGITUDINAL)
    elif plan.status == "draft":
        desk.rewrite(plan, status="active")
    if enrolment.status == "accepted":
        cases.update_enrolment(desk.connection, enrolment.id, status="active", active_since=desk.now)


def _plan(desk: Desk) -> dict[str, Any]:
    title = "Care management plan"
    return {
        "resourceType": "CarePlan",
        "text": resources.narrative(title),
        "status": "active",
        "intent": "plan",
        "category": [{"coding": [{"system": system, "code": code}]} for system, code in _CATEGORIES],
        "title": title,
        "subject": {"reference": f"Patient/{desk.patient_id}"},
        "period": {"start": desk.today.isoformat()},
        "created": stamp(desk.now, desk.case.zone),
    }


def close(desk: Desk, *, reason: str, note: str) -> int:
    """The case ends; goals and plan with it, and the provider is told."""
    enrolment = desk.enrolled()
    if reason not in words.CLOSURES:
        raise BadInput(f"reason is one of {', '.join(words.CLOSURES)}")
    if reason == "lost-to-follow-up":
        _require_attempts(desk)
    plan_status, goal_status, text = words.CLOSURES[reason]
    for goal in desk.case.goals():
        agreed = goal.status == "active"
        status = goal_status if agreed or goal_status == "cancelled" else "cancelled"
        desk.rewrite(goal, lifecycleStatus=status)
    for task in desk.case.tasks():
        desk.rewrite(task, status="cancelled", statusReason={"text": text})
    plan = desk.case.plan()
    if plan is not None:
        desk.rewrite(plan, status=plan_status, note=[*(plan.resource.get("note") or ()), {"text": text}])
    said = f"Care management has ended: {text.lower()}. {note}".strip()
    resource = resources.notice(
        desk.patient_id, at=stamp(desk.now, desk.case.zone), by=desk.actor, words=said
    )
    key = f"communication|{desk.patient_id}|closure|{enrolment.number}"
    desk.mint("Communication", key, resource, code="closure-notice")
    cases.update_enrolment(desk.connection, enrolment.id, status="closed", closed_at=desk.now, closure=reason)
    care.mark_due(desk.connection, desk.emr, [desk.patient_id])
    return desk.done("close", enrolment_id=enrolment.id)


def _require_attempts(desk: Desk) -> None:
    begin = desk.today - dt.timedelta(days=words.LOST_WINDOW_DAYS)
    contacts = cases.contacts(desk.connection, desk.emr, desk.patient_id)
    recent = [c for c in contacts if desk.case.day(c.at) > begin]
    failed = {desk.case.day(c.at) for c in recent if not c.reached}
    if any(c.reached for c in recent) or len(failed) < words.LOST_ATTEMPT_DAYS:
        raise NotNow(
            f"lost to follow-up needs failed attempts on {words.LOST_ATTEMPT_DAYS} days within"
            f" {words.LOST_WINDOW_DAYS} days, and no contact in them"
        )
