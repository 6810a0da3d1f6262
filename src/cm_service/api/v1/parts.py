"""What the routers share: the connection's row, the desk of an act, ETags, and rows as answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from cm_service.api import problems
from cm_service.api.doorway import Doorway, doorway
from cm_service.api.security.guard import GuardedRoute, cleared, principal, saw
from cm_service.api.v1 import schemas
from cm_service.db import care, cases, connections, ledger
from cm_service.db.confidential import Cleared, readable
from cm_service.errors import BadInput, Lost, Misconfigured
from cm_service.flow.care.desk import Desk
from cm_service.flow.care.projection import project_task

Slug = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", description="an EMR connection")]
PatientId = Annotated[str, Path(pattern=r"^[A-Za-z0-9.-]{1,128}$", description="Patient.id in that EMR")]
RowId = Annotated[int, Path(ge=1, le=2**31 - 1)]
IfMatch = Annotated[str | None, Header(description="the ETag that was read; another one now is 412")]


# Tells the OpenAPI document what the gate has long asked for.
_BEARER = HTTPBearer(auto_error=False, description="a token of /auth/token")


def router(tag: str) -> APIRouter:
    refusals = problems.responses(400, 401, 403, 404, 406, 409, 412, 413, 415, 422, 429, 503)
    return APIRouter(
        prefix="/v1",
        tags=[tag],
        route_class=GuardedRoute,
        responses=refusals,
        dependencies=[Depends(_BEARER)],
    )


def emr_row(connection: sa.Connection, slug: str) -> Any:
    """Raises Lost for one that is not there, as the guard does for one that the client may not see."""
    try:
        return connections.get_emr(connection, slug)
    except Lost as error:
        raise Lost("there is nothing here under this name") from error


def require_patient(connection: sa.Connection, emr: str, patient: str, cleared: Cleared) -> None:
    """Somebody of whom the service knows anything that may be shown. Raises Lost."""
    decided = care.decisions_of(connection, emr, [patient]).get(patient)
    known: Any = care.shown(decided, cleared) if decided else intents(connection, emr, patient, cleared)
    if not known and (decided or not cases.enrolments(connection, emr, patient)):
        raise Lost("there is nothing here under this name")


def intents(connection: sa.Connection, emr: str, patient: str, cleared: Cleared) -> list[Any]:
    """Rows of the ledger of one patient, as far as they may be shown."""
    rows = ledger.of_patients(connection, emr, [patient]).get(patient, [])
    return [row for row in rows if readable(row.labels, cleared)]


@contextmanager
def at_desk(
    request: Request, slug: str, patient: str, *, if_match: str | None = None, anybody: bool = False
) -> Iterator[Desk]:
    """The desk for one act, in one transaction. `anybody`: the patient need not be known yet."""
    door = doorway(request)
    saw(request, [(slug, patient)])
    with door.store.write() as connection:
        emr = emr_row(connection, slug)
        if not anybody:
            require_patient(connection, slug, patient, cleared(request))
        base, by, sees = door.identifier_base, principal(request).client_id, cleared(request)
        desk = Desk(connection, emr, patient, base=base, by=by, now=door.clock(), cleared=sees)
        if if_match is not None:
            enrolment = desk.case.enrolment
            require_match(if_match, tag(enrolment.version) if enrolment is not None else None)
        yield desk


def opened(door: Doorway, cursor: str) -> str:
    """What a cursor of ours says; it is sealed, because it names a patient. Raises BadInput."""
    try:
        return door.sealer.open(cursor)
    except Misconfigured as error:
        raise BadInput("the cursor is not one that was given here") from error


def tag(version: object) -> str:
    return f'"{version}"'


def require_match(if_match: str | None, current: str | None) -> None:
    """RFC 9110: the caller saw another version than there is now; None for nothing at all. Raises
    HTTPException 412."""
    asked = [word.strip() for word in (if_match or "*").split(",")]
    if (if_match is not None and current is None) or ("*" not in asked and current not in asked):
        raise HTTPException(412, "it was changed since you read it: read it again")


def act_out(connection: sa.Connection, act_id: int, slug: str) -> schemas.ActOut:
    row = cases.act(connection, act_id, emr=slug)
    return schemas.ActOut(id=row.id, kind=row.kind, undo_until=row.undo_until, enrolment=row.enrolment_id)


def decision_out(line: bytes) -> schemas.DecisionOut:
    return schemas.DecisionOut.model_validate(msgspec.json.decode(line))


def enrolment_out(connection: sa.Connection, row: Any) -> schemas.EnrolmentOut:
    columns = {name: getattr(row, name) for name in schemas.EnrolmentOut.model_fields if hasattr(row, name)}
    consents = [
        schemas.ConsentOut.model_validate(each, from_attributes=True)
        for each in cases.consents(connection, row.id)
    ]
    return schemas.EnrolmentOut(**columns, patient=row.patient_id, consents=consents)


def task_out(row: Any) -> schemas.TaskOut | None:
    task = project_task(row)
    return schemas.TaskOut.model_validate(task) if task else None
