"""ED-FU: follow up an emergency visit that did not become a stay (rules.md 2.8)."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from cm_service.rules import follow_up_conditions, stays
from cm_service.rules.business_days import business_days_after, end_of_day
from cm_service.rules.clock import Clock, Span
from cm_service.rules.dates import When, day_start
from cm_service.rules.decision import Evidence, Finding, Outcome, Rule
from cm_service.rules.encounters import class_word, is_finished
from cm_service.rules.facts import EncounterFact
from cm_service.rules.programs.dis_tcm import COMMUNITY, PERIOD_DAYS
from cm_service.rules.programs.episodes import (
    LOOK_BACK_DAYS,
    Episode,
    common_flags,
    conclude,
    day_after,
    of_disposition,
    of_end,
    of_start,
    of_status,
)
from cm_service.rules.stay_groups import State, Stay
from cm_service.rules.stays import History
from cm_service.rules.value_sets import in_set
from cm_service.rules.view import PatientView

_CONTACT_DAYS = 2
_URGENT_FROM = 2  # follow-up conditions
_FOLLOW_UP = frozenset({"AMB", "VR", "HH"})
_TRANSFER = frozenset({"transfer", "transfer_snf"})
_GATED = frozenset({"hospice", "expired"})
_ONE_DAY = dt.timedelta(days=1)


class Answer(NamedTuple):
    outcome: Outcome
    reason: str = ""
    flags: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def evaluate(view: PatientView, clock: Clock) -> Finding:
    history, days = view.derive(stays.build, clock), view.parameters.ed_followup_days
    visits = sorted((*history.visits, *history.lone), key=lambda visit: visit.members[0].first)
    seen = [visit for visit in visits if not clock.reached(day_after(_last_day(visit), days + 1))]
    shown = seen or [visit for visit in visits[-1:] if visit.state is State.CLOSED]
    episodes = [_episode(visit, history, view, clock) for visit in shown]
    absorbed = [] if seen else _absorbed(history, days, clock)
    flags = common_flags(history, LOOK_BACK_DAYS, clock)
    flags += [flag for visit in seen for flag in visit.flags]
    finding = conclude(absorbed or episodes, flags)
    if not seen and _is_in_hospital(history):
        finding.reasons = [*(word for word in finding.reasons if word == "became_stay"), "stay_open"]
    return finding


def _is_in_hospital(history: History) -> bool:
    return any(stay.state is State.OPEN for stay in history.stays)


def _last_day(visit: Stay) -> dt.date:
    """From which day the window counts: the end, or the start where no end can be believed."""
    if visit.end is not None and visit.state in (State.CLOSED, State.PARTIAL):
        return visit.end.high
    return visit.start.high


def _absorbed(history: History, days: int, clock: Clock) -> list[Episode]:
    """Emergency encounters of the window that flowed into a stay: nothing of their own to follow."""
    return [
        Episode(
            subject=member.key,
            encounter=member.encounter.id,
            outcome=Outcome.NOT_ELIGIBLE,
            reasons=("became_stay",),
            facts={"visit_date": str(member.start.low)},
            evidence=(of_start(member),),
        )
        for member in sorted(history.absorbed, key=lambda member: (member.first, member.encounter.id))
        if not clock.reached(day_after(member.start.high, days + 1))
    ]


def _episode(visit: Stay, history: History, view: PatientView, clock: Clock) -> Episode:
    answer = _judge(visit, history, view, clock)
    eligible = answer.outcome is Outcome.ELIGIBLE
    conditions = follow_up_conditions.before(visit.start, view, clock) if eligible else {}
    many = len(conditions) >= _URGENT_FROM
    urgent = many or "left_against_advice" in answer.flags
    flags = (*answer.flags, "multiple_chronic_conditions") if many else answer.flags
    last = visit.last
    return Episode(
        subject=visit.key,
        encounter=last.encounter.id,
        outcome=answer.outcome,
        reasons=(answer.reason,) if answer.reason else (),
        flags=flags,
        facts=_facts(visit, view.parameters.ed_followup_days, clock.zone)
        | ({"priority": "urgent" if urgent else "routine"} if eligible else {}),
        evidence=(
            *(of_status(last), of_start(visit.members[0]), of_end(last), of_disposition(last)),
            *answer.evidence,
            *(conditions[group] for group in sorted(conditions)),
        ),
    )


def _facts(visit: Stay, days: int, zone: dt.tzinfo) -> dict[str, Any]:
    """The due dates count from the end, the visit on the local date of its start."""
    facts = {"visit_date": str(visit.start.low)}
    if visit.day is not None:
        facts["contact_due"] = end_of_day(business_days_after(visit.day, _CONTACT_DAYS), zone)
        facts["visit_due"] = str(day_after(visit.day, days))
    return facts


def _judge(visit: Stay, history: History, view: PatientView, clock: Clock) -> Answer:
    if clock.reached(day_after(_last_day(visit), view.parameters.ed_followup_days + 1)):
        return Answer(Outcome.NOT_ELIGIBLE, "period_over")
    if visit.state is State.OPEN or _is_in_hospital(history):
        return Answer(Outcome.NOT_ELIGIBLE, "stay_open")
    if visit.state is State.STALE:
        return Answer(Outcome.INSUFFICIENT_DATA, "status_stale", ("status_stale",))
    if visit.day is None or visit.end is None:
        return Answer(Outcome.INSUFFICIENT_DATA, "discharge_date_missing")
    if not _is_settled(visit.end, clock):
        return Answer(Outcome.NOT_ELIGIBLE, "ed_too_recent")
    if _in_tcm_episode(visit, history):
        return Answer(Outcome.NOT_ELIGIBLE, "ed_return")
    contact = _contact(visit.end, view, clock)
    if contact is not None:
        return Answer(Outcome.NOT_ELIGIBLE, "followed_up", evidence=(contact,))
    return _by_disposition(visit, visit.day, history, clock)


def _is_settled(end: Span, clock: Clock) -> bool:
    """Did it end at least 24 h ago, so that no admission can absorb it any more?"""
    ended = end.instant or day_start(end.high + _ONE_DAY, clock.zone)
    return clock.passed(ended + _ONE_DAY)


def _in_tcm_episode(visit: Stay, history: History) -> bool:
    """Does it start in D to D+29 of the latest stay before it, if that went to the community?"""
    before = [stay for stay in history.stays if stay.members[0].first < visit.members[0].first]
    if not before or before[-1].day is None or before[-1].left.kind not in COMMUNITY:
        return False
    return 0 <= (visit.start.low - before[-1].day).days <= PERIOD_DAYS


def _contact(end: Span, view: PatientView, clock: Clock) -> Evidence | None:
    """The first outpatient contact that surely came after the visit."""
    found = [
        (clock.span(e.start).low, e.id, e, e.start.raw)
        for e in view.of(EncounterFact)
        if e.start and _is_contact(e) and _is_after(e.start, end, clock)
    ]
    if not found:
        return None
    _, _, first, raw = min(found, key=lambda row: row[:2])
    path = "Encounter.period.start"
    return Evidence(type="Encounter", id=first.id, version=first.version, path=path, raw=raw, date=raw)


def _is_contact(encounter: EncounterFact) -> bool:
    if not is_finished(encounter) or class_word(encounter) not in _FOLLOW_UP:
        return False
    return not any(in_set("not_a_follow_up", concept) for concept in encounter.types)


def _is_after(when: When, end: Span, clock: Clock) -> bool:
    start = clock.span(when)
    surely = start.instant >= end.instant if start.instant and end.instant else start.low > end.high
    return surely and not clock.is_future(when)


def _by_disposition(visit: Stay, day: dt.date, history: History, clock: Clock) -> Answer:
    kind = visit.left.kind
    if kind in _GATED:
        return Answer(Outcome.NOT_ELIGIBLE, "no_stay")
    if kind == "not_discharged":
        return Answer(Outcome.NOT_ELIGIBLE, "stay_open")
    if kind == "ama":
        return Answer(Outcome.ELIGIBLE, flags=("left_against_advice",))
    if kind not in _TRANSFER:
        return Answer(Outcome.ELIGIBLE)
    deadline = business_days_after(day, _CONTACT_DAYS)
    if _stay_began(visit, deadline, history):
        return Answer(Outcome.NOT_ELIGIBLE, "became_stay")
    if not clock.reached(day_after(deadline, 1)):
        return Answer(Outcome.NOT_ELIGIBLE, "transfer_awaited")
    return Answer(Outcome.ELIGIBLE, "transfer_unseen", ("transfer_unseen",))


def _stay_began(visit: Stay, deadline: dt.date, history: History) -> bool:
    """Did a stay begin after the visit, and not later than the deadline?"""
    first = visit.members[0].first
    return any(
        stay.members[0].first > first and stay.start.low <= deadline
        for stay in (*history.stays, *history.lone_stays)
    )


RULE = Rule(
    id="ED-FU",
    version="1.1",
    title="Emergency visit follow-up",
    inputs=frozenset({"Encounter"}),
    gates=("GX-01", "GX-04", "GX-02"),
    evaluate=evaluate,
)
