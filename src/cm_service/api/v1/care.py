"""Acts on a patient's case. Each becomes intents: nothing is typed again in the EMR.

Accept, decline and contacts can be taken back for ten minutes (`DELETE .../acts/{id}`).
"""

from __future__ import annotations

from fastapi import Request, Response

from cm_service.api.doorway import doorway
from cm_service.api.security.guard import cleared, needs, principal, saw
from cm_service.api.v1 import parts, schemas
from cm_service.api.v1.parts import IfMatch, PatientId, RowId, Slug
from cm_service.db import cases
from cm_service.flow.care import acts, agreements, contacts, referrals, tasks
from cm_service.flow.care.desk import undo

router = parts.router("care")
_ONE = "/emrs/{emr}/patients/{patient}"


@router.post(f"{_ONE}/acceptance", status_code=201, summary="Take the patient into care management")
@needs("CarePlan", "u")
def accept(request: Request, emr: Slug, patient: PatientId, body: schemas.AcceptIn) -> schemas.ActOut:
    with parts.at_desk(request, emr, patient) as desk:
        act = acts.accept(desk, care_manager=body.care_manager)
        return parts.act_out(desk.connection, act, emr)


@router.post(f"{_ONE}/decline", status_code=201, summary="The patient said no; leave alone for so many days")
@needs("Task", "u")
def decline(request: Request, emr: Slug, patient: PatientId, body: schemas.DeclineIn) -> schemas.ActOut:
    with parts.at_desk(request, emr, patient) as desk:
        act = acts.decline(desk, reason=body.reason, days=body.days)
        return parts.act_out(desk.connection, act, emr)


@router.post(f"{_ONE}/snooze", status_code=201, summary="Off the worklist until a day")
@needs("Task", "u")
def snooze(request: Request, emr: Slug, patient: PatientId, body: schemas.SnoozeIn) -> schemas.ActOut:
    with parts.at_desk(request, emr, patient) as desk:
        act = acts.snooze(desk, until=body.until, reason=body.reason)
        return parts.act_out(desk.connection, act, emr)


@router.post(f"{_ONE}/referrals", status_code=201, summary="Ask for care management (REG-REFERRAL)")
@needs("ServiceRequest", "c")
def refer(request: Request, emr: Slug, patient: PatientId, body: schemas.ReferralIn) -> schemas.ActOut:
    with parts.at_desk(request, emr, patient, anybody=True) as desk:
        act = referrals.refer(
            desk, reason=body.reason, referrer=body.referrer, about=body.about, priority=body.priority
        )
        return parts.act_out(desk.connection, act, emr)


@router.post(f"{_ONE}/consents", status_code=201, summary="What the patient answered")
@needs("Consent", "c")
def consent(
    request: Request, emr: Slug, patient: PatientId, body: schemas.ConsentIn, if_match: IfMatch = None
) -> schemas.ActOut:
    with parts.at_desk(request, emr, patient, if_match=if_match) as desk:
        act = acts.consent(desk, **body.model_dump())
        return parts.act_out(desk.connection, act, emr)


@router.post(f"{_ONE}/goals", status_code=201, summary="Agree a goal: SMART, with importance and confidence")
@needs("Goal", "c")
def agree_goal(
    request: Request, emr: Slug, patient: PatientId, body: schemas.GoalIn, if_match: IfMatch = None
) -> schemas.ActOut:
    said = body.model_dump()
    agreement = agreements.Agreement(goal_id=said.pop("goal"), addresses=tuple(said.pop("addresses")), **said)
    with parts.at_desk(request, emr, patient, if_match=if_match) as desk:
        act = agreements.agree_goal(desk, agreement)
        return parts.act_out(desk.connection, act, emr)


@router.post(f"{_ONE}/contacts", status_code=201, summary="Log a contact or an attempt")
@needs("Encounter", "c")
def contact(
    request: Request, emr: Slug, patient: PatientId, body: schemas.ContactIn, if_match: IfMatch = None
) -> schemas.ActOut:
    said = body.model_dump()
    logged = contacts.Contact(task_id=said.pop("task"), **said)
    with parts.at_desk(request, emr, patient, if_match=if_match) as desk:
        act = contacts.log_contact(desk, logged)
        return parts.act_out(desk.connection, act, emr)


@router.post(f"{_ONE}/tasks/{{task}}/completion", status_code=201, summary="A task ends with an outcome")
@needs("Task", "u")
def complete_task(
    request: Request, emr: Slug, patient: PatientId, task: RowId, body: schemas.CompletionIn
) -> schemas.ActOut:
    with parts.at_desk(request, emr, patient) as desk:
        act = tasks.complete_task(desk, task_id=task, outcome=body.outcome)
        return parts.act_out(desk.connection, act, emr)


@router.post(f"{_ONE}/tasks/{{task}}/owner", status_code=201, summary="Somebody else does it from now on")
@needs("Task", "u")
def hand_over(
    request: Request, emr: Slug, patient: PatientId, task: RowId, body: schemas.OwnerIn
) -> schemas.ActOut:
    with parts.at_desk(request, emr, patient) as desk:
        act = tasks.hand_over(desk, task_id=task, to=body.owner)
        return parts.act_out(desk.connection, act, emr)


@router.post(f"{_ONE}/closure", status_code=201, summary="The case ends; the provider is told")
@needs("CarePlan", "u")
def close(
    request: Request, emr: Slug, patient: PatientId, body: schemas.ClosureIn, if_match: IfMatch = None
) -> schemas.ActOut:
    with parts.at_desk(request, emr, patient, if_match=if_match) as desk:
        act = acts.close(desk, reason=body.reason, note=body.note)
        return parts.act_out(desk.connection, act, emr)


@router.delete("/emrs/{emr}/acts/{act}", status_code=204, summary="Take an act back within its minutes")
@needs("Task", "u")
def undo_act(request: Request, emr: Slug, act: RowId) -> Response:
    door = doorway(request)
    with door.store.write() as connection:
        parts.emr_row(connection, emr)
        row = cases.act(connection, act, emr=emr)
        parts.require_patient(connection, emr, row.patient_id, cleared(request))
        saw(request, [(emr, row.patient_id)])
        undo(connection, act, emr=emr, by=principal(request).client_id, now=door.clock())
    return Response(status_code=204)


@router.get("/emrs/{emr}/enrolments/{enrolment}", summary="One enrolment with its consents")
@needs("CarePlan", "r")
def enrolment_(request: Request, response: Response, emr: Slug, enrolment: RowId) -> schemas.EnrolmentOut:
    with doorway(request).store.read() as connection:
        parts.emr_row(connection, emr)
        row = cases.enrolment(connection, enrolment, emr=emr)
        parts.require_patient(connection, emr, row.patient_id, cleared(request))
        saw(request, [(emr, row.patient_id)])
        response.headers["ETag"] = parts.tag(row.version)
        return parts.enrolment_out(connection, row)
