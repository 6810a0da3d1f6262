"""The worklist page: who is mine, who comes today, who was found, and how full my caseload is.

A session without a patient sees the practice at which its user is signed in, and no other.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request, Response

from cm_service.api.doorway import Doorway, doorway
from cm_service.api.launch.sessions import Session
from cm_service.api.pages import roles, views, visit
from cm_service.api.v1 import schemas
from cm_service.api.v1.worklist import Cursor, after_of, cursor_of
from cm_service.db import worklist
from cm_service.db.worklist import Filter
from cm_service.errors import BadInput, Lost
from cm_service.flow.care.caseload import hand_over_case
from cm_service.flow.care.desk import Desk
from cm_service.rules.registry import BY_ID

router = APIRouter(
    prefix="/app", route_class=visit.PageRoute, default_response_class=Response, include_in_schema=False
)
MOST, PAGE = 500, 50
Due = Literal["any", "overdue", "week"]
Sort = Literal["due", "urgency"]
# The guide's appendix: all patients, and those with whom work goes on at a time.
CAPACITY = (("complex", 150, "30 to 50"), ("moderate", 500, "90 to 100"))


class Wish(NamedTuple):
    """How the candidates are filtered and sorted."""

    rule: str | None = None
    due: Due = "any"
    sort: Sort = "due"
    cursor: str | None = None


class Lists(NamedTuple):
    now: dt.datetime
    mine: list[Any]
    today: list[Any]
    candidates: list[Any]
    following: str | None
    active: int
    accepted: int

    @property
    def patients(self) -> list[str]:
        return [row.patient_id for row in (*self.mine, *self.today, *self.candidates)]


@router.get("/worklist")
def worklist_(
    request: Request,
    rule: Annotated[str, Query(max_length=40)] = "",
    due: Due = "any",
    sort: Sort = "due",
    cursor: Cursor = None,
) -> Response:
    return list_of(request, Wish(rule or None, due, sort, cursor))


@router.post("/caseload/hand-over")
def hand_over(request: Request) -> Response:
    """All of one's own cases to somebody else, in one transaction."""
    who, door = _signed_in(request), doorway(request)
    to = visit.read(request, schemas.OwnerIn).owner
    if to == who.user:
        raise BadInput("this is you")
    with door.store.write() as connection:
        rows = worklist.page(connection, _mine(who))
        for row in rows:
            desk = Desk(
                connection, who.emr, row.patient_id, base=door.identifier_base, by=who.user, now=door.clock()
            )
            hand_over_case(desk, to=to)
    visit.saw(request, [row.patient_id for row in rows])
    return list_of(request, Wish(), notice=f"{len(rows)} cases handed over to {to}.")


def list_of(request: Request, wish: Wish, *, notice: str = "") -> Response:
    who, door = _signed_in(request), doorway(request)
    with door.store.read() as connection:
        lists = lists_of(connection, door, who, wish)
    visit.saw(request, lists.patients)
    return views.page(
        who.emr,
        "worklist.html",
        session=who,
        lists=lists,
        wish=wish,
        rules=BY_ID,
        capacity=CAPACITY,
        notice=notice,
    )


def lists_of(connection: sa.Connection, door: Doorway, who: Session, wish: Wish) -> Lists:
    now = door.clock().astimezone(ZoneInfo(who.emr.timezone))
    morning = now.replace(hour=0, minute=0, second=0, microsecond=0)
    evening = morning + dt.timedelta(days=1)
    soon = {"any": None, "overdue": now, "week": evening + dt.timedelta(days=6)}[wish.due]
    here = (who.emr.slug,)
    today = Filter(here, appointment_from=morning, appointment_before=evening, limit=MOST)
    found = Filter(
        here,
        status="candidate",
        rule=wish.rule,
        due_before=soon,
        awake_on=now.date(),
        by_due=wish.sort == "due",
        after=after_of(door, wish.cursor),
        limit=PAGE,
    )
    candidates = worklist.page(connection, found)
    own = {
        row.status: row.count for row in worklist.caseload(connection, here) if row.care_manager == who.user
    }
    return Lists(
        now=now,
        mine=worklist.page(connection, _mine(who)),
        today=worklist.page(connection, today),
        candidates=candidates,
        following=cursor_of(door, candidates[-1]) if len(candidates) == PAGE else None,
        active=own.get("active", 0),
        accepted=own.get("accepted", 0),
    )


def _mine(who: Session) -> Filter:
    return Filter((who.emr.slug,), care_manager=who.user, by_due=True, limit=MOST)


def _signed_in(request: Request) -> Session:
    """Somebody of the practice, outside a chart: a page in a chart knows its own patient only."""
    who = visit.session(request)
    if who.patient_id is not None:
        raise Lost(visit.NOTHING)
    visit.require(request, roles.LIST)
    return who
