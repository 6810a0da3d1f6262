"""What the page of one patient shows: everything read at once, in the order in which it is shown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa

from cm_service.api.pages import charts
from cm_service.api.pages.charts import Chart
from cm_service.api.pages.merged import mates_of
from cm_service.api.pages.written import Written, written
from cm_service.db import care, cases, ledger, sync
from cm_service.db.confidential import readable
from cm_service.fhir.instants import parse_instant
from cm_service.flow import record
from cm_service.flow.care import case as case_of
from cm_service.flow.care import words
from cm_service.flow.care.case import Case
from cm_service.flow.confidential import cleared_for_pages, without_labelled
from cm_service.flow.plans.board import Item
from cm_service.flow.plans.inputs import CHECKLIST, REGULATORY, inputs_of
from cm_service.rules.business_days import business_days_until
from cm_service.rules.decision import Decision, Evidence, Outcome
from cm_service.rules.facts import AnyFact, ConditionFact
from cm_service.rules.registry import BY_ID
from cm_service.rules.words import in_words

MOST_CONDITIONS = 30
_ACTIVE = frozenset({"active", "recurrence", "relapse"})
_DECISION = msgspec.json.Decoder(Decision)


class Why(NamedTuple):
    """One rule's answer in words."""

    title: str
    reasons: str
    evidence: list[str]
    flags: str


class Clock(NamedTuple):
    """`left` is in business days, below zero when the day has gone by."""

    id: int
    text: str
    detail: str
    day: dt.date | None
    left: int
    regulatory: bool
    urgent: bool
    code: str
    owner: str


class GoalSight(NamedTuple):
    id: int
    text: str
    status: str
    due: str
    chart: Chart | None


class Sight(NamedTuple):
    known: bool
    today: dt.date
    now: dt.datetime
    enrolment: Any | None
    consents: list[Any]
    found: list[Why]
    cannot_tell: list[Why]
    tasks: list[Clock]
    goals: list[GoalSight]
    contacts: list[Any]
    written: list[Written]
    undoable: Any | None
    conditions: list[tuple[str, str]]
    checklist: list[str]
    diabetes: dict[str, str]
    snoozed_until: dt.date | None
    merged_in: int
    open_elsewhere: list[Any]

    @property
    def clocks(self) -> list[Clock]:
        return [task for task in self.tasks if task.regulatory]


def sight(
    connection: sa.Connection, emr: Any, patient: str, *, base: str, user: str, now: dt.datetime
) -> Sight:
    zone, cleared = ZoneInfo(emr.timezone), cleared_for_pages(emr.settings)
    case = case_of.load(connection, emr, patient, base=base, cleared=cleared)
    decided = care.decisions_of(connection, emr.slug, [patient]).get(patient, {})
    decisions = [_DECISION.decode(each.line) for each in care.shown(decided, cleared)]
    stored = sync.load_facts(connection, emr.slug, [patient]).get(patient)
    facts = without_labelled(record.decode(stored) if stored else {}, cleared)
    rows = ledger.of_patients(connection, emr.slug, [patient]).get(patient, [])
    rows = [row for row in rows if readable(row.labels, cleared)]
    contacts = cases.contacts(connection, emr.slug, patient)
    mates = mates_of(connection, emr.slug, patient, cleared=cleared)
    readings = {key: fact for held in mates.facts for key, fact in held.items()}
    values = charts.a1c_values(readings | facts, zone)
    today = now.astimezone(zone).date()
    return Sight(
        known=bool(decisions or (not decided and (rows or case.enrolment))),
        today=today,
        now=now.astimezone(zone),
        enrolment=case.enrolment,
        consents=cases.consents(connection, case.enrolment.id) if case.enrolment else [],
        found=[_why(each, zone) for each in decisions if each.outcome is Outcome.ELIGIBLE],
        cannot_tell=[_why(each, zone) for each in decisions if each.outcome is Outcome.INSUFFICIENT_DATA],
        tasks=sorted(_tasks(case, today), key=lambda task: (task.day or dt.date.max, task.id)),
        goals=[_goal(item, values) for item in case.goals()],
        contacts=contacts,
        written=written(rows, now=now),
        undoable=_undoable(connection, emr.slug, patient, user=user, now=now),
        conditions=list(_conditions(facts)),
        checklist=[str(v) for task in case.tasks() for v in inputs_of(task.resource, CHECKLIST)],
        diabetes=_diabetes(decisions, case, values),
        snoozed_until=cases.snoozed_until(connection, emr.slug, patient),
        merged_in=len(mates.facts),
        open_elsewhere=mates.open_cases,
    )


def _why(decision: Decision, zone: dt.tzinfo) -> Why:
    rule = BY_ID.get(decision.rule)
    return Why(
        title=rule.title if rule else decision.rule,
        reasons=in_words(decision.reasons),
        evidence=[_evidence(each, zone) for each in decision.evidence],
        flags=in_words(decision.flags),
    )


def _evidence(each: Evidence, zone: dt.tzinfo) -> str:
    said = each.value or each.raw or "no value"
    told = f" {each.unit}" if each.unit and each.value else ""
    code = each.raw.rpartition("|")[2]
    as_written = f", in the chart as {code}" if code and code != each.value else ""
    return f"{each.type}: {said}{told}, {_day(each.date, zone)}{as_written}"


def _day(date: str, zone: dt.tzinfo) -> str:
    """An instant as the practice's clinical day; a date, or less of one, as it was written."""
    instant = parse_instant(date)
    return instant.astimezone(zone).date().isoformat() if instant else date or "without a date"


def _tasks(case: Case, today: dt.date) -> Iterator[Clock]:
    for item in case.tasks():
        assert item.known is not None
        resource = item.resource
        end = ((resource.get("restriction") or {}).get("period") or {}).get("end")
        day = case.day(dt.datetime.fromisoformat(end)) if end else None
        owner = resource.get("owner") or {}
        yield Clock(
            id=item.known.id,
            text=str((resource.get("code") or {}).get("text") or item.code.replace("-", " ")),
            detail=str(resource.get("description") or ""),
            day=day,
            left=business_days_until(today, day) if day else 0,
            regulatory=any(inputs_of(resource, REGULATORY)),
            urgent=resource.get("priority") in ("stat", "asap"),
            code=item.code,
            owner=str(owner.get("display") or owner.get("reference") or ""),
        )


def _goal(item: Item, values: list[charts.Point]) -> GoalSight:
    assert item.known is not None
    target = (item.resource.get("target") or [{}])[0]
    return GoalSight(
        id=item.known.id,
        text=str((item.resource.get("description") or {}).get("text") or "goal"),
        status=item.status,
        due=str(target.get("dueDate") or ""),
        chart=charts.of_goal(item.resource, values),
    )


def _undoable(connection: sa.Connection, emr: str, patient: str, *, user: str, now: dt.datetime) -> Any:
    """The newest act, if it was this user's and its minutes are not over."""
    newest = next((act for act in cases.acts(connection, emr, patient) if act.undone_at is None), None)
    if newest is None or newest.by != user or newest.undo_until is None:
        return None
    return newest if newest.undo_until > now else None


def _conditions(facts: dict[str, AnyFact]) -> Iterator[tuple[str, str]]:
    """(reference, words) of what is active in the chart, for "relevant to"."""
    active = (f for f in facts.values() if isinstance(f, ConditionFact) and f.clinical in _ACTIVE)
    for fact in sorted(active, key=lambda fact: fact.id)[:MOST_CONDITIONS]:
        coding = fact.code.codings[0] if fact.code.codings else None
        said = fact.code.text or (coding and (coding.display or coding.code)) or fact.id
        yield f"Condition/{fact.id}", said


def _diabetes(decisions: list[Decision], case: Case, values: list[charts.Point]) -> dict[str, str]:
    """The guide's diabetes points that the chart answers by itself; {} for whoever has no diabetes."""
    if not any(each.value == "diabetes" for decision in decisions for each in decision.evidence):
        return {}
    last = values[-1] if values else None
    agreed = [goal.resource.get("description") or {} for goal in case.goals() if goal.code == "4548-4"]
    groups = {str(g) for decision in decisions for g in decision.facts.get("groups") or ()}
    return {
        "Last A1C": f"{last.value} % on {last.day.isoformat()}" if last else "not on record",
        "A1C goal": "; ".join(str(each.get("text")) for each in agreed) or "not agreed",
        "Conditions": ", ".join(sorted(groups | {"diabetes"})),
    }


MEDIA = {name: medium.words for name, medium in words.MEDIA.items()}
