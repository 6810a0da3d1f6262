"""The last hospital stay that was read of an EMR: discharge rules are blind where there is none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import sqlalchemy as sa

from cm_service.db import passport as rows
from cm_service.rules.encounters import class_word, is_finished, is_open, is_stay_class
from cm_service.rules.facts import AnyFact, EncounterFact

LAST_STAY, NEVER = "last-inpatient", "none"
_DAY = 10  # characters of a date


def newest_stay(facts: Iterable[AnyFact], *, today: dt.date) -> str:
    """The newest day of a stay up to `today`, the practice's own, as the EMR wrote it ("" for none)."""
    days = (_day(fact, today.isoformat()) for fact in facts if isinstance(fact, EncounterFact))
    return max(days, default="")


def _day(encounter: EncounterFact, today: str) -> str:
    happened = is_finished(encounter) or is_open(encounter)
    if not happened or not is_stay_class(class_word(encounter), short_stay=False):
        return ""
    days = (when.raw[:_DAY] for when in (encounter.start, encounter.end) if when is not None)
    return max((day for day in days if len(day) == _DAY and day <= today), default="")


def note_stays(
    connection: sa.Connection, emr: str, last: str, *, is_complete: bool, now: dt.datetime
) -> None:
    """Keep the newest day; `last` is that of this night. That there is none is known only where every
    Encounter was read."""
    known = rows.fact(connection, emr, "Encounter", LAST_STAY)
    before = known.value if known is not None and known.value != NEVER else ""
    newest = max(before, last) or (NEVER if is_complete else "")
    if newest:
        rows.save_fact(connection, emr, "Encounter", LAST_STAY, newest, at=now)


def last_stay(connection: sa.Connection, emr: str) -> str | None:
    """Its day (ISO), "" where there is none, None where nobody knows."""
    known = rows.fact(connection, emr, "Encounter", LAST_STAY)
    return None if known is None else known.value.replace(NEVER, "")
