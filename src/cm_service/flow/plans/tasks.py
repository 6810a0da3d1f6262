"""One Task as FHIR R4 (rules.md 6.5).

Made once; later nights rewrite only what it says of the patient (`said`), and only if that became
another thing. Who made it, when, for whom, in which plan and until when is frozen.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from cm_service.flow.plans import words
from cm_service.flow.plans.board import Item
from cm_service.flow.plans.compare import same
from cm_service.flow.plans.context import Night
from cm_service.flow.plans.due import stamp
from cm_service.flow.plans.identity import identifiers, stay_value
from cm_service.flow.plans.inputs import FLAG, SUPPORTING, as_fhir, codes
from cm_service.flow.plans.needs import TaskNeed
from cm_service.flow.plans.references import device, owner, patient, refer

_SNOMED = "http://snomed.info/sct"
_TELEPHONE_FOLLOW_UP, _RECONCILIATION = "386473003", "430193006"
_ALSO_CODED = {
    "post-discharge-contact": _TELEPHONE_FOLLOW_UP,
    "post-discharge-outreach": _TELEPHONE_FOLLOW_UP,
    "ed-followup": _TELEPHONE_FOLLOW_UP,
    "ed-return": _TELEPHONE_FOLLOW_UP,
    "medication-reconciliation": _RECONCILIATION,
}
_PRIORITIES = ("routine", "urgent", "asap", "stat")  # in the order of FHIR's request-priority
_RIDE_ALONG = frozenset({FLAG, SUPPORTING})


def made(
    night: Night, need: TaskNeed, *, key: str, plan: Item | None, focus: dict[str, Any] | None
) -> dict[str, Any]:
    """A new Task, created now."""
    base, created = night.emr.identifier_base, night.as_of
    group = stay_value(night.patient_id, need.group) if need.group else ""
    resource = {
        "resourceType": "Task",
        "identifier": identifiers(base, "Task", key),
        "basedOn": [plan.link] if plan else None,
        "groupIdentifier": {"system": f"{base}/id/stay", "value": group} if group else None,
        "status": "accepted" if night.emr.write_mode == "auto" else "requested",
        "intent": "order",
        "code": _code(base, need.code),
        "for": patient(night),
        "authoredOn": stamp(created, night.zone),
        "requester": device(night),
        "performerType": [{"text": need.performer}],
        "owner": owner(night, to_provider=need.to_provider),
        "focus": focus,
        **said(night, need, created=created, due=need.due.after(created, night.zone)),
    }
    return {name: value for name, value in resource.items() if value is not None}


def rewritten(night: Night, item: Item, need: TaskNeed) -> dict[str, Any]:
    """The Task as it stands, saying what the decision says now; untouched if that is no news."""
    created = created_at(item)
    now = said(night, need, created=created, due=_due(night, item, need, created))
    last = item.known.resource if item.known else item.resource
    if same(_signature(now, need), _signature(last, need), {}):
        return item.resource
    return {**item.resource, **now}


def said(night: Night, need: TaskNeed, *, created: dt.datetime, due: dt.datetime) -> dict[str, Any]:
    """The elements that follow from the decision (and from the day of creation)."""
    overdue = ("overdue_at_creation",) if need.due.had_passed(created) else ()
    flags = words.shown_flags((*need.flags, *overdue))
    inputs = [*need.inputs, *((FLAG, "valueString", flag) for flag in flags)]
    elements = {
        "priority": need.priority,
        "description": f"{need.text}: {need.ask} {due.date().isoformat()}{words.notes(flags)}",
        "focus": refer(night, need.focus) if "/" in need.focus else None,
        "encounter": refer(night, need.encounter) if need.encounter else None,
        "reasonReference": refer(night, need.source) if need.source else None,
        "restriction": {"period": {"end": stamp(due, night.zone)}},
        "input": as_fhir(night.emr.identifier_base, inputs) or None,
    }
    return {name: value for name, value in elements.items() if value is not None}


def created_at(item: Item) -> dt.datetime:
    """When it was created, as it says itself; else when the ledger first held it."""
    try:
        return dt.datetime.fromisoformat(str(item.resource.get("authoredOn", ""))).astimezone(dt.UTC)
    except ValueError:
        return item.known.created_at if item.known else dt.datetime.min.replace(tzinfo=dt.UTC)


def _due(night: Night, item: Item, need: TaskNeed, created: dt.datetime) -> dt.datetime:
    """Frozen, unless it follows from the decision, or the Task has become more urgent: then it is due as
    soon as a new one would be, or when a person says."""
    standing = None if need.due.is_fixed else _standing_due(item)
    if standing is None:
        return need.due.after(created, night.zone)
    is_theirs = item.known is not None and "restriction" in item.known.human
    if is_theirs or _PRIORITIES.index(need.priority) <= _PRIORITIES.index(_priority(item)):
        return standing
    return min(standing, need.due.after(night.as_of, night.zone))


def _priority(item: Item) -> str:
    """As it stands; what nobody knows is as urgent as can be, so that nothing follows from it."""
    priority = str(item.resource.get("priority", ""))
    return priority if priority in _PRIORITIES else _PRIORITIES[-1]


def _standing_due(item: Item) -> dt.datetime | None:
    end = ((item.resource.get("restriction") or {}).get("period") or {}).get("end", "")
    try:
        due = dt.datetime.fromisoformat(end)
    except ValueError:
        return None
    return due if due.tzinfo else None


def _signature(resource: dict[str, Any], need: TaskNeed) -> dict[str, Any]:
    """What a Task says of the patient. Flags and lesser evidence ride along with the next rewriting."""
    kept = [each for each in resource.get("input") or () if _RIDE_ALONG.isdisjoint(codes(each))]
    names = ("priority", "reasonReference", *(("restriction",) if need.due.is_fixed else ()))
    return {"input": kept, **{name: resource.get(name) for name in names}}


def _code(base: str, code: str) -> dict[str, Any]:
    codings = [{"system": f"{base}/CodeSystem/cm-task", "code": code}]
    if code in _ALSO_CODED:
        codings.append({"system": _SNOMED, "code": _ALSO_CODED[code]})
    return {"coding": codings, "text": code.replace("-", " ").replace("a1c", "HbA1c")}
