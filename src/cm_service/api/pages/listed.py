"""What stands on the worklist page: of each practice at which its user is signed in, by that sign-in's own
rights, zone and clock; then put in one order.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from heapq import merge
from itertools import islice
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from cm_service.api.doorway import Doorway
from cm_service.api.launch.sessions import Session
from cm_service.api.v1.worklist import after_of, cursor_of
from cm_service.db import worklist
from cm_service.db.worklist import FAR, Filter
from cm_service.flow.confidential import cleared_for_pages

Due = Literal["any", "overdue", "week"]
Sort = Literal["due", "urgency"]
Key = tuple[int, str, str, str]
_AT_ONCE = dt.timedelta(microseconds=1)


class Wish(NamedTuple):
    """How the candidates are filtered and sorted, and from where on each of the three lists is shown."""

    rule: str | None = None
    due: Due = "any"
    sort: Sort = "due"
    cursor: str | None = None
    mine: str | None = None
    today: str | None = None


class Part(NamedTuple):
    """One list, and the cursor of its next page, None where this was the last one."""

    rows: list[Any]
    following: str | None


class Lists(NamedTuple):
    now: dt.datetime
    zones: Mapping[str, dt.tzinfo]
    mine: Part
    today: Part
    candidates: Part
    active: int
    accepted: int

    @property
    def patients(self) -> list[tuple[str, str]]:
        rows = (*self.mine.rows, *self.today.rows, *self.candidates.rows)
        return [(row.emr, row.patient_id) for row in rows]


class _Reader(NamedTuple):
    """One connection for all practices of this request."""

    connection: sa.Connection
    door: Doorway
    here: tuple[Session, ...]

    def part(self, filters: Mapping[str, Filter], cursor: str | None) -> Part:
        """One page over all practices; every filter has the same order and limit."""
        one = next(iter(filters.values()))
        last = after_of(self.door, cursor)
        found = (self._of(emr, wanted, last) for emr, wanted in filters.items())
        rows = list(islice(merge(*found, key=lambda row: _order(row, one.by_due)), one.limit))
        return Part(rows, cursor_of(self.door, rows[-1]) if len(rows) == one.limit else None)

    def _of(self, emr: str, wanted: Filter, last: Key | None) -> list[Any]:
        after = _after(emr, last, by_due=wanted.by_due) if last is not None else None
        return worklist.page(self.connection, wanted._replace(after=after))

    def counts(self) -> Counter[str]:
        """One's own cases by status."""
        own: Counter[str] = Counter()
        for who in self.here:
            slug, cleared = who.emr.slug, cleared_for_pages(who.emr.settings)
            for row in worklist.caseload(self.connection, [slug], cleared=cleared):
                own[row.status] += row.count if row.care_manager == who.user else 0
        return own


def _order(row: Any, by_due: bool) -> tuple[Any, ...]:
    due = row.due_at or FAR
    return (*((due, row.urgency) if by_due else (row.urgency, due)), row.emr)


def _after(emr: str, last: Key, *, by_due: bool) -> Key:
    """Where this EMR's rows go on after a row that may be another EMR's: of what is due and urgent alike,
    EMRs that come later in the order are still to be shown, and earlier ones have been."""
    urgency, due, of, _ = last
    if emr == of:
        return last
    if emr > of:
        return urgency, due, "", ""
    if by_due:
        return urgency + 1, due, "", ""
    return urgency, (dt.datetime.fromisoformat(due) + _AT_ONCE).isoformat(), "", ""


def lists_of(
    connection: sa.Connection, door: Doorway, here: tuple[Session, ...], wish: Wish, *, most: int, page: int
) -> Lists:
    reader, now = _Reader(connection, door, here), door.clock()
    own = reader.counts()
    return Lists(
        now=now,
        zones={who.emr.slug: _zone(who) for who in here},
        mine=reader.part({who.emr.slug: mine_of(who, most) for who in here}, wish.mine),
        today=reader.part({who.emr.slug: _today(who, now, most) for who in here}, wish.today),
        candidates=reader.part({who.emr.slug: _found(who, now, wish, page) for who in here}, wish.cursor),
        active=own["active"],
        accepted=own["accepted"],
    )


def _all_of(who: Session, limit: int) -> Filter:
    return Filter((who.emr.slug,), limit=limit, cleared=cleared_for_pages(who.emr.settings))


def mine_of(who: Session, limit: int) -> Filter:
    return _all_of(who, limit)._replace(care_manager=who.user, by_due=True)


def _today(who: Session, now: dt.datetime, limit: int) -> Filter:
    morning = _morning(now.astimezone(_zone(who)))
    evening = morning + dt.timedelta(days=1)
    return _all_of(who, limit)._replace(appointment_from=morning, appointment_before=evening)


def _found(who: Session, now: dt.datetime, wish: Wish, limit: int) -> Filter:
    here = now.astimezone(_zone(who))
    week = _morning(here) + dt.timedelta(days=7)
    return _all_of(who, limit)._replace(
        status="candidate",
        rule=wish.rule,
        due_before={"any": None, "overdue": now, "week": week}[wish.due],
        awake_on=here.date(),
        by_due=wish.sort == "due",
    )


def _zone(who: Session) -> ZoneInfo:
    return ZoneInfo(who.emr.timezone)


def _morning(now: dt.datetime) -> dt.datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def everything(connection: sa.Connection, wanted: Filter) -> Iterable[Any]:
    """Page after page, for what is done to all of them."""
    while rows := worklist.page(connection, wanted):
        yield from rows
        last = rows[-1]
        due = (last.due_at or FAR).isoformat()
        wanted = wanted._replace(after=(last.urgency, due, last.emr, last.patient_id))
