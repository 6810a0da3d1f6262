"""`/cds-services`: public discovery, three services, feedback.

Within 500 ms, or without cards: a chart must not wait for us, and an error of ours is never shown in it.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from cm_service import wiring
from cm_service.api import problems
from cm_service.api.cds import opinion, prefetch
from cm_service.api.cds.feedback import keep
from cm_service.api.cds.services import SERVICES, Service, Template
from cm_service.api.cds.trust import calling_emr
from cm_service.api.doorway import Doorway, doorway
from cm_service.api.metrics import CDS_EMPTY, CDS_SECONDS
from cm_service.logs import log

router = APIRouter(tags=["cds-hooks"], responses=problems.responses(400, 401, 404, 412, 413))
DEADLINE_SECONDS = 0.5
LONGEST_BODY = 5_000_000
_ID = re.compile(r"[A-Za-z0-9.-]{1,128}")
Json = dict[str, Any]


@router.get("/cds-services", summary="Discovery: what can be called, and what it wants along")
def discovery() -> Json:
    return {"services": [_described(service) for service in SERVICES.values()]}


def _described(service: Service) -> Json:
    templates = {key: template.query for key, template in service.prefetch.items()}
    words = {"hook": service.hook, "title": service.title, "description": service.description}
    return {**words, "id": service.id, "prefetch": templates}


@router.post("/cds-services/{service_id}", summary="One call of a hook")
async def call(request: Request, service_id: str) -> JSONResponse:
    began = time.perf_counter()
    emr = await calling_emr(request, path=f"/cds-services/{service_id}")
    service = _service(service_id)
    body = _checked(await _json(request), service)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            cards = await _cards(doorway(request), emr, service, body)
    except TimeoutError:
        cards = _empty(service, "deadline")
    except HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, no clinician should read it
        log.error("a CDS call failed", type=type(error).__name__)
        cards = _empty(service, "error")
    CDS_SECONDS.labels(service.id).observe(time.perf_counter() - began)
    return JSONResponse({"cards": cards})


@router.post("/cds-services/{service_id}/feedback", summary="What became of our cards")
async def feedback(request: Request, service_id: str) -> JSONResponse:
    emr = await calling_emr(request, path=f"/cds-services/{service_id}/feedback")
    service = _service(service_id)
    await run_in_threadpool(keep, doorway(request), emr.slug, service.id, await _json(request))
    return JSONResponse({})


def _service(service_id: str) -> Service:
    if service_id not in SERVICES:
        raise HTTPException(404, "there is no service with this id")
    return SERVICES[service_id]


def _empty(service: Service, why: str) -> list[Json]:
    CDS_EMPTY.labels(service.id, why).inc()
    return []


async def _json(request: Request) -> Json:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LONGEST_BODY:
            raise HTTPException(413, f"a call may have {LONGEST_BODY} bytes at most")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body is no JSON") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is no JSON object")
    return body


def _checked(body: Json, service: Service) -> Json:
    """Raises HTTPException 400, naming the member."""
    if body.get("hook") != service.hook:
        raise HTTPException(400, "hook is not the one of this service")
    try:
        uuid.UUID(str(body.get("hookInstance")))
    except ValueError as error:
        raise HTTPException(400, "hookInstance is no UUID") from error
    context = body.get("context")
    if not isinstance(context, dict) or not _ID.fullmatch(str(context.get("patientId", ""))):
        raise HTTPException(400, "context.patientId is no FHIR id")
    if not isinstance(context.get("userId"), str) or "/" not in context["userId"]:
        raise HTTPException(400, "context.userId is no reference")
    if service.hook == "encounter-discharge" and not _ID.fullmatch(str(context.get("encounterId", ""))):
        raise HTTPException(400, "context.encounterId is no FHIR id")
    if not isinstance(body.get("prefetch") or {}, dict):
        raise HTTPException(400, "prefetch is no object")
    return body


async def _cards(door: Doorway, emr: Any, service: Service, body: Json) -> list[Json]:
    token = _token(emr, body)
    sent, patient_id = body.get("prefetch") or {}, str(body["context"]["patientId"])
    if token is None:
        chart = await prefetch.gather(service, sent, patient_id, read=None)
    else:
        async with wiring.client_with_token(door.tools.settings, emr, token) as client:

            async def read(template: Template) -> list[Json] | None:
                return await opinion.read(client, template, body["context"])

            chart = await prefetch.gather(service, sent, patient_id, read=read)
    zone = ZoneInfo(emr.timezone)
    return await run_in_threadpool(opinion.cards_for, door, emr, service, patient_id, chart, zone)


def _token(emr: Any, body: Json) -> str | None:
    """The token that came along, for the registered base and nowhere else: what the body names as
    fhirServer is never called."""
    granted = body.get("fhirAuthorization")
    server = str(body.get("fhirServer", "")).rstrip("/")
    if not isinstance(granted, dict) or server != emr.base_url.rstrip("/"):
        return None
    text = granted.get("access_token")
    kept_to = granted.get("patient")
    if kept_to is not None and str(kept_to) != str(body["context"]["patientId"]):
        return None
    return text if isinstance(text, str) and 0 < len(text) < 10_000 else None
