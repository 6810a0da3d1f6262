"""Agreeing a goal with the patient: no activation without all five SMART parts and both scores."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cm_service.errors import BadInput, NotNow
from cm_service.flow.care import resources
from cm_service.flow.care.desk import Desk
from cm_service.flow.plans.identity import goal_key

LONGEST_TEXT = 500
_DETAILS = ("detailQuantity", "detailString", "detailCodeableConcept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What was agreed. `goal_id` takes up a proposed Goal, and then only the scores are needed; without
    it a Goal of the patient's own is made. `measure` is a coding, or None for words alone."""

    importance: int
    confidence: int
    goal_id: int | None = None
    text: str = ""
    measure: dict[str, str] | None = None
    value: Decimal | None = None
    unit: str = ""
    comparator: str = ""
    target_text: str = ""
    due: dt.date | None = None
    addresses: tuple[str, ...] = ()


def agree_goal(desk: Desk, agreement: Agreement) -> int:
    """Raises BadInput naming each SMART part that is missing."""
    enrolment = desk.enrolled()
    if enrolment.status != "active":
        raise NotNow("the patient has not agreed to care management yet: record the consent first")
    for name, score in (("importance", agreement.importance), ("confidence", agreement.confidence)):
        if not 1 <= score <= 10:
            raise BadInput(f"{name} is a number from 1 to 10")
    if agreement.goal_id is not None:
        _take_up(desk, agreement)
    else:
        _make(desk, agreement, enrolment.number)
    return desk.done("agree-goal", enrolment_id=enrolment.id)


def _take_up(desk: Desk, agreement: Agreement) -> None:
    item = desk.item(agreement.goal_id or 0)
    if item is None or item.kind != "Goal":
        raise BadInput("this patient has no such goal")
    if not item.is_open:
        raise NotNow("this goal has ended already")
    resource = dict(item.resource)
    if agreement.due is not None:
        resource["target"] = [{**(resource.get("target") or [{}])[0], "dueDate": agreement.due.isoformat()}]
    if agreement.text:
        resource["description"] = {"text": agreement.text}
    if agreement.addresses:
        resource["addresses"] = [{"reference": one} for one in agreement.addresses]
    _require_smart(desk, resource)
    desk.rewrite(item, **_agreed(desk, resource, agreement))


def _make(desk: Desk, agreement: Agreement, enrolment: int) -> None:
    if agreement.due is None:
        raise BadInput("a goal needs a due date")
    target = resources.target(
        agreement.measure,
        value=agreement.value,
        text=agreement.target_text,
        unit=agreement.unit,
        comparator=agreement.comparator,
        due=agreement.due,
    )
    resource = {
        "resourceType": "Goal",
        "description": {"text": agreement.text},
        "subject": {"reference": f"Patient/{desk.patient_id}"},
        "target": [target],
        "addresses": [{"reference": one} for one in agreement.addresses],
    }
    _require_smart(desk, resource)
    number = desk.number("Goal", "patient-goal")
    key = goal_key(desk.patient_id, f"patient-goal-{number}", str(enrolment))
    desk.mint("Goal", key, _agreed(desk, resource, agreement), code="patient-goal")


def _agreed(desk: Desk, resource: dict[str, Any], agreement: Agreement) -> dict[str, Any]:
    return resources.agreed(
        resource,
        base=desk.base,
        importance=agreement.importance,
        confidence=agreement.confidence,
        patient=desk.patient_id,
        today=desk.today,
    )


def _require_smart(desk: Desk, resource: dict[str, Any]) -> None:
    """rules.md 6.4: specific, measurable, relevant, time-bound; achievable is the confidence."""
    target = (resource.get("target") or [{}])[0]
    text = str((resource.get("description") or {}).get("text", "")).strip()
    due = str(target.get("dueDate", ""))
    measured = bool(target.get("measure")) and any(
        target.get(name) not in (None, "")
        for name in ("detailQuantity", "detailString", "detailCodeableConcept")
    )
    missing = [
        word
        for word, there in (
            ("specific (text)", 0 < len(text) <= LONGEST_TEXT),
            ("measurable (measure and target)", measured),
            ("relevant (conditions that it addresses)", bool(resource.get("addresses"))),
            ("time-bound (due date, today or later)", due >= desk.today.isoformat()),
        )
        if not there
    ]
    if missing:
        raise BadInput(f"a goal becomes active only when it is SMART; missing: {', '.join(missing)}")
