"""A patient whom two rosters in a row do not name any more: a person finds out, nothing is closed for it."""

from __future__ import annotations

from collections.abc import Iterator

from cm_service.flow.plans.board import Item
from cm_service.flow.plans.context import Night
from cm_service.flow.plans.due import Due
from cm_service.flow.plans.needs import ONCE, TaskNeed

RULE, CODE = "ROSTER", "panel-review"
_DAYS = 14


def needs(night: Night) -> Iterator[TaskNeed]:
    """Once for each time that the patient went."""
    if night.emr.away_since is None or night.left or night.merged:
        return
    day = night.emr.away_since.astimezone(night.zone).date().isoformat()
    yield TaskNeed(
        rule=RULE,
        code=CODE,
        text=f"Not on the practice's list of patients since {day}",
        ask="still our patient? Find out by",
        priority="routine",
        due=Due(days=_DAYS),
        memory=ONCE,
        subject=day,
        performer="registry staff",
    )


def is_settled(night: Night, item: Item) -> bool:
    """Is the patient on the list again, or has died or gone for good?"""
    return item.code == CODE and (night.emr.away_since is None or bool(night.left))
