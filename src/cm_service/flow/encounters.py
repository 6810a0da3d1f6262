"""Which encounter a note hangs on: the operator's setting says, and none is ever invented."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from cm_service.db import sync
from cm_service.fhir import rawjson
from cm_service.flow import record
from cm_service.flow.ladder import NoteEncounter
from cm_service.flow.ours import Json
from cm_service.rules.facts import EncounterFact

_OPEN = frozenset({"arrived", "triaged", "in-progress", "onleave"})
_OF_STAYS = "DIS-"  # rules about a stay and its discharge


def of_intent(connection: sa.Connection, row: Any, setting: NoteEncounter) -> str | None:
    """`Encounter/id` for one intent (a whole row of the ledger), None where there is none of this kind."""
    if setting == NoteEncounter.DISCHARGE_STAY:
        return _stay(row)
    if setting == NoteEncounter.OPEN:
        return _open(connection, row)
    return None


def _stay(row: Any) -> str | None:
    """The stay that the intent is about. Planning has put its reference only where the EMR holds it."""
    if not row.rule.startswith(_OF_STAYS):
        return None
    named = (
        each for each in _references(rawjson.loads(row.wanted.encode())) if each.startswith("Encounter/")
    )
    return next(named, None)


def _references(wanted: Json) -> Iterator[str]:
    for name in ("encounter", "focus", "reasonReference"):
        yield str((wanted.get(name) or {}).get("reference", ""))
    for each in wanted.get("supportingInfo") or ():
        yield str(each.get("reference", ""))


def _open(connection: sa.Connection, row: Any) -> str | None:
    """The newest encounter of the patient that is under way, as far as the record shows."""
    stored = sync.load_facts(connection, row.emr, [row.patient_id]).get(row.patient_id)
    facts = record.decode(stored).values() if stored else ()
    found = [each for each in facts if isinstance(each, EncounterFact) and each.status in _OPEN]
    newest = max(found, key=lambda each: (each.start.raw if each.start else "", each.id), default=None)
    return f"Encounter/{newest.id}" if newest is not None else None
