"""A worklist over several practices: each with a sign-in of its own, all by one person in one browser.

The page of the first practice asks for a sign-in at the next one; what comes back is a new page that holds
both. That it is the same person is shown twice: by the token, which only that page has, and by the
browser's cookie. Where no cookie survives, each practice keeps a page of its own.
"""

from __future__ import annotations

import datetime as dt
import hmac
from typing import Any

import sqlalchemy as sa

from cm_service.api.launch.id_token import NotProven
from cm_service.db import launches
from cm_service.db.doors import digest


def may_join(first: Any | None, browser: str) -> bool:
    """`first` is the session whose token was shown: a worklist, bound to the browser that asks."""
    if first is None or first.patient_id is not None or not (first.bound and first.confirmed and browser):
        return False
    return hmac.compare_digest(digest(browser), first.browser_digest)


def take_along(
    connection: sa.Connection, joins: str | None, columns: dict[str, Any], *, by: str, now: dt.datetime
) -> list[Any]:
    """The sessions that the new page holds. A second sign-in at one practice replaces the first.
    Raises NotProven where the page that asked is not there any more, or is in another browser."""
    if joins is None:
        return []
    first = launches.alive(connection, joins, now=now)
    if first is None or first.held_by is not None or first.browser_digest != columns["browser_digest"]:
        raise NotProven("the worklist that asked for this sign-in is not there")
    launches.hold(connection, joins, by=by)
    for each in launches.held(connection, by, now=now):
        if each.emr == columns["emr"]:
            launches.change_session(connection, each.digest, ended_at=now)
    return launches.held(connection, by, now=now)
