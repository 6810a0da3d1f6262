"""Patients: what was decided about them, with evidence, and what the service did for them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request

from cm_service.api.doorway import doorway
from cm_service.api.security.guard import needs, saw
from cm_service.api.v1 import parts, schemas
from cm_service.api.v1.parts import PatientId, Slug
from cm_service.db import care, cases, ledger
from cm_service.flow.care import case as case_of
from cm_service.flow.plans.board import Item

router = parts.router("patients")


@router.get("/emrs/{emr}/patients/{patient}/decisions", summary="Why, why not, and what cannot be told")
@needs("Patient", "r")
def decisions(
    request: Request,
    emr: Slug,
    patient: PatientId,
    rule: Annotated[str | None, Query(max_length=40)] = None,
    outcome: schemas.Outcome | None = None,
) -> schemas.Decisions:
    saw(request, [(emr, patient)])
    with doorway(request).store.read() as connection:
        parts.emr_row(connection, emr)
        parts.require_patient(connection, emr, patient)
        rows = care.decisions_of(connection, emr, [patient]).get(patient, {})
    wanted = (row for name, row in sorted(rows.items()) if rule in (None, name))
    lines = [row.line for row in wanted if outcome in (None, row.outcome)]
    return schemas.Decisions(items=[parts.decision_out(line) for line in lines])


@router.get("/emrs/{emr}/patients/{patient}", summary="Enrolments, plan, goals, tasks and contacts")
@needs("Patient", "r")
def patient_(request: Request, emr: Slug, patient: PatientId) -> schemas.PatientOut:
    saw(request, [(emr, patient)])
    door = doorway(request)
    with door.store.read() as connection:
        row = parts.emr_row(connection, emr)
        parts.require_patient(connection, emr, patient)
        case = case_of.load(connection, row, patient, base=door.identifier_base)
        held = ledger.of_patients(connection, emr, [patient]).get(patient, [])
        enrolments = cases.enrolments(connection, emr, patient)
        plan = case.plan()
        return schemas.PatientOut(
            emr=emr,
            patient=patient,
            enrolments=[parts.enrolment_out(connection, each) for each in enrolments],
            plan=_plan(plan) if plan else None,
            goals=[_goal(item) for item in case.goals()],
            tasks=[task for each in held if each.kind == "Task" and (task := parts.task_out(each))],
            contacts=[
                schemas.ContactOut.model_validate(each, from_attributes=True)
                for each in cases.contacts(connection, emr, patient)
            ],
            snoozed_until=cases.snoozed_until(connection, emr, patient),
        )


def _plan(item: Item) -> schemas.PlanOut:
    assert item.known is not None
    return schemas.PlanOut(
        id=item.known.id,
        status=item.status,
        title=str(item.resource.get("title", "")),
        reference=item.known.reference,
        state=item.known.state,
    )


def _goal(item: Item) -> schemas.GoalOut:
    assert item.known is not None
    return schemas.GoalOut(
        id=item.known.id,
        text=str((item.resource.get("description") or {}).get("text", "")),
        status=item.status,
        target=item.resource.get("target") or [],
        reference=item.known.reference,
        state=item.known.state,
    )
