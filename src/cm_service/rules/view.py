"""One patient as rules see it: facts by type, parameters, and what could not be read."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from cm_service.rules.clock import Clock
from cm_service.rules.facts import AnyFact, Fact, PatientFact, PlaceFact, concepts_of
from cm_service.rules.parameters import Parameters
from cm_service.rules.value_sets import sets_of

T = TypeVar("T")
F = TypeVar("F", bound=Fact)


class Decline(NamedTuple):
    """Our own record that this patient said no: leave alone until the instant `until`."""

    id: str
    until: dt.datetime


class PatientView:
    """Facts of one person: the surviving Patient, with the facts filed under replaced ids.

    `unread` are types that were not read to their end, or that the EMR refuses; `holes` are types
    of which a line of this very patient could not be read. `places` are the Locations and
    Organizations (key `Type/id`) that the patient's facts may point to.
    """

    def __init__(
        self,
        facts: Iterable[AnyFact],
        *,
        parameters: Parameters,
        declines: tuple[Decline, ...] = (),
        places: Mapping[str, PlaceFact] | None = None,
        unread: frozenset[str] = frozenset(),
        refused: frozenset[str] = frozenset(),
        holes: frozenset[str] = frozenset(),
        stale: frozenset[str] = frozenset(),
    ) -> None:
        self.parameters = parameters
        self.declines = declines
        self.places = places or {}
        self.unread = unread
        self.refused = refused
        self.holes = holes
        self.stale = stale
        self.incomplete = unread | refused | holes  # types of which some facts may be missing
        self._by_type: dict[type[Fact], list[AnyFact]] = {}
        for fact in facts:
            self._by_type.setdefault(type(fact), []).append(fact)
        self._stated: dict[type[Fact], Mapping[str, list[Any]]] = {}
        self._keys: frozenset[str] | None = None
        self._derived: dict[Callable[..., object], tuple[object, Clock]] = {}

    def holds(self, reference: str) -> bool:
        """Was the resource `Type/id` read, with this patient or as a shared place?"""
        if self._keys is None:
            facts = (fact for group in self._by_type.values() for fact in group)
            self._keys = frozenset(f"{fact.__struct_config__.tag}/{fact.id}" for fact in facts)
        return reference in self._keys or reference in self.places

    def of(self, kind: type[F]) -> list[F]:
        """The facts of one type, in no particular order."""
        return self._by_type.get(kind, [])  # type: ignore[return-value]

    def stated(self, kind: type[F]) -> Mapping[str, list[F]]:
        """The facts of one type by the words of the value sets that a code of theirs stands in; each word
        that nothing of the type states is missing. Read once per patient: a dozen questions ask."""
        found = self._stated.get(kind)
        if found is None:
            found = self._stated[kind] = _by_set(self.of(kind))
        return found

    @property
    def patient(self) -> PatientFact | None:
        """The surviving Patient (not one that was replaced), if it was read."""
        return next(iter(self.of(PatientFact)), None)

    def afresh(self) -> PatientView:
        """The same record with nothing derived from it yet: for another moment."""
        other = copy.copy(self)
        other._derived = {}
        return other

    def derive(self, function: Callable[[PatientView, Clock], T], clock: Clock) -> T:
        """`function(self, ...)` once per patient; its turning points count for every asker."""
        found = self._derived.get(function)
        if found is None:
            own = clock.fresh()
            found = self._derived[function] = (function(self, own), own)
        clock.note(found[1].until)
        return found[0]  # type: ignore[return-value]


def _by_set(facts: Iterable[F]) -> Mapping[str, list[F]]:
    found: dict[str, list[F]] = {}
    for fact in facts:
        for concept in concepts_of(fact):
            for coding in concept.codings:
                for word in sets_of(coding.system, coding.code):
                    held = found.setdefault(word, [])
                    if not held or held[-1] is not fact:  # several of its codes may stand in one set
                        held.append(fact)
    return found
