"""The acts of the page: the same as those of the API, by the session's user on the session's patient."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import NamedTuple

from fastapi import Request
from fastapi.exceptions import RequestValidationError

from cm_service.api.pages import roles, visit
from cm_service.api.v1 import schemas
from cm_service.flow.care import acts, agreements, contacts, referrals, tasks
from cm_service.flow.care.desk import Desk

CHECK = "check:"  # begins the names of a form's checklist fields
COVERED = "covered"


class Deed(NamedTuple):
    """What an act is called, who may do it, what says that it was done."""

    do: Callable[[Request, Desk], int]
    right: str
    done: str


def _accept(_request: Request, desk: Desk) -> int:
    return acts.accept(desk, care_manager=desk.by)


def _decline(request: Request, desk: Desk) -> int:
    said = visit.read(request, schemas.DeclineIn)
    return acts.decline(desk, reason=said.reason, days=said.days)


def _snooze(request: Request, desk: Desk) -> int:
    said = visit.read(request, schemas.SnoozeIn)
    return acts.snooze(desk, until=said.until, reason=said.reason)


def _refer(request: Request, desk: Desk) -> int:
    said = visit.read(request, schemas.ReferralIn)
    return referrals.refer(desk, reason=said.reason, referrer=desk.by, about=None, priority=said.priority)


def _consent(request: Request, desk: Desk) -> int:
    said = visit.read(request, schemas.ConsentIn, at=_instant(request, desk))
    return acts.consent(desk, **said.model_dump())


def _goal(request: Request, desk: Desk) -> int:
    form = visit.form(request)
    given: dict[str, object] = {"addresses": form.get("addresses", [])}
    if "goal" in form:
        given["goal"] = visit.own_item(desk, form["goal"][0], "Goal")
    said = visit.read(request, schemas.GoalIn, **given).model_dump()
    goal_id, addresses = said.pop("goal"), tuple(said.pop("addresses"))
    return agreements.agree_goal(desk, agreements.Agreement(goal_id=goal_id, addresses=addresses, **said))


def _contact(request: Request, desk: Desk) -> int:
    form = visit.form(request)
    checklist = {name.removeprefix(CHECK): form.pop(name)[0] for name in list(form) if name.startswith(CHECK)}
    checklist |= dict.fromkeys(form.pop("covered", []), COVERED)
    given: dict[str, object] = {"checklist": checklist, "at": _instant(request, desk)}
    if "task" in form:
        given["task"] = visit.own_item(desk, form["task"][0], "Task")
    said = visit.read(request, schemas.ContactIn, **given).model_dump()
    return contacts.log_contact(desk, contacts.Contact(task_id=said.pop("task"), **said))


def _complete(request: Request, desk: Desk) -> int:
    task = visit.own_item(desk, visit.form(request).pop("task", [""])[0], "Task")
    return tasks.complete_task(desk, task_id=task, outcome=visit.read(request, schemas.CompletionIn).outcome)


def _hand_over(request: Request, desk: Desk) -> int:
    task = visit.own_item(desk, visit.form(request).pop("task", [""])[0], "Task")
    return tasks.hand_over(desk, task_id=task, to=visit.read(request, schemas.OwnerIn).owner)


def _close(request: Request, desk: Desk) -> int:
    said = visit.read(request, schemas.ClosureIn)
    return acts.close(desk, reason=said.reason, note=said.note)


def _instant(request: Request, desk: Desk) -> str:
    """A form's local time in the practice's zone; none given, or one that is no time, is the model's
    to refuse; nothing said at all is now."""
    text = visit.form(request).get("at", [desk.now.isoformat()])[0]
    try:
        when = dt.datetime.fromisoformat(text)
    except ValueError as error:
        place = {"loc": ("at",), "msg": "is no date with a time", "type": "value_error"}
        raise RequestValidationError([place]) from error
    return (when if when.tzinfo else when.replace(tzinfo=desk.case.zone)).isoformat()


DEEDS = {
    "accept": Deed(_accept, roles.ACCEPT, "Accepted. Next: record the patient's consent."),
    "decline": Deed(_decline, roles.ACCEPT, "Declined. The patient is left alone until then."),
    "snooze": Deed(_snooze, roles.ACCEPT, "Put off."),
    "refer": Deed(_refer, roles.REFER, "Referred to care management."),
    "consent": Deed(_consent, roles.ACTIVATE, "Consent recorded."),
    "goal": Deed(_goal, roles.ACTIVATE, "Goal agreed."),
    "contact": Deed(_contact, roles.CARE, "Contact logged."),
    "complete": Deed(_complete, roles.CARE, "Task completed."),
    "hand-over": Deed(_hand_over, roles.CARE, "Task handed over."),
    "close": Deed(_close, roles.CLOSE, "Case closed. The provider is told."),
}
