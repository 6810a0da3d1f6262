"""DIS-SNF: in skilled nursing, or sent there and not seen yet (rules.md 2.7)."""

from __future__ import annotations

from cm_service.rules import stays
from cm_service.rules.clock import Clock, Span
from cm_service.rules.decision import Finding, Outcome, Rule
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
    recent,
)
from cm_service.rules.stay_groups import State, Stay, more_than_a_day_ago
from cm_service.rules.stay_members import Member
from cm_service.rules.stays import History
from cm_service.rules.view import PatientView

_UNSEEN_DAYS = 30
_SENT = "transfer_snf"


def evaluate(view: PatientView, clock: Clock) -> Finding:
    history = view.derive(stays.build, clock)
    seen = recent(history.stays, LOOK_BACK_DAYS, clock)
    episodes = [one for stay in seen if (one := _episode(stay, history, clock)) is not None]
    fresh = recent(history.stays, view.parameters.dis_backfill_days, clock)
    flags = [flag for stay in fresh for flag in stay.flags]
    return conclude(episodes, [*common_flags(history, LOOK_BACK_DAYS, clock), *flags])


def _episode(stay: Stay, history: History, clock: Clock) -> Episode | None:
    """None where the stay has nothing to do with skilled nursing, or no longer."""
    if stay.state in (State.STALE, State.UNDATED):
        return _unknown(stay) if _fits(stay) else None
    for member in stay.members:
        if member.is_snf and member.is_open and not _is_over(member, clock):
            return _open(stay, member)
    sent = [m for m in stay.members if m.left.kind == _SENT and m.end and not m.is_open]
    unseen = [member for member in sent if not _is_followed(member, history)]
    return _unseen(stay, unseen[-1], clock) if unseen else None


def _is_over(member: Member, clock: Clock) -> bool:
    """It ended more than 24 h ago, whatever its status says."""
    return member.end is not None and more_than_a_day_ago(member.end, clock)


def _fits(stay: Stay) -> bool:
    """Does the last known setting or disposition speak of skilled nursing?"""
    loose = any(m.is_snf and (m.is_open or m.end is None) for m in stay.members)
    newest = max((m for m in stay.members if m.is_stay), key=lambda m: (m.first, m.encounter.id))
    return loose or newest.is_snf or stay.known_left.kind == _SENT


def _unknown(stay: Stay) -> Episode:
    reason = "status_stale" if stay.state is State.STALE else "discharge_date_missing"
    return Episode(
        subject=stay.key,
        encounter=stay.last.encounter.id,
        outcome=Outcome.INSUFFICIENT_DATA,
        reasons=(reason,),
        evidence=(of_status(stay.last), of_end(stay.last), of_disposition(stay.last)),
    )


def _open(stay: Stay, member: Member) -> Episode:
    return Episode(
        subject=stay.key,
        encounter=member.encounter.id,
        outcome=Outcome.ELIGIBLE,
        reasons=("snf_open",),
        facts={"snf_since": str(member.start.low)},
        evidence=(of_status(member), of_start(member)),
    )


def _unseen(stay: Stay, member: Member, clock: Clock) -> Episode:
    """Sent to skilled nursing, and no encounter there: watched for 30 days, then a review item."""
    end: Span = member.end or member.start
    over = clock.reached(day_after(end.high, _UNSEEN_DAYS + 1))
    if not over and not end.exact:
        outcome, reason = Outcome.INSUFFICIENT_DATA, "discharge_date_missing"
    elif over:
        outcome, reason = Outcome.NOT_ELIGIBLE, "period_over"
    else:
        outcome, reason = Outcome.ELIGIBLE, "transfer_awaited"
    return Episode(
        subject=stay.key,
        encounter=member.encounter.id,
        outcome=outcome,
        reasons=(reason,),
        flags=("snf_unseen",),
        facts={"discharge_date": str(end.high)} if end.exact else {},
        evidence=(of_end(member), of_disposition(member)),
    )


def _is_followed(sent: Member, history: History) -> bool:
    """Did a skilled nursing encounter follow, or any stay encounter that is open or ended later?"""
    return any(
        _follows(member, sent)
        for stay in history.stays
        for member in stay.members
        if member is not sent and member.is_stay
    )


def _follows(member: Member, sent: Member) -> bool:
    end = sent.end
    if end is None:
        return False
    if member.is_open and member.end is None:
        return True
    if member.is_snf and member.start.low >= end.high:
        return True
    if member.end is None:
        return member.start.low > end.high
    if member.end.instant and end.instant:
        return member.end.instant > end.instant
    return member.end.low > end.high


RULE = Rule(
    id="DIS-SNF",
    version="1.1",
    title="In skilled nursing",
    inputs=frozenset({"Encounter"}),
    gates=("GX-01", "GX-04", "GX-02"),
    evaluate=evaluate,
)
