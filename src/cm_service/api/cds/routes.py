"""`/cds-services`: public discovery, three services, feedback.

Within 500 ms, or without cards: a chart must not wait for us, and an error of ours is never shown in it.
"""

from __future__ import annotations

import asyncio
import functools
import time
from typing import Any
from zoneinfo import ZoneInfo

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from cm_service import wiring
from cm_service.api import problems
from cm_service.api.cds import calls, opinion, prefetch
from cm_service.api.cds.feedback import keep
from cm_service.api.cds.services import SERVICES, Service, Template
from cm_service.api.cds.trust import calling_emr
from cm_service.api.doorway import Doorway, doorway
from cm_service.api.metrics import CDS_EMPTY, CDS_SECONDS
from cm_service.db import doors
from cm_service.db.doors import Access
from cm_service.logs import log

router = APIRouter(tags=["cds-hooks"], responses=problems.responses(400, 401, 404, 412, 413))
DEADLINE_SECONDS = 0.5
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
    emr = await calling_emr(request, path=f"/cds-services/{service_id}", seconds=DEADLINE_SECONDS)
    left = DEADLINE_SECONDS - (time.perf_counter() - began)
    service = _service(service_id)
    body = calls.checked(await calls.body_of(request), service)
    status = 200
    try:
        cards = await _in_time(left, doorway(request), emr, service, body)
    except HTTPException as refusal:
        status = refusal.status_code
        raise
    finally:
        await run_in_threadpool(_audit, request, emr, service, body, status)
    CDS_SECONDS.labels(service.id).observe(time.perf_counter() - began)
    return JSONResponse({"cards": cards})


async def _in_time(seconds: float, door: Doorway, emr: Any, service: Service, body: Json) -> list[Json]:
    """Raises HTTPException, and nothing else: no clinician should read a fault of ours."""
    try:
        async with asyncio.timeout(seconds):
            return await _cards(door, emr, service, body)
    except TimeoutError:
        return _empty(service, "deadline")
    except HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is
        log.error("a CDS call failed", type=type(error).__name__)
        return _empty(service, "error")


def _audit(request: Request, emr: Any, service: Service, body: Json, status: int) -> None:
    """The EMR vouches for the user whom it names."""
    door = doorway(request)
    entry = Access(
        at=door.clock(),
        who=body["context"]["userId"],
        emr=emr.slug,
        patient_id=body["context"]["patientId"],
        action=service.id,
        purpose="TREAT",
        outcome=status,
        request_id=request.state.request_id,
    )
    with door.database.write() as connection:
        doors.audit(connection, [entry])


@router.post("/cds-services/{service_id}/feedback", summary="What became of our cards")
async def feedback(request: Request, service_id: str) -> JSONResponse:
    path = f"/cds-services/{service_id}/feedback"
    emr = await calling_emr(request, path=path, seconds=DEADLINE_SECONDS)
    service = _service(service_id)
    await run_in_threadpool(keep, doorway(request), emr.slug, service.id, await calls.body_of(request))
    return JSONResponse({})


def _service(service_id: str) -> Service:
    if service_id not in SERVICES:
        raise HTTPException(404, "there is no service with this id")
    return SERVICES[service_id]


def _empty(service: Service, why: str) -> list[Json]:
    CDS_EMPTY.labels(service.id, why).inc()
    return []


async def _cards(door: Doorway, emr: Any, service: Service, body: Json) -> list[Json]:
    token = calls.token(emr, body)
    sent, context = body.get("prefetch") or {}, body["context"]
    if token is None:
        chart = await prefetch.gather(service, sent, context, read=None)
    else:
        async with wiring.client_with_token(door.tools.settings, emr, token) as client:

            async def read(template: Template) -> list[Json] | None:
                return await opinion.read(client, template, context)

            chart = await prefetch.gather(service, sent, context, read=read)
    zone, patient_id = ZoneInfo(emr.timezone), context["patientId"]
    work = functools.partial(opinion.cards_for, door, emr, service, patient_id, chart, zone)
    # Left behind at the deadline: a thread cannot be stopped, and nobody waits for it.
    return await to_thread.run_sync(work, abandon_on_cancel=True)
