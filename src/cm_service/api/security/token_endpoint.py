"""`/auth/token`: a client proves with its key who it is and gets a token for five minutes at most.

SMART Backend Services 2.2 on the server's side: client_credentials with private_key_jwt, nothing else.
Errors are those of RFC 6749 5.2; a description says what to mend and nothing of what is inside.
"""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from cm_service.api.doorway import Doorway, doorway
from cm_service.api.security import scopes, signed
from cm_service.api.security.key_sets import ALGORITHMS, PublicKey
from cm_service.api.security.signed import Header, NotTrusted
from cm_service.db import doors
from cm_service.errors import BadInput, CmError

router = APIRouter(tags=["authorisation"])
GRANT = "client_credentials"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_LONGEST_FORM = 32_768
_FIELDS = {"grant_type", "scope", "client_assertion_type", "client_assertion", "client_id"}


class _Refused(Exception):
    """An answer of RFC 6749 5.2."""

    def __init__(self, code: str, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.code, self.words, self.status = code, words, status


@router.get("/.well-known/smart-configuration", summary="What our authorisation server can do")
def smart_configuration(request: Request) -> dict[str, Any]:
    base = doorway(request).public_url
    return {
        "issuer": base,
        "token_endpoint": f"{base}/auth/token",
        "grant_types_supported": [GRANT],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "scopes_supported": ["system/*.rs", *(f"system/{type_}.cruds" for type_ in scopes.TYPES)],
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
        # The table of SMART's discovery demands it even of a server without an authorisation endpoint.
        "code_challenge_methods_supported": ["S256"],
    }


@router.post(
    "/auth/token",
    summary="A token for a registered client",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "required": ["grant_type", "scope", "client_assertion_type", "client_assertion"],
                        "properties": {name: {"type": "string"} for name in sorted(_FIELDS)},
                    }
                }
            },
        }
    },
    responses={
        400: {"description": "RFC 6749 5.2"},
        401: {"description": "The client is not known"},
        413: {"description": "The form is too long"},
    },
)
async def token(request: Request) -> JSONResponse:
    door = doorway(request)
    try:
        form = await _form(request)
        client = await _client(door, form)
        answer = await run_in_threadpool(_issue, door, client, form["scope"])
        return JSONResponse(answer, headers=_NOT_KEPT)
    except _Refused as refusal:
        body = {"error": refusal.code, "error_description": refusal.words}
        return JSONResponse(body, status_code=refusal.status, headers=_NOT_KEPT)


async def _form(request: Request) -> dict[str, str]:
    """The form, each field once. RFC 6749 3.2: a repeated one is an error."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise _Refused("invalid_request", "the body must be application/x-www-form-urlencoded")
    if "authorization" in request.headers:
        raise _Refused("invalid_request", "a client says once who it is: by its assertion alone")
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _LONGEST_FORM:
            raise _Refused("invalid_request", "the form is too long", 413)
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=20)
    except ValueError as error:
        raise _Refused("invalid_request", "the form cannot be read") from error
    return _once(pairs)


def _once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _Refused("invalid_request", "a field is repeated")
    if form.get("grant_type") != GRANT:
        missing = "grant_type" not in form
        raise _Refused("invalid_request" if missing else "unsupported_grant_type", f"use {GRANT}")
    if form.get("client_assertion_type") != ASSERTION or not form.get("client_assertion"):
        raise _Refused("invalid_client", "a client assertion (private_key_jwt) is needed", 401)
    if not form.get("scope"):
        raise _Refused("invalid_scope", "a scope is needed, such as system/*.rs")
    return form


async def _client(door: Doorway, form: dict[str, str]) -> Any:
    """The client that signed the assertion. It is told that it failed, never how: what would help it
    would help somebody else more."""
    rows: dict[str, Any] = {}

    async def key_of(issuer: str, header: Header) -> PublicKey | None:
        row = await run_in_threadpool(door.client, issuer)
        if row is None or row.disabled_at is not None:
            return None
        rows[issuer] = row
        return await door.keys.key(row, header)

    try:
        claims = await signed.checked(
            form["client_assertion"],
            key_of=key_of,
            audiences=(f"{door.public_url}/auth/token", door.public_url),
            now=door.clock(),
        )
        if claims.subject != claims.issuer or form.get("client_id", claims.issuer) != claims.issuer:
            raise NotTrusted("issuer, subject and client are not one")
        if not await run_in_threadpool(door.use_once, claims):
            raise NotTrusted("this assertion was used before")
    except CmError as error:
        raise _Refused("invalid_client", str(error), 401) from error
    return rows[claims.issuer]


def _issue(door: Doorway, client: Any, asked: str) -> dict[str, Any]:
    try:
        granted = scopes.narrowed(scopes.parse(asked), scopes.parse(client.scope))
    except BadInput as error:
        raise _Refused("invalid_scope", str(error)) from error
    if not granted:
        raise _Refused("invalid_scope", "nothing of what was asked is registered for this client")
    text, scope = secrets.token_urlsafe(32), scopes.written(granted)
    expires_at = door.clock() + door.token_life
    with door.database.write() as connection:
        doors.forget_expired(connection, now=door.clock())
        doors.keep_token(connection, text, client_id=client.id, scope=scope, expires_at=expires_at)
    seconds = int(door.token_life.total_seconds())
    return {"access_token": text, "token_type": "bearer", "expires_in": seconds, "scope": scope}
