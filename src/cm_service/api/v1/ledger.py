"""The write-outcome ledger: what was written, waits, was refused, or nobody knows; and a person's word."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Request

from cm_service.api.doorway import doorway
from cm_service.api.security.guard import cleared, needs, saw
from cm_service.api.v1 import parts
from cm_service.api.v1.parts import RowId, Slug
from cm_service.api.v1.schemas import In, Out, Reference
from cm_service.db import ledger
from cm_service.db.confidential import readable
from cm_service.errors import BadInput, Lost
from cm_service.flow import resolve as resolving
from cm_service.flow.intents import State

router = parts.router("ledger")


class IntentOut(Out):
    """One thing wanted in the EMR, and where it is. `theirs`: elements that somebody else made theirs."""

    id: int
    emr: str
    patient: str
    kind: str
    code: str
    rule: str
    state: State
    rung: str
    reference: str | None
    identifier: str
    deleted: bool
    theirs: list[str]
    reason: str | None


class Intents(Out):
    items: list[IntentOut]
    next: int | None


@router.get("/emrs/{emr}/ledger", summary="Intents with their placements, oldest first")
@needs("Provenance", "s")
def ledger_(
    request: Request,
    emr: Slug,
    state: State | None = None,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="`next` of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Intents:
    with doorway(request).store.read() as connection:
        parts.emr_row(connection, emr)
        rows = ledger.listed(
            connection, emr=emr, state=state, after=after, limit=limit, cleared=cleared(request)
        )
    saw(request, [(emr, row.patient_id) for row in rows])
    following = rows[-1].id if len(rows) == limit else None
    return Intents(items=[_out(row) for row in rows], next=following)


class ResolutionIn(In):
    """What became of a write that nobody can look up: it stands there as Type/id, or it is not there."""

    outcome: Literal["written", "not-written"]
    reference: Reference | None = None


@router.post("/emrs/{emr}/ledger/{intent}/resolution", summary="A person's word; the EMR is asked, too")
@needs("Provenance", "u")
def resolve(request: Request, emr: Slug, intent: RowId, body: ResolutionIn) -> IntentOut:
    door = doorway(request)
    with door.store.read() as connection:
        parts.emr_row(connection, emr)
        row = ledger.one(connection, intent)
    if row.emr != emr or not readable(row.labels, cleared(request)):
        raise Lost("there is nothing here under this name")
    saw(request, [(emr, row.patient_id)])
    if (body.outcome == "written") != (body.reference is not None):
        raise BadInput("`written` comes with a reference, `not-written` without")
    return _out(resolving.resolve(door.tools, intent, written_as=body.reference))


def _out(row: Any) -> IntentOut:
    names = ("id", "emr", "kind", "code", "rule", "state", "rung", "reference", "deleted", "reason")
    return IntentOut(
        **{name: getattr(row, name) for name in names},
        patient=row.patient_id,
        identifier=f"{row.system}|{row.value}",
        theirs=row.human,
    )
