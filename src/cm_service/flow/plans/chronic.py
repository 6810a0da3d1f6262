"""Two or more chronic conditions: an offer of care management, and a draft plan (rules.md 3.7)."""

from __future__ import annotations

from collections.abc import Iterator

from cm_service.flow.plans import inputs
from cm_service.flow.plans.careplans import OFFER, is_enrolled
from cm_service.flow.plans.context import Night
from cm_service.flow.plans.due import Due
from cm_service.flow.plans.needs import FOCUS_PLAN, JOIN, Memory, TaskNeed
from cm_service.rules.dates import instant_of
from cm_service.rules.decision import Decision
from cm_service.rules.facts import ConditionFact


def needs(night: Night) -> Iterator[TaskNeed]:
    if decision := night.eligible("CHR-MULTI"):
        yield _offer(night, decision)


def _offer(night: Night, decision: Decision) -> TaskNeed:
    groups = sorted(str(group) for group in decision.facts["groups"])
    counted = _counted(decision)
    newest, cooloff = _newest(night, counted), night.view.parameters.gx_decline_cooloff_days
    shown = ", ".join(group.replace("_", " ") for group in groups)
    return TaskNeed(
        rule=decision.rule,
        code=OFFER,
        text=f"{len(groups)} chronic conditions ({shown})",
        ask="offer care management by",
        priority="routine",
        due=Due(days=14),
        memory=Memory(cooloff, cooloff, of_rule=True),
        source=newest,
        focus=FOCUS_PLAN,
        inputs=(
            (inputs.GROUPS, "valueString", ", ".join(groups)),
            *(inputs.evidence(f"{ref}: {', '.join(of)}", night.zone) for ref, of in sorted(counted.items())),
        ),
        flags=tuple(decision.flags),
        plan=JOIN,
        blocked=is_enrolled(night),
        addresses=tuple(sorted(counted)),
    )


def _counted(decision: Decision) -> dict[str, list[str]]:
    """`Condition/id` -> the counting groups that it stands for."""
    found: dict[str, list[str]] = {}
    for group, ids in sorted(decision.facts["conditions"].items()):
        for name in ids:
            found.setdefault(f"Condition/{name}", []).append(str(group))
    return found


def _newest(night: Night, counted: dict[str, list[str]]) -> str:
    """The counted Condition that was recorded last; of one day the last id, so that order is no matter."""

    def rank(fact: ConditionFact) -> tuple[float, str]:
        when = fact.recorded or fact.onset
        return (instant_of(when, night.zone).timestamp() if when else float("-inf")), fact.id

    facts = [fact for fact in night.view.of(ConditionFact) if f"Condition/{fact.id}" in counted]
    return f"Condition/{max(facts, key=rank).id}" if facts else max(counted, default="")
