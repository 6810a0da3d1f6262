"""Rules that find several episodes, and the one answer that they give together (rules.md 0.3)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import msgspec

from cm_service.rules.clock import Clock
from cm_service.rules.decision import Evidence, Finding, Outcome, unique
from cm_service.rules.encounters import DISPOSITION
from cm_service.rules.stay_groups import State, Stay
from cm_service.rules.stay_members import Member
from cm_service.rules.stays import History

LOOK_BACK_DAYS = 60  # how far back the discharge and follow-up rules look for anything odd
_ONE_DAY = dt.timedelta(days=1)
_ORDER = (Outcome.ELIGIBLE, Outcome.INSUFFICIENT_DATA, Outcome.NOT_ELIGIBLE)


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One stay or visit as one rule sees it. `subject` is its key, `encounter` the id of the Encounter
    that decides, `facts` the dates of the contract (ISO strings)."""

    subject: str
    encounter: str
    outcome: Outcome
    reasons: tuple[str, ...]
    flags: tuple[str, ...] = ()
    facts: dict[str, Any] = {}
    evidence: tuple[Evidence, ...] = ()


def conclude(episodes: list[Episode], flags: Iterable[str]) -> Finding:
    """Eligible if any episode is, else insufficient if any is; facts of the newest such one.
    `episodes` stand in the order of time; none: `no_stay`."""
    if not episodes:
        return Finding(outcome=Outcome.NOT_ELIGIBLE, reasons=["no_stay"], flags=unique(flags))
    chosen = next(one for want in _ORDER for one in reversed(episodes) if one.outcome is want)
    return Finding(
        outcome=chosen.outcome,
        reasons=list(chosen.reasons),
        flags=unique([*flags, *(flag for one in episodes for flag in one.flags)]),
        evidence=_evidence(chosen, episodes),
        facts={
            **chosen.facts,
            "stay_key": chosen.subject,
            "encounter": chosen.encounter,
            "episodes": [_listed(one) for one in episodes],
        },
    )


def _evidence(chosen: Episode, episodes: list[Episode]) -> list[Evidence]:
    shown: list[Evidence] = []
    for evidence in (*chosen.evidence, *(e for one in episodes for e in one.evidence)):
        if evidence not in shown:
            shown.append(evidence)
    return shown


def _listed(one: Episode) -> dict[str, Any]:
    """An episode as `facts.episodes` shows it."""
    return {
        "subject": one.subject,
        "encounter": one.encounter,
        "outcome": str(one.outcome),
        "reasons": list(one.reasons),
        **one.facts,
    }


def recent(stays: Iterable[Stay], days: int, clock: Clock) -> list[Stay]:
    """Those that ended at most so many days ago, or may have; what is superseded is history."""
    return [stay for stay in stays if _is_recent(stay, days, clock)]


def _is_recent(stay: Stay, days: int, clock: Clock) -> bool:
    if stay.state is State.SUPERSEDED:
        return False
    if stay.end is None or stay.state not in (State.CLOSED, State.PARTIAL):
        return True
    return not clock.reached(stay.end.high + (days + 1) * _ONE_DAY)


def common_flags(history: History, days: int, clock: Clock) -> list[str]:
    """Flags of what every rule of this family looked at, whichever episode decides."""
    superseded = any(stay.state is State.SUPERSEDED for stay in history.stays)
    stale = ["status_stale"] if superseded else []
    return [*history.reading.flags(days, clock), *stale, *history.died_flags]


def day_after(day: dt.date, days: int) -> dt.date:
    return day + days * _ONE_DAY


def of_start(member: Member) -> Evidence:
    start = member.encounter.start
    return _encounter(
        member, "Encounter.period.start", raw=start.raw if start else "", value=str(member.start.low)
    )


def of_end(member: Member) -> Evidence:
    end = member.encounter.end
    day = str(member.end.high) if member.end and member.end.exact else ""
    return _encounter(member, "Encounter.period.end", raw=end.raw if end else "", value=day)


def of_disposition(member: Member) -> Evidence:
    return _encounter(member, DISPOSITION, raw=member.left.raw, value=member.left.kind)


def of_status(member: Member) -> Evidence:
    return _encounter(member, "Encounter.status", raw=member.encounter.status, value=member.encounter.status)


def _encounter(member: Member, path: str, *, raw: str, value: str) -> Evidence:
    encounter = member.encounter
    when = encounter.end if path.endswith(("end", "Disposition")) else encounter.start
    return Evidence(
        type="Encounter",
        id=encounter.id,
        version=encounter.version,
        path=path,
        raw=raw,
        value=value,
        date=when.raw if when else "",
    )
