"""The last hospital stay that was read of an EMR: discharge rules are blind where there is none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from cm_service.db import passport as rows
from cm_service.flow.people import Facts
from cm_service.rules.encounters import class_word, is_finished, is_open, is_stay_class
from cm_service.rules.facts import EncounterFact

LAST_STAY, NEVER = "last-inpatient", "none"
_DAY = 10  # characters of a date


class StayWatch:
    """Looks at facts on their way into the records; `last` is the newest day of a stay up to `today`, the
    practice's own, as the EMR wrote it ("" for none)."""

    def __init__(self, today: dt.date) -> None:
        self._today, self.last = today.isoformat(), ""

    def watch(self, patients: Iterable[tuple[str, Facts]]) -> Iterator[tuple[str, Facts]]:
        for who, facts in patients:
            for fact in facts.values():
                if isinstance(fact, EncounterFact):
                    self.last = max(self.last, self._day(fact))
            yield who, facts

    def _day(self, encounter: EncounterFact) -> str:
        happened = is_finished(encounter) or is_open(encounter)
        if not happened or not is_stay_class(class_word(encounter), short_stay=False):
            return ""
        days = (when.raw[:_DAY] for when in (encounter.start, encounter.end) if when is not None)
        return max((day for day in days if len(day) == _DAY and day <= self._today), default="")


def note_stays(
    connection: sa.Connection, emr: str, watch: StayWatch, *, is_complete: bool, now: dt.datetime
) -> None:
    """Keep the newest day. That there is none is known only where every Encounter was read."""
    known = rows.fact(connection, emr, "Encounter", LAST_STAY)
    before = known.value if known is not None and known.value != NEVER else ""
    newest = max(before, watch.last) or (NEVER if is_complete else "")
    if newest:
        rows.save_fact(connection, emr, "Encounter", LAST_STAY, newest, at=now)


def last_stay(connection: sa.Connection, emr: str) -> str | None:
    """Its day (ISO), "" where there is none, None where nobody knows."""
    known = rows.fact(connection, emr, "Encounter", LAST_STAY)
    return None if known is None else known.value.replace(NEVER, "")
