"""The worklist page: who is mine, who comes today, who was found, and how full my caseload is.

A session without a patient sees the practices at which its user is signed in, and no other.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from cm_service.api.doorway import doorway
from cm_service.api.launch.sessions import Session
from cm_service.api.pages import roles, views, visit
from cm_service.api.pages.listed import Due, Sort, Wish, everything, lists_of, mine_of
from cm_service.api.v1 import schemas
from cm_service.api.v1.worklist import Cursor
from cm_service.errors import BadInput, Lost
from cm_service.flow.care.caseload import hand_over_case
from cm_service.flow.care.desk import Desk
from cm_service.rules.registry import BY_ID

router = APIRouter(
    prefix="/app", route_class=visit.PageRoute, default_response_class=Response, include_in_schema=False
)
MOST, PAGE = 500, 50
# The guide's appendix: all patients, and those with whom work goes on at a time.
CAPACITY = (("complex", 150, "30 to 50"), ("moderate", 500, "90 to 100"))


@router.get("/worklist")
def worklist_(
    request: Request,
    rule: Annotated[str, Query(max_length=40)] = "",
    due: Due = "any",
    sort: Sort = "due",
    cursor: Cursor = None,
    mine: Cursor = None,
    today: Cursor = None,
) -> Response:
    return list_of(request, Wish(rule or None, due, sort, cursor or None, mine or None, today or None))


@router.post("/caseload/hand-over")
def hand_over(request: Request) -> Response:
    """All of one's own cases at one practice to somebody else there, in one transaction."""
    here, door = _signed_in(request), doorway(request)
    at = visit.form(request).pop("emr", [here[0].emr.slug])[0]
    who = next((each for each in here if each.emr.slug == at), None)
    if who is None:
        raise Lost(visit.NOTHING)
    to = visit.read(request, schemas.OwnerIn).owner
    if to == who.user:
        raise BadInput("this is you")
    with door.store.write() as connection:
        rows = list(everything(connection, mine_of(who, MOST)))
        for row in rows:
            desk = Desk(
                connection, who.emr, row.patient_id, base=door.identifier_base, by=who.user, now=door.clock()
            )
            hand_over_case(desk, to=to)
    visit.saw(request, [(row.emr, row.patient_id) for row in rows])
    return list_of(request, Wish(), notice=f"{len(rows)} cases handed over to {to} at {at}.")


def list_of(request: Request, wish: Wish, *, notice: str = "") -> Response:
    here, door = _signed_in(request), doorway(request)
    with door.store.read() as connection:
        lists = lists_of(connection, door, here, wish, most=MOST, page=PAGE)
    visit.saw(request, lists.patients)
    return views.page(
        here[0].emr,
        "worklist.html",
        also=[who.emr for who in here[1:]],
        session=visit.session(request),
        here=here,
        barred=[who.emr.slug for who in visit.session(request).everywhere if who not in here],
        users={who.emr.slug: who.user for who in here},
        lists=lists,
        wish=wish,
        rules=BY_ID,
        capacity=CAPACITY,
        notice=notice,
    )


def _signed_in(request: Request) -> tuple[Session, ...]:
    """Somebody of the practices, outside a chart: a page in a chart knows its own patient only. Where a
    sign-in is nobody's who may see a list, that practice is left out, and the page says so."""
    who = visit.session(request)
    if who.patient_id is not None:
        raise Lost(visit.NOTHING)
    here = tuple(each for each in who.everywhere if roles.may(each.user, roles.LIST))
    if not here:
        visit.require(request, roles.LIST)
    return here
