"""Would tonight's record have made a finding on the day on which its Task was made?

What has merely grown old stood on that day, and time alone ends nothing (rules.md 0.9). What did not
stand then, as the record tells it now, rests on something that was corrected since.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from cm_service.flow.plans.board import Item
from cm_service.flow.plans.context import Night
from cm_service.flow.plans.tasks import created_at
from cm_service.rules.clock import Clock
from cm_service.rules.decision import Decision, Finding, Outcome
from cm_service.rules.registry import BY_ID

_LONGEST = dt.timedelta(days=36_525)
_NO_RESULT, RETURN = "no_recent_result", "ed-return"


class Answer(NamedTuple):
    outcome: Outcome
    reasons: tuple[str, ...]


def answer_of(rule: str, found: Decision | Finding, subject: str) -> Answer | None:
    """What the rule says of this subject; None if it does not speak of it any more."""
    episodes = found.facts.get("episodes")
    if not subject or (episodes is None and "stay_key" not in found.facts and not _is_episodic(rule)):
        return Answer(found.outcome, tuple(found.reasons))
    mine = [each for each in episodes or () if each.get("subject") == subject]
    for outcome in (Outcome.ELIGIBLE, Outcome.INSUFFICIENT_DATA, Outcome.NOT_ELIGIBLE):
        for each in reversed(mine):
            if each.get("outcome") == outcome:
                return Answer(outcome, tuple(each.get("reasons", ())))
    return None


def stood(night: Night, rule: str, subject: str, task: Item) -> bool:
    """A result that had already been too old counts as none. Gates are not asked: who was in hospice
    then, or said no since, is not what the finding rests on. Where something could not be read nobody knows
    what the record says, and where a person wrote another date nobody knows when the Task was made."""
    asked, made = BY_ID[rule], created_at(task)
    if asked.inputs & night.view.incomplete or not night.as_of - _LONGEST < made <= night.as_of:
        return True
    found = asked.evaluate(night.view.afresh(), Clock(made, night.zone))
    then = answer_of(rule, found, subject)
    if then is None or _NO_RESULT in then.reasons:
        return False
    return then.outcome is not Outcome.NOT_ELIGIBLE or (task.code == RETURN and is_return(then))


def is_return(answer: Answer) -> bool:
    """Back from an emergency visit while a transition runs: no follow-up of its own, but a Task."""
    return answer.reasons == ("ed_return",)


def _is_episodic(rule: str) -> bool:
    return rule.startswith("DIS-") or rule == "ED-FU"
