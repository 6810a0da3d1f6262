"""EMR connections and their passports. They are added on the command line, where secrets are at home."""

from __future__ import annotations

import datetime as dt
from hashlib import sha256
from typing import Any, Literal

from fastapi import Request, Response
from pydantic import Field

from cm_service.api.doorway import doorway
from cm_service.api.security.guard import needs, principal
from cm_service.api.v1 import parts
from cm_service.api.v1.parts import IfMatch, Slug
from cm_service.api.v1.schemas import In, Out, Reference, Word
from cm_service.db import connections
from cm_service.flow import passport
from cm_service.flow.connection import CONNECTION_SETTINGS, parameters_of

router = parts.router("emrs")


class EmrOut(Out):
    slug: str
    base_url: str
    timezone: str
    auth: str
    write_mode: Literal["propose", "auto", "dry-run"]
    practice: str | None
    owner: str | None
    profile: str | None
    settings: dict[str, str] = Field(description="rule parameters that differ from the defaults")
    created_at: dt.datetime


class Emrs(Out):
    items: list[EmrOut]


class EmrPatch(In):
    """What is left out stays. `settings`: rule parameters; null takes one back to its default."""

    write_mode: Literal["propose", "auto", "dry-run"] | None = None
    practice: Reference | None = None
    owner: Reference | None = None
    settings: dict[Word, Word | None] | None = Field(default=None, max_length=100)


class Passport(Out):
    """What the EMR declares, grants, allows and was seen to do, each with its date."""

    emr: str
    passport: dict[str, Any]


@router.get("/emrs", summary="The connections that this client may see")
@needs("Endpoint", "s")
def emrs_(request: Request) -> Emrs:
    with doorway(request).store.read() as connection:
        rows = connections.list_emrs(connection)
    return Emrs(items=[_out(row) for row in rows if principal(request).sees(row.slug)])


@router.get("/emrs/{emr}", summary="One connection")
@needs("Endpoint", "r")
def emr_(request: Request, response: Response, emr: Slug) -> EmrOut:
    with doorway(request).store.read() as connection:
        row = parts.emr_row(connection, emr)
    response.headers["ETag"] = _tag(row)
    return _out(row)


@router.patch("/emrs/{emr}", summary="Change parameters; whoever they touch is judged again")
@needs("Endpoint", "u")
def change_emr(
    request: Request, response: Response, emr: Slug, body: EmrPatch, if_match: IfMatch = None
) -> EmrOut:
    with doorway(request).store.write() as connection:
        row = parts.emr_row(connection, emr)
        parts.require_match(if_match, _tag(row))
        connections.update_emr(connection, emr, **_columns(row, body))
        row = connections.get_emr(connection, emr)
    response.headers["ETag"] = _tag(row)
    return _out(row)


@router.get("/emrs/{emr}/passport", summary="What this EMR can do, and how that is known")
@needs("Endpoint", "r")
def passport_(request: Request, emr: Slug) -> Passport:
    door = doorway(request)
    with door.store.read() as connection:
        row = parts.emr_row(connection, emr)
        profile = passport.profile_of(door.tools.settings, row)
        return Passport(emr=emr, passport=passport.told(connection, emr, profile))


def _columns(row: Any, body: EmrPatch) -> dict[str, Any]:
    """Raises BadInput for a parameter that does not exist or is out of range."""
    plain = body.model_dump(exclude_unset=True, exclude={"settings"})
    columns = {name: value for name, value in plain.items() if value is not None or name != "write_mode"}
    given = {k: v for k, v in (body.settings or {}).items() if k not in CONNECTION_SETTINGS}
    merged = {k: v for k, v in {**row.settings, **given}.items() if v is not None}
    parameters_of(merged)
    return {**columns, "settings": merged}


def _out(row: Any) -> EmrOut:
    return EmrOut.model_validate({name: getattr(row, name) for name in EmrOut.model_fields})


def _tag(row: Any) -> str:
    return parts.tag(sha256(_out(row).model_dump_json().encode()).hexdigest()[:16])
