"""ED-OVERUSE: frequent emergency visits in the last 365 days (rules.md 2.9)."""

from __future__ import annotations

from cm_service.rules import stays
from cm_service.rules.clock import Clock
from cm_service.rules.decision import Finding, Outcome, Rule, unique
from cm_service.rules.programs.episodes import of_start
from cm_service.rules.stay_members import Member
from cm_service.rules.stays import History
from cm_service.rules.view import PatientView

_WINDOW_DAYS = 365


def evaluate(view: PatientView, clock: Clock) -> Finding:
    history, parameters = view.derive(stays.build, clock), view.parameters
    emergency = sorted((*history.visits, *history.lone), key=lambda visit: visit.members[0].first)
    visits = [visit for visit in emergency if _counts(visit.members[0], clock)]
    days = {visit.start.low for visit in visits}
    count = len(days)
    enough = count >= parameters.ed_freq
    flags = [*history.reading.flags(_WINDOW_DAYS, clock), *history.died_flags]
    flags += [flag for visit in visits for flag in visit.flags]
    if parameters.ed_watch <= count < parameters.ed_freq:
        flags.append("ed_watch")
    return Finding(
        outcome=Outcome.ELIGIBLE if enough else Outcome.NOT_ELIGIBLE,
        reasons=[] if enough else [_why_not(history, count, clock)],
        flags=unique(flags),
        evidence=[of_start(visit.members[0]) for visit in visits],
        facts={
            "value": count,
            "visit_dates": [str(day) for day in sorted(days)],
            **({"encounter": visits[-1].last.encounter.id} if visits else {}),
        },
    )


def _counts(member: Member, clock: Clock) -> bool:
    """Began in (as_of - 365 d, as_of], in local dates."""
    start = member.start
    return clock.within_days(start, _WINDOW_DAYS - 1) is True and clock.reached(start.low)


def _why_not(history: History, count: int, clock: Clock) -> str:
    absorbed = not count and any(_counts(member, clock) for member in history.absorbed)
    return "became_stay" if absorbed else "no_stay"


RULE = Rule(
    id="ED-OVERUSE",
    version="1.1",
    title="Frequent emergency visits",
    inputs=frozenset({"Encounter"}),
    gates=("GX-01", "GX-04", "GX-02", "GX-03"),
    evaluate=evaluate,
)
