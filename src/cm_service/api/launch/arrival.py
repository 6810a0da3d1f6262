"""The browser is back: code for tokens, who the user is, which patient, and the session of the page."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool

from cm_service import wiring
from cm_service.api.doorway import Doorway
from cm_service.api.launch import exchange, id_token, joining
from cm_service.api.launch.id_token import Expected, User
from cm_service.api.launch.sessions import IDLE
from cm_service.api.launch.style import style_of
from cm_service.db import launches
from cm_service.db.doors import Access, audit, digest
from cm_service.errors import EmrError, NotFhir
from cm_service.fhir.client import FhirClient


def redirect_uri(door: Doorway, slug: str) -> str:
    return f"{door.public_url}/launch/callback/{slug}"


class Arrived(NamedTuple):
    """The page's token, what its first sight shows, and the other EMRs whose sign-ins it holds."""

    token: str
    session: dict[str, Any]
    held: list[str]


async def arrive(door: Doorway, emr: Any, launched: Any, *, code: str, bound: bool) -> Arrived:
    """Raises CmError."""
    granted = await exchange.by_code(
        door,
        emr,
        endpoint=launched.token_endpoint,
        code=code,
        verifier=door.sealer.open(launched.verifier),
        redirect_uri=redirect_uri(door, emr.slug),
    )
    scope = granted.scope or launched.scope
    if granted.patient is None and launched.kind == "ehr" and "patient/" in scope:
        raise NotFhir("the launch grants a patient's data and names no patient")
    if granted.patient is not None and launched.joins is not None:
        raise NotFhir("a worklist was asked for, and a patient was given")
    user = await _user(door, emr, launched, granted.id_token)
    async with wiring.client_with_token(door.tools.settings, emr, granted.access_token) as client:
        patient_name, merged = await _patient(client, granted.patient)
        user_name = await _name(client, user.reference)
    context = {
        "banner": granted.need_patient_banner,
        "intent": granted.intent,
        "style": await style_of(door, emr, granted.style_url),
        "merged": merged,
    }
    token = secrets.token_urlsafe(32)
    columns = {
        "emr": emr.slug,
        "patient_id": granted.patient,
        "encounter_id": granted.encounter,
        "user": user.reference,
        "user_name": user_name,
        "patient_name": patient_name,
        "subject": user.subject,
        "bound": bound,
        "confirmed": bound,
        "browser_digest": launched.browser_digest,
        "scope": scope,
        "access_token": granted.access_token,
        "refresh_token": granted.refresh_token,
        "token_endpoint": launched.token_endpoint,
        "token_until": granted.until,
        "context": context,
    }
    held = await run_in_threadpool(_open, door, token, columns, launched.joins)
    return Arrived(token, columns, held)


async def _user(door: Doorway, emr: Any, launched: Any, token: str) -> User:
    """A key that is not known makes us read the EMR's key set once more, and no more."""
    expected = Expected(
        issuer=launched.issuer,
        client_id=emr.launch_options["client-id"],
        base_url=emr.base_url,
        nonce_digest=launched.nonce_digest,
        now=door.clock(),
    )
    keys = await door.keys.all(launched.jwks_uri)
    kid = id_token.kid_of(token)
    if kid is not None and all(key.get("kid") != kid for key in keys):
        keys = await door.keys.all(launched.jwks_uri, again=True)
    return id_token.user_of(token, keys, expected)


async def _patient(client: FhirClient, patient_id: str | None) -> tuple[str, bool]:
    """The name, and whether another record replaced this one. A patient whom the user may not read is
    nobody's business here: then the launch fails."""
    if patient_id is None:
        return "", False
    patient = await client.read("Patient", patient_id)
    if patient.get("id") != patient_id:
        raise NotFhir("the EMR answered with another patient")
    birth, links = str(patient.get("birthDate") or ""), patient.get("link")
    told = [each for each in (links if isinstance(links, list) else ()) if isinstance(each, dict)]
    merged = any(each.get("type") == "replaced-by" for each in told)
    return " ".join(filter(None, (_human(patient), f"({birth})" if birth else ""))), merged


async def _name(client: FhirClient, reference: str) -> str:
    kind, _, id_ = reference.partition("/")
    try:
        return _human(await client.read(kind, id_)) or reference
    except EmrError:
        return reference  # the name is for people's eyes only


def _human(resource: dict[str, Any]) -> str:
    names = resource.get("name")
    first = names[0] if isinstance(names, list) and names and isinstance(names[0], dict) else {}
    if isinstance(first.get("text"), str):
        return str(first["text"])[:200]
    given = first.get("given")
    words = [*(given if isinstance(given, list) else []), first.get("family")]
    return " ".join(word for word in words if isinstance(word, str))[:200]


def _open(door: Doorway, token: str, columns: dict[str, Any], joins: str | None) -> list[str]:
    """Another user in the same browser ends the pages of the one before (EL-17)."""
    now = door.clock()
    sealed = ("user_name", "patient_name", "access_token", "refresh_token")
    row = {name: door.sealer.seal(v) if name in sealed and v else v for name, v in columns.items()}
    row["patient_name"] = row["patient_name"] or door.sealer.seal("")
    with door.database.write() as connection:
        held = joining.take_along(connection, joins, columns, by=digest(token), now=now)
        keep = [(columns["emr"], columns["user"]), *((each.emr, each.user) for each in held)]
        launches.end_others(connection, columns["browser_digest"], keep=keep, now=now)
        launches.open_session(connection, token, created_at=now, idle_until=now + IDLE, **row)
        audit(connection, [_line(columns, now, token), *(_joined(each, now, token) for each in held)])
    return [each.emr for each in held]


def _line(columns: dict[str, Any], now: dt.datetime, token: str) -> Access:
    return Access(
        at=now,
        who=columns["user"],
        emr=columns["emr"],
        patient_id=columns["patient_id"],
        action="launch" if columns["bound"] else "launch-unbound",
        purpose="CAREMGT",
        outcome=200,
        request_id=digest(token)[:24],
    )


def _joined(held: Any, now: dt.datetime, token: str) -> Access:
    columns = {"user": held.user, "emr": held.emr, "patient_id": None, "bound": True}
    return _line(columns, now, token)._replace(action="launch-joined")
