"""`/launch` and `/launch/callback/{emr}`: from the EMR's chart to a page bound to user and patient."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import secrets
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from cm_service.api.doorway import Doorway, doorway
from cm_service.api.launch import arrival, joining, metadata
from cm_service.api.launch.browser import browser_of, keep_browser
from cm_service.api.launch.registered import emr_of
from cm_service.api.pages import views
from cm_service.db import connections, launches
from cm_service.db.doors import digest
from cm_service.errors import CmError
from cm_service.logs import log

_HTML: dict[str, Any] = {"content": {"text/html": {}}}
_AWAY: dict[int | str, dict[str, Any]] = {
    302: {"description": "To the EMR's authorisation server"},
    400: {"description": "A page that says what to do", **_HTML},
}
_PAGE: dict[int | str, dict[str, Any]] = {200: {"description": "The page", **_HTML}, 400: _AWAY[400]}
router = APIRouter(tags=["launch"], default_response_class=Response)
_NO_JOIN = "Practices can be put together only from a worklist that is open in a window of its own."
LIFE = dt.timedelta(minutes=5)
LONGEST_LAUNCH = 2000
EHR_SCOPE = "launch openid fhirUser patient/*.read online_access"
STANDALONE_SCOPE = "openid fhirUser user/*.read online_access"


@router.get("/launch", summary="SMART EHR launch", status_code=302, responses=_AWAY)
async def launch(request: Request) -> Response:
    """EL-1: `iss` is one of ours before anything is called; nothing of the request is echoed."""
    door = doorway(request)
    iss, word = _only(request, "iss"), _only(request, "launch")
    emr = await run_in_threadpool(emr_of, door, iss or "")
    if emr is None or not word or len(word) > LONGEST_LAUNCH:
        return await run_in_threadpool(views.refusal, door, "This page was not opened by a registered EMR.")
    return await _away(request, door, emr, kind="ehr", extra={"launch": word})


@router.get(
    "/launch/standalone/{emr}",
    summary="Sign in for the worklist, outside a chart",
    status_code=302,
    responses=_AWAY,
)
async def standalone(request: Request, emr: str) -> Response:
    door = doorway(request)
    row = await run_in_threadpool(_emr, door, emr)
    if row is None:
        return await run_in_threadpool(views.refusal, door, "There is no such EMR here.")
    return await _away(request, door, row, kind="standalone", extra={})


@router.post("/launch/join", summary="Sign in at one more practice, for the same worklist", responses=_PAGE)
async def join(request: Request) -> Response:
    """The token comes in the body; the answer is a page that goes on to the EMR, because a form of ours may
    not be redirected to another site."""
    door = doorway(request)
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return await run_in_threadpool(views.refusal, door, "This request comes from another site.")
    async with request.form(max_files=0, max_fields=5) as form:
        token, slug = str(form.get("token") or ""), str(form.get("emr") or "")
    first = await run_in_threadpool(_session, door, token)
    if first is None or not joining.may_join(first, browser_of(request)):
        return await run_in_threadpool(views.refusal, door, _NO_JOIN)
    row = await run_in_threadpool(_emr, door, slug)
    if row is None:
        return await run_in_threadpool(views.refusal, door, "There is no such EMR here.")
    answer = await _away(request, door, row, kind="standalone", extra={}, joins=first.digest)
    return views.onward(row, answer) if "location" in answer.headers else answer


@router.get("/launch/callback/{emr}", summary="Where the EMR sends the browser back to", responses=_PAGE)
async def callback(request: Request, emr: str) -> Response:
    """EL-4, EL-16: every state once, in time, for this EMR, and by the browser that left."""
    door = doorway(request)
    state = _only(request, "state")
    found = await run_in_threadpool(_taken, door, state or "", emr)
    if found is None:
        return await run_in_threadpool(views.refusal, door, "This sign-in has ended: open the page again.")
    row, launched = found
    browser = browser_of(request)
    if launched.joins and not browser:
        return await run_in_threadpool(views.refusal, door, _NO_JOIN)
    if browser and not hmac.compare_digest(digest(browser), launched.browser_digest):
        return await run_in_threadpool(views.refusal, door, "This sign-in was begun in another browser.")
    said_iss = _only(request, "iss")
    if (said_iss or launched.iss_promised) and said_iss != launched.issuer:
        return await run_in_threadpool(views.refusal, door, "This answer comes from another server.")
    code = _only(request, "code")
    if not code or "error" in request.query_params:
        return await run_in_threadpool(
            views.refusal, door, "The EMR did not let you in. Open the page again."
        )
    try:
        arrived = await arrival.arrive(door, row, launched, code=code, bound=bool(browser))
    except CmError as error:
        log.warning("a launch failed", type=type(error).__name__)
        return await run_in_threadpool(
            views.refusal, door, "The EMR's answer cannot be used. Open the page again."
        )
    also = [each for slug in arrived.held if (each := await run_in_threadpool(_emr, door, slug))]
    return views.shell(row, arrived.session, arrived.token, also=also)


def _only(request: Request, name: str) -> str | None:
    """A parameter that stands there exactly once."""
    values = request.query_params.getlist(name)
    return values[0] if len(values) == 1 else None


def _emr(door: Doorway, slug: str) -> Any | None:
    """Compared here, not by the store, which some texts of a path cannot even be asked for."""
    with door.store.read() as connection:
        return next((row for row in connections.list_emrs(connection) if row.slug == slug), None)


def _taken(door: Doorway, state: str, slug: str) -> tuple[Any, Any] | None:
    row = _emr(door, slug)
    if row is None or not 20 < len(state) < 200:
        return None
    with door.database.write() as connection:
        launched = launches.take(connection, state, emr=slug, now=door.clock())
    return (row, launched) if launched is not None else None


def _session(door: Doorway, token: str) -> Any | None:
    with door.database.read() as connection:
        return launches.session(connection, token, now=door.clock())


async def _away(
    request: Request,
    door: Doorway,
    emr: Any,
    *,
    kind: str,
    extra: dict[str, str],
    joins: str | None = None,
) -> Response:
    """To the EMR's authorisation server, with a state, a nonce and a code challenge of their own."""
    try:
        server = await metadata.fetch(door, emr)
        client_id = emr.launch_options["client-id"]
    except (CmError, KeyError) as error:
        log.warning("a launch failed", type=type(error).__name__)
        return await run_in_threadpool(views.refusal, door, "The EMR's sign-in cannot be reached or used.")
    state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
    browser = browser_of(request) or secrets.token_urlsafe(32)
    usual = EHR_SCOPE if kind == "ehr" else STANDALONE_SCOPE
    scope = str(emr.launch_options.get("scope") or usual)
    await run_in_threadpool(
        _keep,
        door,
        state,
        emr=emr.slug,
        kind=kind,
        issuer=server.issuer,
        token_endpoint=server.token_endpoint,
        jwks_uri=server.jwks_uri,
        scope=scope,
        verifier=door.sealer.seal(verifier),
        nonce_digest=digest(nonce),
        browser_digest=digest(browser),
        iss_promised=server.iss_in_response,
        expires_at=door.clock() + LIFE,
        joins=joins,
    )
    challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": arrival.redirect_uri(door, emr.slug),
        "scope": scope,
        "state": state,
        "aud": emr.base_url,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **extra,
    }
    mark = "&" if "?" in server.authorization_endpoint else "?"
    answer = RedirectResponse(f"{server.authorization_endpoint}{mark}{urlencode(asked)}", status_code=302)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "no-referrer"
    keep_browser(answer, browser, secure=door.public_url.startswith("https:"))
    return answer


def _keep(door: Doorway, state: str, **columns: Any) -> None:
    with door.database.write() as connection:
        launches.forget(connection, before=door.clock() - dt.timedelta(hours=1))
        launches.begin(connection, state, **columns)
