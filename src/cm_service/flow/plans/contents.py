"""What a CarePlan holds: Conditions, inputs, Goals, people, and a text for people.

Lists keep the order that they have, new entries come at the end in the order of their references,
so that the same world always makes the same plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from cm_service.flow.plans import careplans
from cm_service.flow.plans.board import Item
from cm_service.flow.plans.careplans import is_goal_of
from cm_service.flow.plans.compare import place, places_of
from cm_service.flow.plans.context import Night
from cm_service.flow.plans.identity import LONGITUDINAL, TRANSITION
from cm_service.flow.plans.needs import JOIN, TaskNeed
from cm_service.flow.plans.references import care_teams, contributors, held
from cm_service.flow.plans.sources import lost

_XHTML = "http://www.w3.org/1999/xhtml"


def refresh(night: Night, needs: Iterable[TaskNeed]) -> None:
    """Open plans say what the decisions say now, and link to their open Goals."""
    asked = list(needs)
    for plan in night.board.own("CarePlan"):
        if plan.is_open:
            _fill(night, plan, [need for need in asked if _belongs(need, plan)])
        plan.resource["text"] = _narrative(night, plan)


def _fill(night: Night, plan: Item, needs: list[TaskNeed]) -> None:
    episode = next((need.episode for need in needs if need.episode), None)
    wanted = {
        **(careplans.of_episode(episode) if episode else {}),
        "partOf": plan.resource.get("partOf") or _part_of(night, plan),
        "addresses": _addresses(night, plan, needs),
        "supportingInfo": _supporting(night, plan, needs),
        "goal": _goals(night, plan),
        "careTeam": care_teams(night) or held(night, _references(plan.resource.get("careTeam"))),
        "contributor": contributors(night) or plan.resource.get("contributor"),
    }
    plan.resource = {name: value for name, value in (plan.resource | wanted).items() if value}


def _belongs(need: TaskNeed, plan: Item) -> bool:
    if plan.code == LONGITUDINAL:
        return need.plan == JOIN
    return need.episode is not None and need.episode.subject == plan.subject


def _part_of(night: Night, plan: Item) -> list[dict[str, Any]]:
    """A transition is part of the enrolment's plan, whichever of the two was opened first."""
    whole = careplans.longitudinal(night) if plan.code == TRANSITION else None
    return [whole.link] if whole else []


def _addresses(night: Night, plan: Item, needs: Iterable[TaskNeed]) -> list[dict[str, Any]]:
    """Conditions already there that still stand, then new ones in the order of their ids."""
    kept = [each for each in plan.resource.get("addresses") or () if not _is_lost(night, each)]
    found = {reference for need in needs for reference in (*need.addresses, *_of_episode(need))}
    return _joined(kept, held(night, sorted(found)))


def _of_episode(need: TaskNeed) -> tuple[str, ...]:
    return need.episode.addresses if need.episode else ()


def _supporting(night: Night, plan: Item, needs: Iterable[TaskNeed]) -> list[dict[str, Any]]:
    """The inputs used: a newer one takes the place of the older one of its type."""
    found = held(night, sorted({reference for need in needs for reference in need.supporting}))
    fresh = {_type(each) for each in found}
    kept = [each for each in plan.resource.get("supportingInfo") or () if _type(each) not in fresh]
    return _joined([each for each in kept if not _is_lost(night, each)], found)


def _goals(night: Night, plan: Item) -> list[dict[str, Any]]:
    """Goals that the plan has (a deleted one would leave a dangling reference), and its new ones."""
    places = places_of(night.board)
    goals = [goal for goal in night.board.own("Goal") if is_goal_of(goal, plan)]
    deleted = {place(goal.link["reference"], places) for goal in goals if goal.deleted}
    kept = [
        e for e in plan.resource.get("goal") or () if place(e.get("reference", ""), places) not in deleted
    ]
    there = {place(each.get("reference", ""), places) for each in kept}
    new = [g.link for g in goals if g.is_open and place(g.link["reference"], places) not in there]
    return [*kept, *sorted(new, key=lambda each: each["reference"])]


def _joined(kept: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    there = {each.get("reference") for each in kept}
    return [*kept, *(each for each in new if each["reference"] not in there)]


def _references(listed: Any) -> list[str]:
    return [each["reference"] for each in listed or () if "reference" in each]


def _type(reference: dict[str, Any]) -> str:
    return str(reference.get("reference", "")).partition("/")[0]


def _is_lost(night: Night, reference: dict[str, Any]) -> bool:
    return bool(lost(night, str(reference.get("reference", ""))))


def _narrative(night: Night, plan: Item) -> dict[str, str]:
    """US Core before 6 wants a text; it tells what the plan holds, for people."""
    title = escape(str(plan.resource.get("title", "")))
    goals = [_text(goal) for goal in careplans.goals_of(night, plan) if goal.is_open]
    lines = "".join(f"<li>{escape(text)}</li>" for text in goals)
    listed = f"<p>Goals</p><ul>{lines}</ul>" if lines else ""
    status = "proposed" if plan.status == "draft" else plan.status
    return {"status": "generated", "div": f'<div xmlns="{_XHTML}"><p>{title} ({status})</p>{listed}</div>'}


def _text(goal: Item) -> str:
    """A person may have put a code there in place of a text."""
    return str((goal.resource.get("description") or {}).get("text", "Goal"))
