"""The write-outcome ledger: what was written, waits, was refused, or nobody knows; and a person's word."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request

from cm_service.api.doorway import doorway
from cm_service.api.security.guard import needs, saw
from cm_service.api.v1 import parts
from cm_service.api.v1.parts import Slug
from cm_service.api.v1.schemas import Out
from cm_service.db import ledger
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
        rows = ledger.listed(connection, emr=emr, state=state, after=after, limit=limit)
    saw(request, [(emr, row.patient_id) for row in rows])
    following = rows[-1].id if len(rows) == limit else None
    return Intents(items=[_out(row) for row in rows], next=following)


def _out(row: Any) -> IntentOut:
    names = ("id", "emr", "kind", "code", "rule", "state", "rung", "reference", "deleted", "reason")
    return IntentOut(
        **{name: getattr(row, name) for name in names},
        patient=row.patient_id,
        identifier=f"{row.system}|{row.value}",
        theirs=row.human,
    )
