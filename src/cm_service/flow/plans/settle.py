"""One need against what is there: rewrite the open Task, make the next one, or leave it be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from itertools import count
from typing import Any

from cm_service.flow.intents import LINK
from cm_service.flow.plans import careplans, goals, tasks
from cm_service.flow.plans.board import Item
from cm_service.flow.plans.context import Night
from cm_service.flow.plans.identity import read_key, task_key
from cm_service.flow.plans.needs import FAMILIES, FOCUS_GOAL, FOCUS_PLAN, TaskNeed
from cm_service.flow.plans.references import refer
from cm_service.flow.plans.withdraw import cancel


def settle(night: Night, needs: Iterable[TaskNeed]) -> None:
    """In the order of the list, which is the order in which the needs of one family go first."""
    served: set[str] = set()
    for need in needs:
        if need.kin in served:
            continue
        key = _next_key(night, need)
        rivals = [
            t for t in night.board.own("Task") if t.is_open and FAMILIES.get(t.code, t.code) == need.kin
        ]
        own = next((task for task in rivals if _is_about(task, need)), None)
        if own is not None:
            _rewrite(night, own, need)
        elif _is_held_back(night, need) or any(task.code == need.yields_to for task in rivals):
            _refresh_goal(night, need)
            continue
        else:
            for task in rivals:
                cancel(task, "superseded")
            _make(night, need, key)
        served.add(need.kin)


def _next_key(night: Night, need: TaskNeed) -> str:
    """The first sequence that was never minted; looking for it recognises what was adopted."""
    for sequence in count(1):
        key = task_key(
            night.patient_id, rule=need.rule, subject=need.subject, code=need.code, sequence=sequence
        )
        if night.board.find("Task", key) is None:
            return key
    raise AssertionError("count() never ends")


def _is_about(task: Item, need: TaskNeed) -> bool:
    return (task.rule, task.code, task.subject) == (need.rule, need.code, need.subject)


def _rewrite(night: Night, task: Item, need: TaskNeed) -> None:
    task.resource = tasks.rewritten(night, task, need)
    task.urgency = need.urgency
    _refresh_goal(night, need)


def _refresh_goal(night: Night, need: TaskNeed) -> None:
    goal = goals.of_need(night, need, careplans.longitudinal(night))
    if goal is not None and need.goal is not None:
        goals.refresh(goal, need.goal)


def _make(night: Night, need: TaskNeed, key: str) -> None:
    plan = careplans.for_new_task(night, need)
    goal = goals.open_one(night, need, plan)
    identity = read_key(key)
    resource = tasks.made(night, need, key=key, plan=plan, focus=_focus(night, need, plan, goal))
    night.board.add(
        Item(
            kind="Task",
            business_key=key,
            rule=identity.rule,
            code=identity.code,
            subject=identity.subject,
            resource=resource,
            urgency=need.urgency,
        )
    )


def _focus(night: Night, need: TaskNeed, plan: Item | None, goal: Item | None) -> dict[str, Any] | None:
    """What the Task is about; where that was ended or deleted by a person, its deciding input."""
    if need.focus == FOCUS_GOAL and goal is not None:
        return goal.link
    if need.focus == FOCUS_PLAN and plan is not None:
        return plan.link
    if need.focus.startswith(LINK):
        return {"reference": need.focus}
    return refer(night, need.source) if need.source else None


def _is_held_back(night: Night, need: TaskNeed) -> bool:
    """Does the record, or what a person did with such a Task before, speak against a new one?"""
    return need.blocked or any(_speaks_against(night, need, task) for task in _ended(night, need))


def _ended(night: Night, need: TaskNeed) -> list[Item]:
    """Tasks like this one that a person ended, here or under a Patient merged into this one."""
    codes = need.memory.codes | {need.code}
    return [i for i in night.board.items if i.kind == "Task" and i.code in codes and i.closed_by_person]


def _speaks_against(night: Night, need: TaskNeed, task: Item) -> bool:
    memory, same_input = need.memory, bool(need.source) and task.source == need.source
    same_rule = task.rule == need.rule
    about = same_input or (same_rule and bool(need.subject) and task.subject == need.subject)
    if about and _was_before(night, need, task):
        return False
    if task.deleted and about:
        return True  # what somebody deleted is never made anew
    if about or (memory.of_rule and same_rule):
        done = task.status in ("completed", "failed") and not task.deleted
        return _is_fresh(night, task, memory.done if done else memory.refused)
    return False


def _was_before(night: Night, need: TaskNeed, task: Item) -> bool:
    """Was it ended before what this need is about happened? A call before the patient went home
    (the stay went on after all) is no call after it."""
    return need.since is not None and _ended_on(night, task) < need.since


def _is_fresh(night: Night, task: Item, days: int | None) -> bool:
    return days is None or (night.today - _ended_on(night, task)).days < days


def _ended_on(night: Night, task: Item) -> dt.date:
    """The local day on which a person ended it; when that is not known, the day of its creation."""
    ended = None if task.deleted else task.closed_on(night.zone)
    return ended or tasks.created_at(task).astimezone(night.zone).date()
