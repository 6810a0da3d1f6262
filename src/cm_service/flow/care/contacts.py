"""Logging a contact or an attempt, and what follows from it: the Task that is done, the next one."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from cm_service.errors import BadInput, NotNow
from cm_service.flow.care import resources, words
from cm_service.flow.care.desk import Desk
from cm_service.flow.care.tasks import end, open_task
from cm_service.flow.plans.due import stamp

LONGEST_MINUTES = 480


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One contact as it was logged. `at` is its start; `task_id` the Task that it was about;
    `checklist` the guide's points with their answers."""

    at: dt.datetime
    minutes: int
    medium: str
    service: str
    reached: bool
    who: str = "patient"
    task_id: int | None = None
    task_done: bool = False
    checklist: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    next_contact: dt.date | None = None


def log_contact(desk: Desk, contact: Contact) -> int:
    """A two-way contact becomes an Encounter; an attempt a Communication that was not done."""
    _check(desk, contact)
    desk.hold()
    enrolment = desk.case.enrolment
    row_id = desk.row(
        "contact",
        emr=desk.emr,
        patient_id=desk.patient_id,
        enrolment_id=enrolment.id if enrolment else None,
        at=contact.at,
        minutes=contact.minutes,
        medium=contact.medium,
        service=contact.service,
        reached=contact.reached,
        who=contact.who,
        checklist=contact.checklist,
        note=contact.note,
        next_contact=contact.next_contact,
        recorded_by=desk.by,
        undone=False,
    )
    _write(desk, contact, row_id)
    if contact.task_id is not None and contact.task_done:
        end(desk, open_task(desk, contact.task_id), "reached" if contact.reached else "attempted")
    if contact.next_contact is not None:
        _follow_up(desk, contact.next_contact)
    return desk.done("contact", enrolment_id=enrolment.id if enrolment else None)


def _check(desk: Desk, contact: Contact) -> None:
    if contact.medium not in words.MEDIA:
        raise BadInput(f"medium is one of {', '.join(words.MEDIA)}")
    if contact.service not in words.SERVICES:
        raise BadInput(f"service is one of {', '.join(words.SERVICES)}")
    if not 0 <= contact.minutes <= LONGEST_MINUTES:
        raise BadInput(f"minutes must be 0 to {LONGEST_MINUTES}")
    if contact.at > desk.now:
        raise BadInput("the contact lies in the future")
    if contact.next_contact is not None and contact.next_contact < desk.today:
        raise BadInput("the next contact lies in the past")
    if desk.case.enrolment is None and not desk.case.tasks() and contact.task_id is None:
        raise NotNow("nothing is open for this patient")
    if contact.task_id is not None:
        open_task(desk, contact.task_id)


def _write(desk: Desk, contact: Contact, row_id: int) -> None:
    """The row's id makes the key: a number that was never used before."""
    zone, note = desk.case.zone, _words(contact)
    at = stamp(contact.at, zone)
    if contact.reached:
        end = stamp(contact.at + dt.timedelta(minutes=contact.minutes), zone)
        resource = resources.contact(
            desk.patient_id,
            medium=contact.medium,
            service=contact.service,
            start=at,
            end=end,
            minutes=contact.minutes,
            by=desk.actor,
            note=note,
        )
    else:
        resource = resources.attempt(
            desk.patient_id,
            medium=contact.medium,
            service=contact.service,
            at=at,
            by=desk.actor,
            about=_about(desk, contact),
            note=note,
        )
    kind = "Encounter" if contact.reached else "Communication"
    key = f"contact|{desk.patient_id}|{kind.lower()}|{row_id}"
    desk.mint(kind, key, resource, code="contact")


def _about(desk: Desk, contact: Contact) -> dict[str, Any] | None:
    item = desk.item(contact.task_id) if contact.task_id is not None else None
    return item.link if item is not None else None


def _words(contact: Contact) -> str:
    ticked = [f"{point}: {answer}" for point, answer in contact.checklist.items()]
    return "\n".join(filter(None, (*ticked, contact.note)))


def _follow_up(desk: Desk, day: dt.date) -> None:
    plan = desk.case.plan()
    resource = resources.follow_up(
        desk.patient_id,
        base=desk.base,
        day=day,
        zone=desk.case.zone,
        created=desk.now,
        owner=desk.actor,
        plan=plan.link if plan else None,
    )
    number = desk.number("Task", "follow-up-contact")
    key = f"CARE|{desk.patient_id}|-|follow-up-contact|{number}"
    desk.mint("Task", key, resource, code="follow-up-contact")
