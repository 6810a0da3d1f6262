"""Withdrawals (rules.md 0.9): what no longer holds is taken back, what a person accepted is not.

Three ways in which a finding ends, and one in which it does not: the patient left (a gate), the
world moved on (a new result, a readmission, a visit), the ground was wrong (an input that is a
mistake, has gone or was corrected) - and time alone, which ends nothing that is still to be done.
"""

from __future__ import annotations

from dataclasses import dataclass

from cm_service.flow.plans import careplans, data_quality, departures, goals, words
from cm_service.flow.plans.board import REASON_SYSTEM, Item
from cm_service.flow.plans.context import LEFT, Night
from cm_service.flow.plans.identity import LONGITUDINAL
from cm_service.flow.plans.verdicts import REVIEWS, Verdict, judge


@dataclass(frozen=True, slots=True)
class Review:
    """A Goal that a person accepted and whose ground was wrong: a person decides what becomes of it."""

    goal: Item
    reason: str


def withdraw(night: Night) -> list[Review]:
    """Close what belongs to findings that no longer hold; what is left for a person to decide."""
    reviews: list[Review] = []
    for (rule, subject), items in _findings(night).items():
        verdict = judge(night, rule, subject, items)
        if verdict.reason:
            for item in items:
                reviews.extend(_close(night, item, verdict))
    for item in night.board.own("Task"):
        if item.is_open and item.code in data_quality.CODES and data_quality.is_settled(night, item):
            cancel(item, "resolved")
        elif item.is_open and departures.is_settled(night, item):
            cancel(item, night.left or "on_roster")
    for item in night.board.items:
        if night.board.is_foreign(item) and not night.merged:
            _close(night, item, Verdict("merged", stops=True))
    return reviews


def _findings(night: Night) -> dict[tuple[str, str], list[Item]]:
    """Items by rule and subject."""
    found: dict[tuple[str, str], list[Item]] = {}
    for item in night.board.items:
        if item.rule and not night.board.is_foreign(item):
            found.setdefault((item.rule, item.subject), []).append(item)
    return found


def _close(night: Night, item: Item, verdict: Verdict) -> list[Review]:
    if not item.is_open:
        return []
    if item.kind == "Task" and (verdict.stops or item.code not in REVIEWS):
        cancel(item, verdict.reason)
    elif item.kind == "Goal" and night.board.is_proposal(item):
        goals.withdraw(item, words.why(verdict.reason))
    elif item.kind == "CarePlan" and night.board.is_proposal(item):
        careplans.revoke(item, words.why(verdict.reason))
    elif item.kind == "Goal" and verdict.is_mistake:
        return [Review(item, verdict.reason)]
    return []


def cancel(task: Item, reason: str) -> None:
    """Whatever a person made of its status among the open ones: nobody is to do it any more."""
    base = str(task.resource["identifier"][0]["system"]).rpartition("/id/")[0]
    coding = [{"system": f"{base}{REASON_SYSTEM}", "code": reason}]
    task.resource = {
        **task.resource,
        "status": "cancelled",
        "statusReason": {"coding": coding, "text": words.why(reason)},
    }
    task.closing = True


def revoke_empty_plans(night: Night) -> None:
    """A draft longitudinal plan whose every Task and Goal was withdrawn has nothing left to propose."""
    for plan in night.board.own("CarePlan", code=LONGITUDINAL):
        if night.board.is_proposal(plan) and (night.left in LEFT or _is_empty(night, plan)):
            careplans.revoke(plan, words.why(night.left) if night.left else "nothing is left to be done")


def _is_empty(night: Night, plan: Item) -> bool:
    held = [*careplans.tasks_of(night, plan), *careplans.goals_of(night, plan)]
    return bool(held) and all(item.closed_by_us for item in held)
