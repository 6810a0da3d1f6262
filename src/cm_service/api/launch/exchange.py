"""Code for token, refresh for token, and what came with it (EL-5, EL-6, EL-13)."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from cm_service import wiring
from cm_service.api.doorway import Doorway
from cm_service.errors import NotFhir
from cm_service.fhir.answers import Answer
from cm_service.fhir.http import Ask, EmrHttp
from cm_service.fhir.token import token_in

_ID = re.compile(r"[A-Za-z0-9.-]{1,128}")
_WHAT = "POST token request"


class Granted(NamedTuple):
    """`scope` "" where the answer does not say; `patient` None at a standalone launch without one."""

    access_token: str
    refresh_token: str
    scope: str
    until: dt.datetime
    id_token: str
    patient: str | None
    encounter: str | None
    need_patient_banner: bool
    intent: str
    style_url: str


async def by_code(
    door: Doorway, emr: Any, *, endpoint: str, code: str, verifier: str, redirect_uri: str
) -> Granted:
    """Raises EmrError."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    return await _ask(door, emr, endpoint, form)


async def by_refresh(door: Doorway, emr: Any, *, endpoint: str, refresh_token: str) -> Granted:
    """Raises EmrError. Where a new refresh token comes, the old one is not used again."""
    return await _ask(door, emr, endpoint, {"grant_type": "refresh_token", "refresh_token": refresh_token})


async def _ask(door: Doorway, emr: Any, endpoint: str, form: dict[str, str]) -> Granted:
    """A confidential client proves who it is and leaves client_id out of the body; a public one names it."""
    prover = wiring.launch_prover(door.tools.settings, emr)
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    if prover is None:
        form = {**form, "client_id": emr.launch_options["client-id"]}
    else:
        proof = prover.prove(algorithm=prover.algorithms[0], audience=endpoint, now=door.clock())
        form, headers = {**form, **proof.form}, {**headers, **proof.headers}
    parts = urlsplit(endpoint)
    async with wiring.plain_http(door.tools.settings, f"{parts.scheme}://{parts.netloc}") as http:
        answer = await _once(http, Ask("POST", endpoint, _WHAT, headers, urlencode(form).encode()))
    return _granted(answer, door.clock())


async def _once(http: EmrHttp, ask: Ask) -> Answer:
    """A code is good once: whatever happens, it is not sent again."""
    return await http.read(ask, lambda answer: answer)


def _granted(answer: Answer, now: dt.datetime) -> Granted:
    token, body = token_in(answer), answer.json()
    if body.get("token_type") is None:
        raise NotFhir("the answer does not say which kind of token it is")
    return Granted(
        access_token=token.header.removeprefix("Bearer "),
        refresh_token=_text(body, "refresh_token"),
        scope=token.scope or "",
        until=now + dt.timedelta(seconds=token.seconds),
        id_token=_text(body, "id_token"),
        patient=_id(body, "patient"),
        encounter=_id(body, "encounter"),
        # EL-10: only a plain `false` lets the banner go.
        need_patient_banner=body.get("need_patient_banner") is not False,
        intent=_text(body, "intent")[:100],
        style_url=_text(body, "smart_style_url"),
    )


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _id(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise NotFhir(f"the {name} of the launch is no FHIR id")
    return value
