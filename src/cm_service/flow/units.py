"""What of one patient goes to the EMR together: a plan with its goals, or one thing alone.

On the native rung a goal is a resource of its own and goes before its plan. On every other rung it
travels inside the plan's text, and its placement points at the same reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from cm_service.fhir import rawjson
from cm_service.flow import ours
from cm_service.flow.ladder import Meaning, Rung, meaning_of
from cm_service.flow.plans.identity import LONGITUDINAL

_LAST = {"Task": 2, "Consent": 3, "Encounter": 4, "Communication": 5}
_BUSY = frozenset({"refused", "unknown", "sending", "conflict"})


class Unit(NamedTuple):
    """Whole rows of the ledger. `carrier` is what is sent on a limited rung."""

    carrier: Any
    goals: list[Any]

    @property
    def rows(self) -> list[Any]:
        """In the order in which they are sent natively: links go from the plan to its goals."""
        return [*self.goals, self.carrier]

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted({row.kind for row in self.rows}))

    @property
    def meaning(self) -> Meaning:
        return meaning_of(self.carrier.kind, self.carrier.rule)

    @property
    def is_pending(self) -> bool:
        return any(row.state == "pending" and not row.deleted for row in self.rows)

    @property
    def is_blocked(self) -> bool:
        """Its fate is a person's or the next look's matter: nothing else of it may move."""
        carrier = self.carrier
        return (
            carrier.deleted or carrier.state in _BUSY or (carrier.state == "parked" and not is_here(carrier))
        )

    @property
    def stands(self) -> bool:
        return self.carrier.reference is not None and not self.carrier.deleted

    @property
    def riders(self) -> list[Any]:
        """Goals that have no place of their own in the EMR."""
        return [goal for goal in self.goals if not stands_natively(goal) and not goal.deleted]


def is_here(row: Any) -> bool:
    """In our own store only, where the page shows it."""
    return bool(row.rung == Rung.OWN and row.state == "parked")


def stands_natively(row: Any) -> bool:
    return bool(row.rung == Rung.NATIVE and (row.reference is not None or row.state in _BUSY))


def units(rows: Iterable[Any]) -> list[Unit]:
    """Of one patient, in the order in which they go, since links go that way: goals of no plan, the
    enrolment's plan, its transitions, Tasks, then what people did."""
    ordered = sorted(rows, key=lambda row: row.id)
    plans = sorted((r for r in ordered if r.kind == "CarePlan"), key=lambda row: row.code != LONGITUDINAL)
    inside: set[int] = set()
    found: list[Unit] = []
    for plan in plans:
        linked = ours.links(rawjson.loads(plan.wanted.encode()).get("goal"))
        goals = [r for r in ordered if r.kind == "Goal" and r.value in linked and r.id not in inside]
        inside.update(goal.id for goal in goals)
        found.append(Unit(plan, goals))
    loose = [Unit(row, []) for row in ordered if row.kind == "Goal" and row.id not in inside]
    others = sorted((row for row in ordered if row.kind in _LAST), key=lambda row: _LAST[row.kind])
    return [*loose, *found, *(Unit(row, []) for row in others)]
