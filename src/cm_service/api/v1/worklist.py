"""The worklist over every connection that the client may see: most urgent first, then what is due first."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Query, Request

from cm_service.api.doorway import Doorway, doorway
from cm_service.api.security.guard import cleared, needs, principal, saw
from cm_service.api.v1 import parts, schemas
from cm_service.api.v1.parts import Slug
from cm_service.db import connections, worklist
from cm_service.db.worklist import FAR, Filter
from cm_service.errors import BadInput

router = parts.router("worklist")
MOST = 200
Limit = Annotated[int, Query(ge=1, le=MOST)]
Awake = Annotated[schemas.Day | None, Query(description="leave out who is snoozed beyond this day")]
Cursor = Annotated[str | None, Query(max_length=600, description="`next` of the page before")]


@router.get("/worklist", summary="Who needs something, over all practices")
@needs("Task", "s")
def worklist_(
    request: Request,
    emr: Annotated[str | None, Query(max_length=63)] = None,
    status: Literal["candidate", "accepted", "active"] | None = None,
    care_manager: Annotated[str | None, Query(max_length=200)] = None,
    rule: Annotated[str | None, Query(max_length=40)] = None,
    due_before: schemas.Instant | None = None,
    appointment_from: schemas.Instant | None = None,
    appointment_before: schemas.Instant | None = None,
    awake_on: Awake = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> schemas.WorklistPage:
    return _page(
        request,
        emr,
        Filter(
            emrs=(),
            status=status,
            care_manager=care_manager,
            rule=rule,
            due_before=due_before,
            appointment_from=appointment_from,
            appointment_before=appointment_before,
            awake_on=awake_on,
            after=after_of(doorway(request), cursor),
            limit=limit,
        ),
    )


@router.get("/emrs/{emr}/candidates", summary="Who was found and nobody has taken yet")
@needs("Task", "s")
def candidates(
    request: Request,
    emr: Slug,
    rule: Annotated[str | None, Query(max_length=40)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> schemas.WorklistPage:
    wanted = Filter(
        emrs=(), status="candidate", rule=rule, after=after_of(doorway(request), cursor), limit=limit
    )
    with doorway(request).store.read() as connection:
        parts.emr_row(connection, emr)
    return _page(request, emr, wanted)


def _page(request: Request, emr: str | None, wanted: Filter) -> schemas.WorklistPage:
    who = principal(request)
    with doorway(request).store.read() as connection:
        slugs = [row.slug for row in connections.list_emrs(connection) if who.sees(row.slug)]
        here = tuple(slug for slug in slugs if emr in (None, slug))
        seen = wanted._replace(emrs=here, cleared=cleared(request))
        rows = worklist.page(connection, seen) if here else []
    saw(request, [(row.emr, row.patient_id) for row in rows])
    following = cursor_of(doorway(request), rows[-1]) if len(rows) == wanted.limit else None
    return schemas.WorklistPage(items=[_item(row) for row in rows], next=following)


def _item(row: Any) -> schemas.WorklistItem:
    return schemas.WorklistItem(
        emr=row.emr,
        patient=row.patient_id,
        name=row.name,
        birth_date=row.birth_date,
        status=row.status,
        urgency=row.urgency,
        due=row.due_at,
        tasks=row.tasks,
        rules=row.rules,
        cannot_tell=row.cannot_tell,
        care_manager=row.care_manager,
        snoozed_until=row.snoozed_until,
        appointment=row.appointment_at,
    )


def cursor_of(door: Doorway, row: Any) -> str:
    """Sealed, because it names a patient and stands in a URL that we made."""
    key = [row.urgency, (row.due_at or FAR).isoformat(), row.emr, row.patient_id]
    return door.sealer.seal(msgspec.json.encode(key).decode())


def after_of(door: Doorway, cursor: str | None) -> tuple[int, str, str, str] | None:
    if cursor is None:
        return None
    try:
        return msgspec.json.decode(parts.opened(door, cursor), type=tuple[int, str, str, str])
    except msgspec.DecodeError as error:
        raise BadInput("the cursor is not one that was given here") from error
