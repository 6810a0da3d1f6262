"""Records that were merged: a replaced one says so and does nothing more, the surviving one goes on.

Known from the EMR's Patient at the launch, or from the last reading, whichever says so: between a merge
and the night nobody works on a record that is none any more.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from cm_service.api.launch.sessions import Session
from cm_service.db import cases, sync
from cm_service.db.confidential import Cleared
from cm_service.errors import NotNow
from cm_service.flow import record
from cm_service.flow.confidential import without_labelled
from cm_service.flow.people import Facts, replaced_by

MERGED = "this record was merged into another one: open the chart of that one"


class Mates(NamedTuple):
    """The other records that were merged into this one: their facts, and cases that are still open."""

    facts: list[Facts]
    open_cases: list[Any]


def is_merged(connection: sa.Connection, who: Session) -> bool:
    """Was the record of this session replaced by another one?"""
    if who.context.get("merged") or who.patient_id is None:
        return who.patient_id is not None
    stored = sync.load_facts(connection, who.emr.slug, [who.patient_id]).get(who.patient_id)
    return stored is not None and replaced_by(who.patient_id, record.decode(stored)) is not None


def require_own(connection: sa.Connection, who: Session) -> None:
    """Raises NotNow for a record that is none any more."""
    if is_merged(connection, who):
        raise NotNow(MERGED)


def mates_of(connection: sa.Connection, emr: str, patient: str, *, cleared: Cleared) -> Mates:
    """As far as the reader may know of them."""
    rows = [row for row in sync.load_group(connection, emr, [patient]) if row.patient_id != patient]
    held = {row.patient_id: without_labelled(record.decode(row.facts), cleared) for row in rows}
    seen = {who: facts for who, facts in held.items() if f"Patient/{who}" in facts}
    opened = (cases.open_enrolment(connection, emr, who) for who in seen)
    return Mates(list(seen.values()), [case for case in opened if case is not None])
