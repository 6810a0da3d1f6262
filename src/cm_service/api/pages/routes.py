"""`/app`: the page in the chart and the worklist page, part by part, for the script of the shell."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from cm_service.api.doorway import doorway
from cm_service.api.launch import sessions
from cm_service.api.pages import consent_text, lists, roles, views, visit
from cm_service.api.pages.acts import DEEDS
from cm_service.api.pages.listed import Wish
from cm_service.api.pages.merged import is_merged
from cm_service.api.pages.sight import MEDIA, sight
from cm_service.db import cases
from cm_service.errors import Lost
from cm_service.flow.care import words
from cm_service.flow.care.desk import undo as take_back

router = APIRouter(
    prefix="/app", route_class=visit.PageRoute, default_response_class=Response, include_in_schema=False
)
static = APIRouter(prefix="/app/static", default_response_class=Response, include_in_schema=False)
_STATIC = {"app.js": "text/javascript; charset=utf-8", "app.css": "text/css; charset=utf-8"}


@static.get("/{name}")
def file(name: str) -> Response:
    """The same for everybody; asked for anew, so that a new version is there at once."""
    if name not in _STATIC:
        raise Lost(visit.NOTHING)
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response((views.STATIC / name).read_bytes(), media_type=_STATIC[name], headers=headers)


@router.post("/confirm")
def confirm(request: Request) -> Response:
    """The one click of a session that no cookie bound to its browser."""
    sessions.confirm(doorway(request), visit.session(request))
    return part_of(request)


@router.post("/end")
def end(request: Request) -> Response:
    sessions.end(doorway(request), visit.session(request))
    return Response(status_code=204)


@router.get("/part")
def part(request: Request) -> Response:
    return part_of(request)


@router.post("/acts/{name}")
def act(request: Request, name: Annotated[str, Path(max_length=20)]) -> Response:
    if name not in DEEDS:
        raise Lost(visit.NOTHING)
    deed = DEEDS[name]
    with visit.at_desk(request, deed.right) as desk:
        deed.do(request, desk)
    return part_of(request, notice=deed.done)


@router.post("/acts/{act_id}/undo")
def undo(request: Request, act_id: Annotated[int, Path(ge=1, le=2**31 - 1)]) -> Response:
    who, door = visit.session(request), doorway(request)
    visit.require(request, roles.CARE)
    with door.store.write() as connection:
        row = cases.act(connection, act_id, emr=who.emr.slug)
        if row.patient_id != who.patient_id:
            raise Lost(visit.NOTHING)
        take_back(connection, act_id, emr=who.emr.slug, by=who.user, now=door.clock())
    return part_of(request, notice="Taken back: it was never sent.")


def part_of(request: Request, *, notice: str = "") -> Response:
    """The patient's page, or the worklist where the session has no patient."""
    who, door = visit.session(request), doorway(request)
    if who.patient_id is None:
        return lists.list_of(request, Wish(), notice=notice)
    with door.store.read() as connection:
        template = "merged.html" if is_merged(connection, who) else "patient.html"
        seen = sight(
            connection,
            who.emr,
            who.patient_id,
            base=door.identifier_base,
            user=who.user,
            now=door.clock(),
        )
    return views.page(
        who.emr,
        template,
        session=who,
        seen=seen,
        rights=roles.rights(who.user),
        notice=notice,
        media=MEDIA,
        words=words,
        consent=consent_text,
    )
