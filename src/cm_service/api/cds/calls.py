"""What an EMR calls us with, held against the specification (CDS Hooks 2.0.1, CH-2, CH-10, CH-12)."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from fastapi import Request
from starlette.exceptions import HTTPException

from cm_service.api.cds.services import Service

LONGEST_BODY = 5_000_000
_ID = re.compile(r"[A-Za-z0-9.-]{1,128}")
_USER = re.compile(r"[A-Z][A-Za-z]{2,40}/[A-Za-z0-9.-]{1,128}")
_TOKEN = re.compile(r"[!-~]{1,10000}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
Json = dict[str, Any]


async def body_of(request: Request) -> Json:
    """Raises HTTPException 400, 413."""
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LONGEST_BODY:
            raise HTTPException(413, f"a call may have {LONGEST_BODY} bytes at most")
    try:
        # A prefetch has hundreds of kilobytes, and json takes four times as long.
        body = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body is no JSON") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is no JSON object")
    return body


def checked(body: Json, service: Service) -> Json:
    """Raises HTTPException 400, naming the member."""
    if body.get("hook") != service.hook:
        raise HTTPException(400, "hook is not the one of this service")
    if not _fits(_UUID, body.get("hookInstance")):
        raise HTTPException(400, "hookInstance is no UUID")
    context = body.get("context")
    if not isinstance(context, dict) or not _fits(_ID, context.get("patientId")):
        raise HTTPException(400, "context.patientId is no FHIR id")
    if not _fits(_USER, context.get("userId")):
        raise HTTPException(400, "context.userId is no reference")
    if service.hook == "encounter-discharge" and not _fits(_ID, context.get("encounterId")):
        raise HTTPException(400, "context.encounterId is no FHIR id")
    if not isinstance(body.get("prefetch"), dict | None):
        raise HTTPException(400, "prefetch is no object")
    return body


def _fits(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def token(emr: Any, body: Json) -> str | None:
    """The token that came along, for the registered base and nowhere else: what the body names as
    fhirServer is never called."""
    granted = body.get("fhirAuthorization")
    server = str(body.get("fhirServer", "")).rstrip("/")
    if not isinstance(granted, dict) or server != emr.base_url.rstrip("/"):
        return None
    text, kept_to, seconds = (granted.get(name) for name in ("access_token", "patient", "expires_in"))
    if kept_to is not None and kept_to != body["context"]["patientId"]:
        return None
    if isinstance(seconds, int | float) and seconds <= 0:
        return None
    return text if _fits(_TOKEN, text) else None
