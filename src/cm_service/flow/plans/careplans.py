"""CarePlans as FHIR R4 (rules.md 6.1, 6.3): one longitudinal plan per enrolment, one per transition.

A plan is opened only together with a new Task: what a person closed or deleted does not come back
because an old Task is still there.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from cm_service.flow.plans.board import WITHDRAWN, Item
from cm_service.flow.plans.compare import place, places_of
from cm_service.flow.plans.context import Night
from cm_service.flow.plans.due import stamp
from cm_service.flow.plans.identity import LONGITUDINAL, TRANSITION, identifiers, plan_key, read_key
from cm_service.flow.plans.needs import EPISODE, IF_ENROLLED, IF_OPEN, JOIN, Episode, TaskNeed
from cm_service.flow.plans.references import patient, refer

_CATEGORIES = (
    ("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan"),
    ("http://snomed.info/sct", "734163000"),
)
OFFER = "enrolment-offer"
_CUSTODIAN = "http://hl7.org/fhir/us/mcc/StructureDefinition/custodian"


def longitudinal(night: Night) -> Item | None:
    """The open plan of this enrolment."""
    return next((p for p in night.board.own("CarePlan", code=LONGITUDINAL) if p.is_open), None)


def transition(night: Night, subject: str) -> Item | None:
    """The open plan of this episode."""
    plans = night.board.own("CarePlan", code=TRANSITION, subject=subject)
    return next((plan for plan in plans if plan.is_open), None)


def is_enrolled(night: Night) -> bool:
    """Has a person accepted a longitudinal plan, here or under a Patient merged into this one? Where
    the service makes plans active itself, a completed offer says so."""
    board = night.board
    plans = [i for i in board.items if i.kind == "CarePlan" and i.code == LONGITUDINAL]
    active = [plan for plan in plans if plan.is_open and plan.status in ("active", "on-hold")]
    accepted = any(i.code == OFFER and i.status == "completed" for i in board.items)
    return any(accepted or not board.is_proposal(plan) for plan in active)


def for_new_task(night: Night, need: TaskNeed) -> Item | None:
    """The plan that a new Task belongs to, opened where the template says so."""
    if need.plan == JOIN:
        return longitudinal(night) or night.board.add(_open(night, need))
    if need.plan in (IF_OPEN, IF_ENROLLED):
        plan = longitudinal(night)
        if need.plan == IF_OPEN:
            return plan
        return plan if plan is not None and plan.status == "active" else None
    if need.plan == EPISODE and need.episode is not None:
        return transition(night, need.episode.subject) or _transition(night, need, need.episode)
    return None


def _open(night: Night, need: TaskNeed) -> Item:
    """The next enrolment's plan, in draft."""
    for number in count(1):
        key = plan_key(night.patient_id, LONGITUDINAL, str(number))
        if night.board.find("CarePlan", key) is None:
            break
    period = {"start": night.today.isoformat()}
    return _item(night, need, key, {"title": "Care management plan", "period": period})


def _transition(night: Night, need: TaskNeed, episode: Episode) -> Item | None:
    key = plan_key(night.patient_id, TRANSITION, episode.subject)
    plan = night.board.find("CarePlan", key)
    if plan is None:
        return night.board.add(_item(night, need, key, of_episode(episode)))
    if plan.closed_by_person:
        return None
    plan.resource = {**plan.resource, "status": _first_status(night), "note": [{"text": "Open again"}]}
    plan.urgency = need.urgency
    return plan


def of_episode(episode: Episode) -> dict[str, Any]:
    period = {"start": episode.start, "end": episode.end}
    return {"title": episode.title, "period": {name: day.isoformat() for name, day in period.items() if day}}


def _item(night: Night, need: TaskNeed, key: str, own: dict[str, Any]) -> Item:
    identity = read_key(key)
    custodian = [{"url": _CUSTODIAN, "valueReference": refer(night, night.emr.practice)}]
    resource = {
        "resourceType": "CarePlan",
        "extension": custodian if night.emr.practice else None,
        "identifier": identifiers(night.emr.identifier_base, "CarePlan", key),
        "status": _first_status(night),
        "intent": "plan",
        "category": [{"coding": [{"system": system, "code": code}]} for system, code in _CATEGORIES],
        "subject": patient(night),
        "created": stamp(night.as_of, night.zone),
        **own,
    }
    return Item(
        kind="CarePlan",
        business_key=key,
        rule=identity.rule,
        code=identity.code,
        subject=identity.subject,
        resource={name: value for name, value in resource.items() if value},
        urgency=need.urgency,
    )


def _first_status(night: Night) -> str:
    return "active" if night.emr.write_mode == "auto" else "draft"


def revoke(plan: Item, why: str) -> None:
    """Nothing is left in it. R4 has no reason for the revocation of a plan, so a note says it."""
    plan.resource = {**plan.resource, "status": "revoked", "note": [{"text": f"{WITHDRAWN}{why}"}]}


def tasks_of(night: Night, plan: Item) -> list[Item]:
    """Our Tasks that are based on this plan."""
    places = places_of(night.board)
    mine = place(plan.link["reference"], places)
    return [
        task
        for task in night.board.own("Task")
        if any(place(b.get("reference", ""), places) == mine for b in task.resource.get("basedOn") or ())
    ]


def goals_of(night: Night, plan: Item) -> list[Item]:
    return [goal for goal in night.board.own("Goal") if is_goal_of(goal, plan)]


def is_goal_of(goal: Item, plan: Item) -> bool:
    if plan.code == TRANSITION:
        return bool(goal.subject) and goal.subject == plan.subject
    return not goal.subject and goal.enrolment == plan.enrolment
