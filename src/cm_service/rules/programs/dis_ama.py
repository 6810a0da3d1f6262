"""DIS-AMA: left the hospital against medical advice (rules.md 2.4)."""

from __future__ import annotations

from typing import Any

from cm_service.rules import stays
from cm_service.rules.business_days import business_days_after, end_of_day
from cm_service.rules.clock import Clock
from cm_service.rules.decision import Finding, Outcome, Rule
from cm_service.rules.programs.episodes import (
    LOOK_BACK_DAYS,
    Episode,
    common_flags,
    conclude,
    day_after,
    of_disposition,
    of_end,
    recent,
)
from cm_service.rules.stay_groups import State, Stay
from cm_service.rules.view import PatientView

_WINDOW_DAYS = 7


def evaluate(view: PatientView, clock: Clock) -> Finding:
    history, backfill = view.derive(stays.build, clock), view.parameters.dis_backfill_days
    seen = recent(history.stays, backfill, clock)
    window = min(_WINDOW_DAYS, backfill)
    episodes = [
        _episode(stay, stay is not history.stays[-1], window, clock)
        for stay in seen
        if stay.known_left.kind == "ama" and stay.state is not State.OPEN
    ]
    flags = [flag for stay in seen for flag in stay.flags]
    return conclude(episodes, [*common_flags(history, LOOK_BACK_DAYS, clock), *flags])


def _episode(stay: Stay, followed: bool, window: int, clock: Clock) -> Episode:
    outcome, reasons = _judge(stay, followed, window, clock)
    return Episode(
        subject=stay.key,
        encounter=stay.last.encounter.id,
        outcome=outcome,
        reasons=reasons,
        flags=("left_against_advice",),
        facts=_facts(stay, clock) | ({"priority": "urgent"} if outcome is Outcome.ELIGIBLE else {}),
        evidence=(of_end(stay.last), of_disposition(stay.last)),
    )


def _facts(stay: Stay, clock: Clock) -> dict[str, Any]:
    if stay.day is None:
        return {}
    due = end_of_day(business_days_after(stay.day, 1), clock.zone)
    return {"discharge_date": str(stay.day), "contact_due": due}


def _judge(stay: Stay, followed: bool, window: int, clock: Clock) -> tuple[Outcome, tuple[str, ...]]:
    if followed:
        return Outcome.NOT_ELIGIBLE, ("readmitted",)
    if stay.state is State.STALE:
        return Outcome.INSUFFICIENT_DATA, ("status_stale",)
    if stay.end is None or stay.state is State.UNDATED:
        return Outcome.INSUFFICIENT_DATA, ("discharge_date_missing",)
    if clock.reached(day_after(stay.end.high, window + 1)):
        return Outcome.NOT_ELIGIBLE, ("period_over",)
    if stay.state is State.PARTIAL:
        return Outcome.INSUFFICIENT_DATA, ("discharge_date_missing",)
    return Outcome.ELIGIBLE, ()


RULE = Rule(
    id="DIS-AMA",
    version="1.1",
    title="Left against advice",
    inputs=frozenset({"Encounter"}),
    gates=("GX-01", "GX-04", "GX-02"),
    evaluate=evaluate,
)
