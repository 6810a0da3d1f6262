"""A Bundle in, decisions out; nothing is stored, and no EMR is asked."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import AwareDatetime, Field

from cm_service import wiring
from cm_service.api.doorway import doorway
from cm_service.api.security.guard import needs
from cm_service.api.v1 import parts, schemas
from cm_service.api.v1.schemas import In, Out, Word
from cm_service.errors import BadInput
from cm_service.flow.connection import concept_map_of, parameters_of
from cm_service.flow.in_hand import decide
from cm_service.flow.judge import line

router = parts.router("evaluate")


class EvaluateIn(In):
    """`bundle` is a FHIR R4 Bundle of one or more patients; `settings` rule parameters."""

    bundle: dict[str, Any]
    timezone: Word
    as_of: AwareDatetime | None = None
    settings: dict[Word, Word] = Field(default={}, max_length=100)


class RejectOut(Out):
    """What could not be used: the number of the Bundle's entry, and why."""

    entry: int
    type: str
    reason: str
    sentence: str


class Evaluated(Out):
    items: list[schemas.DecisionOut]
    rejects: list[RejectOut]


@router.post("/evaluate", summary="Decisions about the patients of a Bundle")
@needs("Patient", "r")
def evaluate_(request: Request, body: EvaluateIn) -> Evaluated:
    if body.bundle.get("resourceType") != "Bundle":
        raise BadInput("bundle must be a FHIR R4 Bundle")
    found = decide(
        body.bundle,
        as_of=body.as_of or doorway(request).clock(),
        zone=wiring.zone(body.timezone),
        parameters=parameters_of(body.settings),
        concept_map=concept_map_of(body.settings),
    )
    return Evaluated(
        items=[parts.decision_out(line(decision)) for decision in found.decisions],
        rejects=[
            RejectOut(entry=each.line, type=each.type, reason=each.reason, sentence=each.sentence)
            for each in found.rejects
        ],
    )
