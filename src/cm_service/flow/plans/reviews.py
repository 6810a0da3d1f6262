"""A Goal that a person accepted is not cancelled when its ground proves wrong: a person decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cm_service.flow.plans import words
from cm_service.flow.plans.due import Due
from cm_service.flow.plans.inputs import CAUSE
from cm_service.flow.plans.needs import ONCE, TaskNeed
from cm_service.flow.plans.withdraw import Review


def needs(reviews: Iterable[Review]) -> Iterator[TaskNeed]:
    """At most one is open for a patient; the next Goal comes when it is done."""
    for review in reviews:
        goal = review.goal
        text = str((goal.resource.get("description") or {}).get("text", "Goal"))
        yield TaskNeed(
            rule=goal.rule,
            code="goal-review",
            text=f'Goal "{text}": {words.why(review.reason)}',
            ask="keep, change or end the goal by",
            priority="routine",
            due=Due(days=14),
            memory=ONCE,
            subject=goal.value,
            focus=goal.link["reference"],
            inputs=((CAUSE, "valueString", review.reason),),
        )
