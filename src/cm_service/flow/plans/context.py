"""What planning is told about the EMR, and everything that one patient's planning can see."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from cm_service.flow.plans.board import Board
from cm_service.rules.decision import Decision, Outcome
from cm_service.rules.view import PatientView

LEFT = ("GX-01", "GX-02")  # dead, inactive, merged, or in hospice: nothing of ours may stay open
GATES = (*LEFT, "GX-03", "GX-04")


class PlanContext(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one EMR. `practice` and `owner` are `Type/id`, or `system|value` where the EMR has
    no such resource; `readable` says whether a `Type/id` was read from this EMR, so that a
    reference to it can be held there. `away_since`: the night since which no roster names this patient."""

    identifier_base: str
    readable: Callable[[str], bool]
    write_mode: str = "propose"  # propose | auto; a dry run is the caller's matter
    practice: str = ""
    owner: str = ""
    dq_tasks: bool = False
    away_since: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One patient, one moment. `as_of` is used for what is new and for memory, never for content
    of something that exists already."""

    emr: PlanContext
    patient_id: str
    decisions: Mapping[str, Decision]
    view: PatientView
    board: Board
    as_of: dt.datetime
    zone: dt.tzinfo

    @property
    def today(self) -> dt.date:
        return self.as_of.astimezone(self.zone).date()

    @property
    def merged(self) -> bool:
        """Is this the Patient that another one replaced?"""
        return any("merged_into_survivor" in decision.reasons for decision in self.decisions.values())

    @property
    def left(self) -> str:
        """The gate that ends everything for this patient, "" if none."""
        stops = (gate_of(decision) for decision in self.decisions.values())
        return next((gate for gate in LEFT if gate in set(stops)), "")

    def eligible(self, rule: str) -> Decision | None:
        decision = self.decisions.get(rule)
        return decision if decision is not None and decision.outcome is Outcome.ELIGIBLE else None


def gate_of(decision: Decision) -> str:
    """The gate that stopped this rule, "" if none."""
    if decision.outcome is not Outcome.NOT_ELIGIBLE:
        return ""
    return next((gate for gate in GATES if gate in decision.reasons), "")
