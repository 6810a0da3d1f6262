"""One Goal as FHIR R4 (rules.md 6.4): proposed by the service, made a person's own by accepting it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cm_service.flow.plans import words
from cm_service.flow.plans.board import WITHDRAWN, Item
from cm_service.flow.plans.compare import same
from cm_service.flow.plans.context import Night
from cm_service.flow.plans.identity import STAY_MEASURE, goal_key, identifiers, read_key
from cm_service.flow.plans.needs import GoalNeed, TaskNeed
from cm_service.flow.plans.references import held, patient

_CATEGORY = "http://terminology.hl7.org/CodeSystem/goal-category"


def open_one(night: Night, need: TaskNeed, plan: Item | None) -> Item | None:
    """The Goal that a new Task works toward: the one of this enrolment, taken up again if the
    service itself had withdrawn it; none where a person ended or deleted it."""
    goal = need.goal
    if goal is None or (plan is None and goal.measure != STAY_MEASURE):
        return None
    enrolment = goal.subject if plan is None or goal.subject else plan.enrolment
    key = goal_key(night.patient_id, goal.measure, enrolment)
    item = night.board.find("Goal", key)
    if item is None:
        return night.board.add(_new(night, need, goal, key))
    if item.is_open:
        return item
    if item.closed_by_person:
        return None
    item.resource = {**item.resource, "lifecycleStatus": _first_status(night), "statusReason": "Found again"}
    item.urgency = need.urgency
    refresh(item, goal)
    return item


def withdraw(item: Item, why: str) -> None:
    item.resource = {**item.resource, "lifecycleStatus": "cancelled", "statusReason": f"{WITHDRAWN}{why}"}


def refresh(item: Item, goal: GoalNeed) -> None:
    """The Goal says what the decision says now; its due date and start stay as they were."""
    wanted = _target(goal, _due(goal, item))
    last = item.known.resource if item.known else item.resource
    if same([wanted], last.get("target"), {}):
        return
    item.resource = {**item.resource, "target": [wanted], "description": {"text": goal.text}}


def of_need(night: Night, need: TaskNeed, plan: Item | None) -> Item | None:
    """The open Goal that belongs to this need, if there is one."""
    if need.goal is None:
        return None
    for item in night.board.own("Goal", code=need.goal.measure):
        mine = item.subject == need.goal.subject if need.goal.subject else plan is not None
        if item.is_open and mine and (need.goal.subject or item.enrolment == plan.enrolment):  # type: ignore[union-attr]
            return item
    return None


def _new(night: Night, need: TaskNeed, goal: GoalNeed, key: str) -> Item:
    identity = read_key(key)
    today = night.today
    due = goal.due or today + dt.timedelta(days=goal.days)
    resource: dict[str, Any] = {
        "resourceType": "Goal",
        "identifier": identifiers(night.emr.identifier_base, "Goal", key),
        "lifecycleStatus": _first_status(night),
        "category": [{"coding": [{"system": _CATEGORY, "code": code}]} for code in goal.categories],
        "description": {"text": goal.text},
        "subject": patient(night),
        "startDate": today.isoformat(),
        "target": [_target(goal, due.isoformat())],
        "addresses": held(night, goal.addresses),
    }
    return Item(
        kind="Goal",
        business_key=key,
        rule=identity.rule,
        code=identity.code,
        subject=identity.subject,
        resource={name: value for name, value in resource.items() if value},
        urgency=need.urgency,
    )


def _due(goal: GoalNeed, item: Item) -> str:
    if goal.due is not None:
        return goal.due.isoformat()
    target = (item.resource.get("target") or [{}])[0]
    return str(target.get("dueDate", ""))


def _target(goal: GoalNeed, due: str) -> dict[str, Any]:
    """R4 asks for a measure wherever there is a detail; a Goal without a number has its date only."""
    measure = {"measure": {"coding": [goal.coding]}} if goal.coding else {}
    detail = {"detailQuantity": goal.quantity} if goal.coding and goal.quantity else {}
    return {**measure, **detail, **({"dueDate": due} if due else {})}


def _first_status(night: Night) -> str:
    return "active" if night.emr.write_mode == "auto" else "proposed"


def quantity(value: Any, unit: str, code: str) -> dict[str, Any]:
    """At most so much, in UCUM."""
    return {
        "value": words.decimal(value),
        "comparator": "<=",
        "unit": unit,
        "system": "http://unitsofmeasure.org",
        "code": code,
    }
