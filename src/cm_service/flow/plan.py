"""Decisions -> what is wanted in the EMR, as a diff against what the ledger knows.

Pure: no database, no HTTP, no clock. What is written follows from the decisions and from the day
on which a thing was created, never from `as_of` alone: an unchanged world gives no Change at any
later time. What a person changed, ended or deleted stays as they made it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

from cm_service.flow.intents import Change, Known
from cm_service.flow.plans import (
    a1c,
    chronic,
    compare,
    contents,
    data_quality,
    departures,
    discharge,
    emergency,
    references,
    reviews,
    settle,
    withdraw,
)
from cm_service.flow.plans.board import Board
from cm_service.flow.plans.context import Night, PlanContext
from cm_service.flow.plans.needs import TaskNeed
from cm_service.rules.decision import Decision
from cm_service.rules.view import PatientView

__all__ = ["PlanContext", "plan"]


def plan(
    *,
    emr: PlanContext,
    patient_id: str,
    decisions: Iterable[Decision],
    view: PatientView,
    known: Iterable[Known],
    as_of: dt.datetime,
    zone: dt.tzinfo,
) -> list[Change]:
    """The changes that one patient's decisions ask for.

    `patient_id` is the Patient that the decisions are about; `known` everything that the ledger
    holds for this person, also under Patients that were merged into this one. The order of
    `decisions` and of `known` does not matter. The resources are FHIR R4 without `id` and `meta`.
    """
    night = Night(
        emr=emr,
        patient_id=patient_id,
        decisions={decision.rule: decision for decision in decisions},
        view=view,
        board=Board.of(patient_id, known, base=emr.identifier_base, auto=emr.write_mode == "auto"),
        as_of=as_of,
        zone=zone,
    )
    asked = list(_needs(night))
    reviewed = withdraw.withdraw(night)
    settle.settle(
        night, [*asked, *departures.needs(night), *_about_the_record(night), *reviews.needs(reviewed)]
    )
    withdraw.revoke_empty_plans(night)
    contents.refresh(night, asked)
    return [references.without_gone(night, change) for change in compare.changes(night.board)]


def _needs(night: Night) -> Iterator[TaskNeed]:
    """In this order: of one family the first goes first."""
    yield from discharge.needs(night)
    yield from emergency.needs(night)
    yield from a1c.needs(night)
    yield from chronic.needs(night)


def _about_the_record(night: Night) -> list[TaskNeed]:
    return list(data_quality.needs(night)) if night.emr.dq_tasks else []
