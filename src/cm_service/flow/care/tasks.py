"""Tasks: ending one with an outcome, and giving one to somebody else."""

from __future__ import annotations

from cm_service.errors import BadInput, NotNow
from cm_service.flow.care import resources, words
from cm_service.flow.care.desk import Desk
from cm_service.flow.plans.board import Item
from cm_service.flow.plans.careplans import OFFER
from cm_service.flow.plans.due import stamp


def complete_task(desk: Desk, *, task_id: int, outcome: str) -> int:
    """A Task ends with one of the outcome words."""
    if outcome not in words.TASK_OUTCOMES:
        raise BadInput(f"outcome is one of {', '.join(words.TASK_OUTCOMES)}")
    task = open_task(desk, task_id)
    if outcome == "declined" and task.code == OFFER:
        raise NotNow("an offer that was declined is a decline: say so, with the days")
    end(desk, task, outcome)
    return desk.done("complete-task", enrolment_id=enrolment_id(desk))


def end(desk: Desk, task: Item, outcome: str) -> None:
    status, text = words.TASK_OUTCOMES[outcome]
    coded = {"coding": [{"system": f"{desk.base}/CodeSystem/cm-task-outcome", "code": outcome}], "text": text}
    now = stamp(desk.now, desk.case.zone)
    period = {**(task.resource.get("executionPeriod") or {}), "end": now}
    desk.rewrite(task, status=status, businessStatus=coded, executionPeriod=period, lastModified=now)


def hand_over(desk: Desk, *, task_id: int, to: str) -> int:
    """Somebody else does it from now on."""
    task = open_task(desk, task_id)
    desk.rewrite(task, owner=resources.person(to, desk.base))
    return desk.done("hand-over-task", enrolment_id=enrolment_id(desk))


def open_task(desk: Desk, task_id: int) -> Item:
    item = desk.item(task_id)
    if item is None or item.kind != "Task":
        raise BadInput("this patient has no such task")
    if not item.is_open:
        raise NotNow("this task has ended already")
    return item


def enrolment_id(desk: Desk) -> int | None:
    return desk.case.enrolment.id if desk.case.enrolment is not None else None
