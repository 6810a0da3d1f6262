"""What one night knows for the choice of rungs, and what it learns by its canaries.

A canary without an answer is an unknown placement, and a refusal is a placement that was superseded:
both stand in the ledger, so a dead process forgets neither.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import Any

from cm_service.db import placements
from cm_service.flow import encounters
from cm_service.flow.book import Book
from cm_service.flow.ladder import (
    Choice,
    Meaning,
    Rung,
    Verb,
    Wanted,
    World,
    choose,
    climbs,
    obstacle,
    verbs_of,
)
from cm_service.flow.passport import State
from cm_service.flow.rungs.limited import Around, is_a_persons
from cm_service.flow.units import Unit, is_here, stands_natively

DESCENDS = frozenset({403, 404, 405, 501})  # they speak against the rung, 400 and 422 against what was sent
CANARIES = 3  # that may be refused for what they said in one night, before the others wait for the next one
LAPSES = dt.timedelta(days=7)  # as a 403 in the passport: a right may have been given meanwhile
_ANY = "Encounter/any"


class Choosing:
    """For one book."""

    def __init__(self, book: Book, around: Around) -> None:
        self._book, self._settings, self._propose = book, around.settings, around.propose
        self._sent: set[int] = set()  # intents that were sent tonight
        self._lost: set[Verb] = set()  # canaries of tonight without an answer
        self._refused: Counter[Verb] = Counter()  # canaries of tonight that were refused for what they said
        with book.db.read() as connection:
            self._history = placements.refusals(connection, book.emr, since=book.now - LAPSES)

    def choose(self, unit: Unit) -> Choice:
        return choose(self.wanted(unit), self._world())

    def climbs(self, unit: Unit) -> Rung | None:
        return climbs(Rung(unit.carrier.rung), self.wanted(unit), self._world())

    def may_rise(self, row: Any) -> bool:
        """A first look without the content: with everything granted, is there a better rung?"""
        if row.deleted or row.rung == Rung.NATIVE:
            return False
        unit = Unit(row, [])
        best = Wanted(unit.meaning, unit.kinds, accepted=True, encounter=_ANY)
        if is_here(row):
            return choose(best, self._world()).rung != Rung.OWN
        return row.state == "written" and climbs(Rung(row.rung), best, self._world()) is not None

    def why_not_natively(self, row: Any, unit: Unit) -> str:
        """For a goal whose plan stands natively, or the plan of such goals."""
        alone = Wanted(unit.meaning, (row.kind,), refused=self._refusals([row]))
        return obstacle(Rung.NATIVE, alone, self._world())

    def wanted(self, unit: Unit) -> Wanted:
        carrier = unit.carrier
        with self._book.db.read() as connection:
            encounter = encounters.of_intent(connection, carrier, self._settings.note_encounter)
        loose = [row for row in unit.rows if not stands_natively(row)]
        kinds = tuple(sorted({row.kind for row in loose})) or unit.kinds
        accepted = unit.meaning == Meaning.CONTACT or is_a_persons(carrier)  # a person did it
        return Wanted(unit.meaning, kinds, accepted, encounter, self._refusals(loose))

    # --- what is learnt

    def sent(self, intents: Iterable[int]) -> None:
        self._sent.update(intents)

    def learn(self, row: Any) -> None:
        """What was found in the EMR proves its rung as an answer would have. A canary without an answer,
        or one that was refused for what it said, is remembered."""
        if row.id not in self._sent:
            return
        standing = {each: self._standing(each) for each in verbs_of(Rung(row.rung), (row.kind,))}
        unproven = {each for each, state in standing.items() if state != State.PROVEN}
        if row.state == "written" and row.sent is not None and State.UNTRIED in standing.values():
            self._book.note(row, "create", 200)
        elif row.state == "unknown" and row.reference is None:
            self._lost |= unproven
        elif row.state == "refused" and row.reference is None and row.refused_status not in DESCENDS:
            self._refused.update(unproven)

    def remember(self, row: Any) -> None:
        """This intent was refused on this rung."""
        said = placements.Refusal(row.rung, row.refused_status, self._book.now)
        self._history.setdefault(row.id, []).append(said)

    # --- what is known

    def _refusals(self, rows: Iterable[Any]) -> dict[Rung, str]:
        found: dict[Rung, str] = {}
        for row in rows:
            for each in self._history.get(row.id, []):
                found[Rung(each.rung)] = f"refused with {each.status} on {each.at.date().isoformat()}"
        return found

    def _world(self) -> World:
        return World(self._book.passport, self._settings, self._propose, frozenset(self._out()))

    def _out(self) -> set[Verb]:
        """Verbs whose canary of tonight has no answer, or of which several were refused for what they said.
        The next night sends another: in a bad network one after the other would wait for ever."""
        return self._lost | {each for each, times in self._refused.items() if times >= CANARIES}

    def _standing(self, verb: Verb) -> State:
        return self._book.passport.effective(*verb).state
