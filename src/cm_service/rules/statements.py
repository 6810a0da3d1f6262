"""What a record states beside the chronic conditions: pregnancy, dialysis, frailty, transfusion ...

One pass over Conditions, Procedures, Encounter.type and some ServiceRequests picks what stands in a
watched value set (`data/context.json`, `data/registry.json`); most patients have nothing there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import msgspec

from cm_service.rules import encounters
from cm_service.rules.clock import Clock, Span
from cm_service.rules.condition_codes import coded
from cm_service.rules.condition_evidence import Seen, Standing, look
from cm_service.rules.dates import When, date_flags
from cm_service.rules.decision import Evidence
from cm_service.rules.facts import (
    ConditionFact,
    EncounterFact,
    ProcedureFact,
    ServiceRequestFact,
    codes_text,
    concepts_of,
)
from cm_service.rules.view import PatientView

WATCHED = frozenset(
    {
        "advanced_illness",
        "ckd5_esrd",
        "dialysis_service",
        "dialysis_status",
        "frailty",
        "hemolytic_anemia",
        "kidney_transplant",
        "palliative",
        "pregnancy",
        "sickle_cell",
        "transfusion",
    }
)
# These are read whatever the clinical status says: what counts is that somebody wrote it then.
_WHATEVER_STATUS = frozenset({"frailty", "palliative"})
# An order says that palliative care or dialysis goes on; one for a transplant replaces no kidney yet, and
# frailty is read from what was found and done (rules.md 1.7.3).
_SAID_BY_ORDER = frozenset({"dialysis_service", "dialysis_status", "palliative"})
_ORDERED = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
_STANDING = {Standing.ACTIVE: True, Standing.UNSURE: None}
AnyStatement = ConditionFact | ProcedureFact | EncounterFact | ServiceRequestFact
F = TypeVar("F", ConditionFact, ProcedureFact, EncounterFact, ServiceRequestFact)


class Statement(NamedTuple):
    """One resource that says it by a code of the set `word`. `holds`: does it hold today (True for
    what happened once)? `on`: the local day on which it was said or done; `since`: for a Condition,
    since when it is so. `flags` are for whoever does not reject it as too old."""

    word: str
    fact: AnyStatement
    holds: bool | None
    on: Span | None
    since: Span | None
    flags: tuple[str, ...] = ()

    @property
    def is_condition(self) -> bool:
        return isinstance(self.fact, ConditionFact)


class Statements(NamedTuple):
    """Statements by value set, ordered by resource; and the sets of which one lies in the future."""

    held: dict[str, tuple[Statement, ...]]
    future: frozenset[str]

    def of(self, name: str) -> tuple[Statement, ...]:
        return self.held.get(name, ())

    def ignored(self, *names: str) -> frozenset[str]:
        """The flag for statements that were ignored because they are still to come."""
        return frozenset() if self.future.isdisjoint(names) else frozenset({"future_date"})


class _Pile:
    """What the pass over the record picks up, by value set."""

    def __init__(self) -> None:
        self.held: dict[str, dict[tuple[str, str], Statement]] = {}
        self.future: set[str] = set()

    def add(self, name: str, statement: Statement) -> None:
        key = (type_of(statement.fact), statement.fact.id)
        self.held.setdefault(name, {})[key] = statement


def statements(view: PatientView, clock: Clock) -> Statements:
    """Everything that is stated in a watched value set; ask through `view.derive`."""
    pile = _Pile()
    for name, condition in _watched(view, ConditionFact):
        _add_condition(name, condition, pile, view, clock)
    for name, procedure in _watched(view, ProcedureFact):
        if procedure.status == "completed":
            _add_event(name, procedure, (procedure.end, procedure.start), pile, clock)
    for name, encounter in _watched(view, EncounterFact):
        if encounters.is_finished(encounter) or encounters.is_open(encounter):
            _add_event(name, encounter, (encounter.end, encounter.start), pile, clock)
    for name, order in _watched(view, ServiceRequestFact):
        if name in _SAID_BY_ORDER and order.status in ("active", "completed") and order.intent in _ORDERED:
            _add_event(name, order, (order.authored, order.occurrence), pile, clock)
    held = {name: tuple(found[key] for key in sorted(found)) for name, found in pile.held.items()}
    return Statements(held, frozenset(pile.future))


def flags_of(said: Iterable[Statement]) -> frozenset[str]:
    return frozenset(flag for one in said for flag in one.flags)


def type_of(fact: AnyStatement) -> str:
    return str(fact.__struct_config__.tag)


def evidence_of(statement: Statement) -> Evidence:
    """A statement as evidence, with the day on which it was made."""
    fact = statement.fact
    path = "type" if isinstance(fact, EncounterFact) else "code"
    day = statement.on or statement.since
    return Evidence(
        type=type_of(fact),
        id=fact.id,
        version=fact.version,
        path=f"{type_of(fact)}.{path}",
        raw=codes_text(concepts_of(fact)),
        value=statement.word,
        date=day.low.isoformat() if day is not None and day.exact else "",
    )


def _watched(view: PatientView, kind: type[F]) -> Iterator[tuple[str, F]]:
    """The watched sets with what the record states of them. Nearly always none."""
    stated = view.stated(kind)
    for name in WATCHED & stated.keys():
        for fact in stated[name]:
            yield name, fact


def _add_condition(name: str, condition: ConditionFact, pile: _Pile, view: PatientView, clock: Clock) -> None:
    seen = _seen(name, condition, view, clock)
    if seen.standing in _STANDING:
        on = seen.recorded or seen.since
        pile.add(name, Statement(name, condition, _STANDING[seen.standing], on, seen.since, seen.flags))
    elif "future_date" in seen.flags:
        pile.future.add(name)


def _seen(name: str, condition: ConditionFact, view: PatientView, clock: Clock) -> Seen:
    if name in _WHATEVER_STATUS:
        condition = msgspec.structs.replace(condition, clinical="active", abatement=None, abated=False)
    return look(condition, coded(condition), view, clock)


def _add_event(
    name: str,
    fact: AnyStatement,
    dates: tuple[When | None, When | None],
    pile: _Pile,
    clock: Clock,
) -> None:
    """`dates`: the one wanted, and the one to take where it is missing or still to come."""
    known = [date for date in dates if date is not None]
    when = next((date for date in known if not clock.is_future(date)), None)
    if known and when is None:
        pile.future.add(name)
        return
    on = clock.span(when) if when is not None else None
    flags = (*fact.flags, *date_flags(when))
    pile.add(name, Statement(name, fact, True, on, on, flags))
