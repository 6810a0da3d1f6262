"""What goes in and out of `/v1`. Unknown members of a request are refused: nobody assigns by accident."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:|-]{1,128}$")]
Reference = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]{2,40}/[A-Za-z0-9.-]{1,128}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Note = Annotated[str, StringConstraints(max_length=10_000)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]


def _as_written(value: Any) -> Any:
    """pydantic takes a number for seconds since 1970; who writes 0.5 did not mean that instant."""
    if isinstance(value, str) and not _DATED.match(value):
        raise ValueError("write it as ISO 8601 does: 2026-01-31, or 2026-01-31T09:30:00Z")
    if not isinstance(value, str | dt.date):
        raise ValueError("write it as a string")
    return value


_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
Instant = Annotated[AwareDatetime, BeforeValidator(_as_written)]
Day = Annotated[dt.date, BeforeValidator(_as_written)]
Outcome = Literal["eligible", "not_eligible", "insufficient_data"]


class In(BaseModel):
    model_config = ConfigDict(extra="forbid", str_max_length=20_000)


class Out(BaseModel):
    pass


# --- what is found


class EvidenceOut(Out):
    """One input that was looked at: as the EMR wrote it (`raw`) and as it was read (`value`, `unit`)."""

    type: str
    id: str
    version: str | None = None
    path: str = ""
    raw: str = ""
    value: str = ""
    unit: str = ""
    date: str = ""


class DecisionOut(Out):
    """One rule's answer about one patient, with why."""

    patient: str
    rule: str
    rule_version: str
    code_set_version: str
    outcome: Outcome
    reasons: list[str]
    flags: list[str]
    evidence: list[EvidenceOut]
    as_of: dt.datetime
    stable_until: dt.datetime | None
    facts: dict[str, Any]


class Decisions(Out):
    items: list[DecisionOut]


class PatientItem(Out):
    """Somebody about whom something was decided: the rules by their outcome."""

    patient: str
    eligible: list[str]
    not_eligible: list[str]
    insufficient_data: list[str]


class PatientPage(Out):
    items: list[PatientItem]
    next: str | None = Field(description="cursor of the following page; null at the end")


class TaskOut(Out):
    id: int
    code: str
    rule: str
    text: str
    status: str
    due: dt.datetime | None
    urgency: int = Field(description="0 stat, 1 asap, 2 urgent, 3 routine")


class WorklistItem(Out):
    emr: str
    patient: str
    name: str
    birth_date: str
    status: Literal["candidate", "accepted", "active"]
    urgency: int
    due: dt.datetime | None
    tasks: list[TaskOut]
    rules: list[str]
    cannot_tell: list[str]
    care_manager: str
    snoozed_until: dt.date | None
    appointment: dt.datetime | None


class WorklistPage(Out):
    items: list[WorklistItem]
    next: str | None = Field(description="cursor of the following page; null at the end")


class GoalOut(Out):
    id: int
    text: str
    status: str
    target: list[dict[str, Any]]
    reference: str | None
    state: str


class PlanOut(Out):
    id: int
    status: str
    title: str
    reference: str | None
    state: str


class ContactOut(Out):
    id: int
    at: dt.datetime
    minutes: int
    medium: str
    service: str
    reached: bool
    who: str
    next_contact: dt.date | None
    recorded_by: str


class ConsentOut(Out):
    id: int
    decision: str
    form: str
    given_by: str
    text_version: str
    at: dt.datetime
    recorded_by: str


class EnrolmentOut(Out):
    id: int
    emr: str
    patient: str
    number: int
    status: Literal["accepted", "active", "closed"]
    care_manager: str
    opened_at: dt.datetime
    active_since: dt.datetime | None
    closed_at: dt.datetime | None
    closure: str | None
    consents: list[ConsentOut]


class PatientOut(Out):
    """Everything that the service knows and did about one patient."""

    emr: str
    patient: str
    enrolments: list[EnrolmentOut]
    plan: PlanOut | None
    goals: list[GoalOut]
    tasks: list[TaskOut]
    contacts: list[ContactOut]
    snoozed_until: dt.date | None


class ActOut(Out):
    """An act was done. `undo_until`: until then `DELETE .../acts/{id}` takes it back."""

    id: int
    kind: str
    undo_until: dt.datetime | None
    enrolment: int | None


# --- what is done


class AcceptIn(In):
    care_manager: Reference


class DeclineIn(In):
    reason: Text
    days: int = Field(ge=1, le=3650, description="how long to leave the patient alone")


class SnoozeIn(In):
    until: Day
    reason: Text


class ReferralIn(In):
    """Anybody may say: this patient needs care management."""

    reason: Text
    referrer: Reference | None = None
    about: Reference | None = Field(default=None, description="a Condition, Observation or ServiceRequest")
    priority: Literal["routine", "urgent", "asap", "stat"] = "routine"


class ConsentIn(In):
    decision: Literal["agree", "disagree"]
    form: Literal["verbal", "written"]
    given_by: Word = "patient"
    text_version: Word
    at: Instant


class GoalIn(In):
    """With `goal` a proposed Goal is taken up; without it one of the patient's own is made."""

    importance: int = Field(ge=1, le=10)
    confidence: int = Field(ge=1, le=10)
    goal: int | None = None
    text: Annotated[str, StringConstraints(max_length=500)] = ""
    measure: dict[Literal["system", "code", "display"], Word] | None = None
    value: Decimal | None = Field(default=None, max_digits=12, decimal_places=6)
    unit: Annotated[str, StringConstraints(max_length=40)] = ""
    comparator: Literal["", "<", "<=", ">=", ">"] = ""
    target_text: Annotated[str, StringConstraints(max_length=300)] = ""
    due: Day | None = None
    addresses: list[Reference] = Field(default=[], max_length=20)


class ContactIn(In):
    at: Instant
    minutes: int = Field(ge=0, le=480)
    medium: Literal["phone", "video", "office", "home", "portal", "sms"]
    service: Literal[
        "outreach", "post-discharge", "follow-up", "assessment", "education", "medication", "coordination"
    ]
    reached: bool
    who: Word = "patient"
    task: int | None = None
    task_done: bool = False
    checklist: dict[Word, Annotated[str, StringConstraints(max_length=500)]] = Field(
        default={}, max_length=40
    )
    note: Note = ""
    next_contact: Day | None = None


class CompletionIn(In):
    outcome: Literal["reached", "done", "attempted", "declined", "not-needed", "wrong-data"]


class OwnerIn(In):
    owner: Reference


class ClosureIn(In):
    reason: Literal["goals-met", "lost-to-follow-up", "declined", "moved", "died"]
    note: Note = ""
