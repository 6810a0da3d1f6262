"""DIS-TCM: discharged to the community, contact within two business days (rules.md 2.3 to 2.5)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cm_service.rules import stays
from cm_service.rules.business_days import business_days_after, end_of_day
from cm_service.rules.clock import Clock
from cm_service.rules.decision import Finding, Outcome, Rule
from cm_service.rules.parameters import Parameters
from cm_service.rules.programs.episodes import (
    LOOK_BACK_DAYS,
    Episode,
    common_flags,
    conclude,
    day_after,
    of_disposition,
    of_end,
    of_status,
    recent,
)
from cm_service.rules.stay_groups import State, Stay
from cm_service.rules.view import PatientView

PERIOD_DAYS = 29  # D through D+29
CONTACT_DAYS = 2
COMMUNITY = frozenset({"community", "unknown"})
_TRANSFER = frozenset({"transfer", "transfer_snf"})
_WAITING = COMMUNITY | _TRANSFER
Answer = tuple[Outcome, tuple[str, ...]]


def evaluate(view: PatientView, clock: Clock) -> Finding:
    history = view.derive(stays.build, clock)
    seen = recent(history.stays, view.parameters.dis_backfill_days, clock)
    shown = seen or [stay for stay in history.stays[-1:] if stay.state is not State.SUPERSEDED]
    newest = history.stays[-1] if history.stays else None
    episodes = [_episode(stay, stay is not newest, view.parameters, clock) for stay in shown]
    flags = [flag for stay in seen for flag in stay.flags]
    return conclude(episodes, [*common_flags(history, LOOK_BACK_DAYS, clock), *flags])


def _episode(stay: Stay, followed: bool, parameters: Parameters, clock: Clock) -> Episode:
    outcome, reasons = _judge(stay, followed, parameters, clock)
    return Episode(
        subject=stay.key,
        encounter=stay.last.encounter.id,
        outcome=outcome,
        reasons=reasons,
        flags=tuple(word for word in reasons if word == "transfer_unseen"),
        facts=_facts(stay, clock.zone) | ({"priority": "asap"} if outcome is Outcome.ELIGIBLE else {}),
        evidence=(of_status(stay.last), of_end(stay.last), of_disposition(stay.last)),
    )


def _facts(stay: Stay, zone: dt.tzinfo) -> dict[str, Any]:
    """The dates of the TCM clock; only the discharge date where that clock does not run."""
    day = stay.day
    if day is None:
        return {}
    if stay.left.kind not in COMMUNITY:
        return {"discharge_date": str(day)}
    return {
        "discharge_date": str(day),
        "contact_due": end_of_day(business_days_after(day, CONTACT_DAYS), zone),
        "visit_due_high": str(day_after(day, 7)),
        "visit_due_moderate": str(day_after(day, 14)),
        "period_end": str(day_after(day, PERIOD_DAYS)),
    }


def _judge(stay: Stay, followed: bool, parameters: Parameters, clock: Clock) -> Answer:
    if followed:
        return Outcome.NOT_ELIGIBLE, ("readmitted",)
    if stay.state is State.OPEN:
        return Outcome.NOT_ELIGIBLE, ("stay_open",)
    if stay.state is State.STALE:
        return Outcome.INSUFFICIENT_DATA, ("status_stale",)
    if stay.end is None or stay.state is State.UNDATED:
        return Outcome.INSUFFICIENT_DATA, ("discharge_date_missing",)
    last_day = stay.end.high
    if clock.reached(day_after(last_day, min(PERIOD_DAYS, parameters.dis_backfill_days) + 1)):
        return Outcome.NOT_ELIGIBLE, ("period_over",)
    if stay.state is State.PARTIAL and stay.left.kind in _WAITING:
        return Outcome.INSUFFICIENT_DATA, ("discharge_date_missing",)
    return _by_disposition(stay.left.kind, last_day, clock)


def _by_disposition(kind: str, day: dt.date, clock: Clock) -> Answer:
    if kind in COMMUNITY:
        return Outcome.ELIGIBLE, ("community_discharge",)
    if kind == "transfer" and clock.reached(day_after(business_days_after(day, CONTACT_DAYS), 1)):
        return Outcome.INSUFFICIENT_DATA, ("transfer_unseen",)
    if kind in _TRANSFER:
        return Outcome.NOT_ELIGIBLE, ("transfer_awaited",)
    if kind == "facility_ltc":
        return Outcome.NOT_ELIGIBLE, ("long_term_care",)
    return Outcome.NOT_ELIGIBLE, ("stay_open" if kind == "not_discharged" else "no_stay",)


RULE = Rule(
    id="DIS-TCM",
    version="1.1",
    title="Discharged to the community",
    inputs=frozenset({"Encounter"}),
    gates=("GX-01", "GX-04", "GX-02"),
    evaluate=evaluate,
)
