"""What we hold, as FHIR R4 searchsets: our plans, goals, tasks, consents, contacts, and the audit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import Response

from cm_service.api.doorway import doorway
from cm_service.api.security.guard import cleared, needs, saw
from cm_service.api.v1 import parts
from cm_service.api.v1.parts import Slug
from cm_service.db import doors, ledger
from cm_service.fhir import rawjson
from cm_service.flow import ours

router = parts.router("fhir")
KINDS = ("CarePlan", "Goal", "Task", "Consent", "Encounter", "Communication")
MEDIA_TYPE = "application/fhir+json"
_MOST = 1000
_PURPOSE = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_STATE = "/CodeSystem/cm-placement-state"
PatientQuery = Annotated[str, Query(pattern=r"^(Patient/)?[A-Za-z0-9.-]{1,128}$")]
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "A searchset", "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}
}


def _search(kind: str) -> Callable[..., Response]:
    @needs(kind, "s")
    def search(request: Request, emr: Slug, patient: PatientQuery) -> Response:
        door, who = doorway(request), patient.removeprefix("Patient/")
        saw(request, [(emr, who)])
        with door.store.read() as connection:
            parts.emr_row(connection, emr)
            rows = parts.intents(connection, emr, who, cleared(request))
            mine = [row for row in rows if row.kind == kind and not row.deleted]
            values = {value for row in mine for value in ours.links(rawjson.loads(row.wanted.encode()))}
            places = ledger.references(connection, emr, values)
        return _bundle([_resource(row, places, door.identifier_base) for row in mine])

    search.__name__ = f"fhir_{kind.lower()}"
    return search


for _kind in KINDS:
    router.add_api_route(
        f"/emrs/{{emr}}/fhir/{_kind}",
        _search(_kind),
        methods=["GET"],
        summary=f"Our {_kind} resources of one patient",
        response_class=Response,
        responses=_CONTENT,
    )


@router.get(
    "/emrs/{emr}/fhir/AuditEvent",
    summary="Who saw or did what about a patient",
    response_class=Response,
    responses=_CONTENT,
)
@needs("AuditEvent", "s")
def fhir_auditevent(request: Request, emr: Slug, patient: PatientQuery) -> Response:
    door, who = doorway(request), patient.removeprefix("Patient/")
    saw(request, [(emr, who)])
    with door.store.read() as connection:
        parts.emr_row(connection, emr)
    with door.database.read() as connection:
        rows = doors.audited(connection, emr=emr, patient_id=who, limit=_MOST)
    return _bundle([_event(row, door.identifier_base) for row in rows])


def _resource(row: Any, places: dict[str, str], base: str) -> dict[str, Any]:
    """As the EMR holds it, else as it is wanted there; a tag says which, and where it stands."""
    if row.current:
        resource: dict[str, Any] = rawjson.loads(row.current.encode())
    else:
        resource = ours.materialise(rawjson.loads(row.wanted.encode()), places.get)
        resource["id"] = f"intent-{row.id}"
    meta = dict(resource.get("meta") or {})
    meta["tag"] = [*(meta.get("tag") or []), {"system": f"{base}{_STATE}", "code": row.state}]
    return {**resource, "meta": meta}


def _event(row: Any, base: str) -> dict[str, Any]:
    """FHIR R4 AuditEvent of one line; outcome 0 is success, 4 a refusal, 8 a fault of ours."""
    outcome = "0" if row.outcome < 400 else "4" if row.outcome < 500 else "8"
    return {
        "resourceType": "AuditEvent",
        "id": f"audit-{row.id}",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "subtype": [{"system": f"{base}/CodeSystem/cm-operation", "code": row.action}],
        "recorded": row.at.isoformat(),
        "outcome": outcome,
        "purposeOfEvent": [
            {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": row.purpose}
                ]
            }
        ],
        "agent": [{"who": {"identifier": {"value": row.who}}, "requestor": True}],
        "source": {"observer": {"display": "cm-service"}},
        "entity": [{"what": {"reference": f"Patient/{row.patient_id}"}}],
    }


def _bundle(resources: list[dict[str, Any]]) -> Response:
    body = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(resources),
        "entry": [{"resource": each, "search": {"mode": "match"}} for each in resources],
    }
    if not resources:
        del body["entry"]
    return Response(rawjson.dumps(body), media_type=MEDIA_TYPE)
