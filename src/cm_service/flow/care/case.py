"""One patient's case as it stands: the enrolment, and everything of ours that the ledger holds."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from cm_service.db import cases, ledger
from cm_service.db.confidential import Cleared, readable
from cm_service.flow.intents import Known
from cm_service.flow.judge import known_of
from cm_service.flow.plans.board import STATUS, Board, Item
from cm_service.flow.plans.careplans import OFFER
from cm_service.flow.plans.identity import LONGITUDINAL


@dataclass(frozen=True, slots=True)
class Case:
    """`board` holds our CarePlans, Goals and Tasks as they stand: what we want, with what is a
    person's taken from the EMR. `others` are the Consents, Encounters and Communications."""

    emr: str
    patient_id: str
    zone: ZoneInfo
    base: str
    enrolment: Any | None
    board: Board
    others: tuple[Known, ...]

    def tasks(self) -> list[Item]:
        return [item for item in self.board.items if item.kind == "Task" and item.is_open]

    def offers(self) -> list[Item]:
        return [item for item in self.tasks() if item.code == OFFER]

    def goals(self) -> list[Item]:
        return [item for item in self.board.items if item.kind == "Goal" and item.is_open]

    def plan(self) -> Item | None:
        """The open longitudinal plan."""
        plans = (i for i in self.board.items if i.kind == "CarePlan" and i.code == LONGITUDINAL)
        return next((plan for plan in plans if plan.is_open), None)

    def item(self, intent_id: int) -> Item | None:
        found = (i for i in self.board.items if i.known is not None and i.known.id == intent_id)
        return next(found, None)

    def day(self, instant: dt.datetime) -> dt.date:
        return instant.astimezone(self.zone).date()


def load(
    connection: sa.Connection, emr: Any, patient_id: str, *, base: str, cleared: Cleared | None = None
) -> Case:
    """`emr` is the row of the connection, `base` our identifier base; with `cleared` only what somebody
    with this clearance may see."""
    rows = ledger.of_patients(connection, emr.slug, [patient_id]).get(patient_id, [])
    known = [known_of(row) for row in rows if cleared is None or readable(row.labels, cleared)]
    planned = [each for each in known if each.kind in STATUS]
    return Case(
        emr=emr.slug,
        patient_id=patient_id,
        zone=ZoneInfo(emr.timezone),
        base=base,
        enrolment=cases.open_enrolment(connection, emr.slug, patient_id),
        board=Board.of(patient_id, planned, base=base, auto=emr.write_mode == "auto"),
        others=tuple(each for each in known if each.kind not in STATUS),
    )
