"""What a decision asks for, before anybody has looked at what is there already."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, NamedTuple

from cm_service.flow.plans.due import Due

URGENCY = {"stat": 0, "asap": 1, "urgent": 2, "routine": 3}
# Which CarePlan a Task belongs to: the longitudinal one (opened if there is none; only if it is there;
# only if a person made it active), or the one of its episode.
JOIN, IF_OPEN, IF_ENROLLED, EPISODE = "join", "if open", "if enrolled", "episode"
FOCUS_GOAL, FOCUS_PLAN = "goal", "plan"

# Task codes that are one matter: only one Task of a family may be open for a patient.
FAMILIES = {"a1c-outreach": "a1c", "a1c-test-due": "a1c", "ed-followup": "ed", "ed-return": "ed"}


class Memory(NamedTuple):
    """How long what a person did with such a Task speaks against a new one, in days: `done` if it was
    completed, `refused` if it was rejected or cancelled; None: for ever, 0: not at all. It speaks
    about the same input or episode, or with `of_rule` about whatever the rule finds. `codes` are
    Task codes that count beside the Task's own."""

    done: int | None
    refused: int | None
    of_rule: bool = False
    codes: frozenset[str] = frozenset()


ONCE = Memory(None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalNeed:
    """`coding` and `quantity` make the target measurable; `due` is fixed, or `days` after creation."""

    measure: str
    text: str
    categories: tuple[str, ...]
    subject: str = ""
    coding: dict[str, str] | None = None
    quantity: dict[str, Any] | None = None
    due: dt.date | None = None
    days: int = 0
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A transition of care: its plan runs from the discharge through `end`."""

    subject: str
    start: dt.date | None
    end: dt.date | None
    title: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskNeed:
    """A Task that a decision asks for. `text` and `ask` make the description ("... : call by DAY");
    `source` is the deciding input; `inputs` are (code, value[x] name, value)."""

    rule: str
    code: str
    text: str
    ask: str
    priority: str
    due: Due
    memory: Memory
    subject: str = ""
    source: str = ""
    focus: str = ""
    encounter: str = ""
    inputs: tuple[tuple[str, str, Any], ...] = ()
    flags: tuple[str, ...] = ()
    performer: str = "care manager"
    to_provider: bool = False
    plan: str = ""
    group: str = ""  # stay key whose Tasks belong together
    since: dt.date | None = None  # what a person did before this day was not about this
    yields_to: str = ""  # code of a Task that, while open, makes this one needless
    blocked: bool = False  # something else in the record speaks against a new Task
    goal: GoalNeed | None = None
    episode: Episode | None = None
    addresses: tuple[str, ...] = ()
    supporting: tuple[str, ...] = ()

    @property
    def kin(self) -> str:
        return FAMILIES.get(self.code, self.code)

    @property
    def urgency(self) -> int:
        return URGENCY.get(self.priority, 3)
