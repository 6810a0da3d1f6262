"""Patients: what was decided about them, with evidence, and what the service did for them."""

from __future__ import annotations

from typing import Annotated, get_args

from fastapi import Query, Request

from cm_service.api.doorway import doorway
from cm_service.api.security.guard import cleared, needs, saw
from cm_service.api.v1 import parts, schemas
from cm_service.api.v1.parts import PatientId, Slug
from cm_service.db import care, cases
from cm_service.db.care import Shown
from cm_service.flow.care import case as case_of
from cm_service.flow.plans.board import Item

router = parts.router("patients")


@router.get("/emrs/{emr}/patients", summary="Everybody about whom something was decided")
@needs("Patient", "s")
def patients_(
    request: Request,
    emr: Slug,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=600, description="`next` of the page before")] = None,
) -> schemas.PatientPage:
    door = doorway(request)
    with door.store.read() as connection:
        parts.emr_row(connection, emr)
        ids = care.patients_after(connection, emr, parts.opened(door, cursor) if cursor else "", limit)
        found = care.decisions_of(connection, emr, ids)
    shown = {each: care.shown(found.get(each, {}), cleared(request)) for each in ids}
    items = [_line(each, decided) for each, decided in shown.items() if decided]
    saw(request, [(emr, item.patient) for item in items])
    following = door.sealer.seal(ids[-1]) if len(ids) == limit else None
    return schemas.PatientPage(items=items, next=following)


def _line(patient: str, decided: list[Shown]) -> schemas.PatientItem:
    by = {word: [each.rule for each in decided if each.outcome == word] for word in get_args(schemas.Outcome)}
    return schemas.PatientItem(patient=patient, **by)


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
        parts.require_patient(connection, emr, patient, cleared(request))
        rows = care.decisions_of(connection, emr, [patient]).get(patient, {})
    wanted = (each for each in care.shown(rows, cleared(request)) if rule in (None, each.rule))
    lines = [each.line for each in wanted if outcome in (None, each.outcome)]
    return schemas.Decisions(items=[parts.decision_out(line) for line in lines])


@router.get("/emrs/{emr}/patients/{patient}", summary="Enrolments, plan, goals, tasks and contacts")
@needs("Patient", "r")
def patient_(request: Request, emr: Slug, patient: PatientId) -> schemas.PatientOut:
    saw(request, [(emr, patient)])
    door = doorway(request)
    with door.store.read() as connection:
        row = parts.emr_row(connection, emr)
        sees = cleared(request)
        parts.require_patient(connection, emr, patient, sees)
        case = case_of.load(connection, row, patient, base=door.identifier_base, cleared=sees)
        held = parts.intents(connection, emr, patient, sees)
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
