"""REG-REFERRAL: anybody of the practice asks for care management; the care manager gets a Task."""

from __future__ import annotations

from cm_service.errors import BadInput
from cm_service.flow.care import resources
from cm_service.flow.care.desk import Desk
from cm_service.flow.plans.due import last_second, stamp
from cm_service.rules.business_days import business_days_after

CODE, RULE = "cm-referral", "REG-REFERRAL"
BUSINESS_DAYS = 2
_URGENCY = {"stat": 0, "asap": 1, "urgent": 2, "routine": 3}
_ABOUT = ("Condition", "Observation", "ServiceRequest", "Task")


def refer(desk: Desk, *, reason: str, referrer: str | None, about: str | None, priority: str) -> int:
    """One open referral is enough: a second one while it is open adds nothing and gives the same Task."""
    if about is not None and about.partition("/")[0] not in _ABOUT:
        raise BadInput(f"about is one of {', '.join(_ABOUT)}")
    if any(task.code == CODE for task in desk.case.tasks()):
        return desk.done("refer")
    due = last_second(business_days_after(desk.today, BUSINESS_DAYS), desk.case.zone)
    owner = desk.pool()
    resource = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "priority": priority,
        "code": {
            "coding": [{"system": f"{desk.base}/CodeSystem/cm-task", "code": CODE}],
            "text": "care management referral",
        },
        "description": f"Referred to care management: {reason}. Answer by {due.date().isoformat()}",
        "for": {"reference": f"Patient/{desk.patient_id}"},
        "focus": {"reference": about} if about else None,
        "reasonReference": {"reference": about} if about else None,
        "authoredOn": stamp(desk.now, desk.case.zone),
        "requester": resources.person(referrer or desk.by, desk.base),
        "owner": owner,
        "restriction": {"period": {"end": stamp(due, desk.case.zone)}},
    }
    key = f"{RULE}|{desk.patient_id}|-|{CODE}|{desk.number('Task', CODE)}"
    desk.mint("Task", key, resource, code=CODE, rule=RULE, urgency=_URGENCY[priority])
    return desk.done("refer")
