"""A caseload goes to somebody else, for leave or for good: the cases and every open Task of them."""

from __future__ import annotations

from cm_service.db import cases
from cm_service.errors import Lost
from cm_service.flow.care import resources
from cm_service.flow.care.desk import Desk


def hand_over_case(desk: Desk, *, to: str) -> int:
    """Raises NotNow for somebody who is not enrolled and Lost for a case of another care manager."""
    enrolment = desk.enrolled()
    if enrolment.care_manager != desk.by:
        raise Lost("there is nothing here under this name")
    for task in desk.case.tasks():
        desk.rewrite(task, owner=resources.person(to, desk.base))
    cases.update_enrolment(desk.connection, enrolment.id, care_manager=to)
    return desk.done("hand-over-case", enrolment_id=enrolment.id)
