"""What the campaigns want in the EMR: the service's own goals, plans and tasks, for patients by the thousand.

One small patient goes once through the real road (sieve, rules, plan, ledger); what was minted for him
is minted again under other patient ids, with the same keys and links.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from cm_service.db import care, connections, ledger
from cm_service.db.engine import Database
from cm_service.fhir import rawjson
from cm_service.flow.intents import identifier_value
from cm_service.flow.judge import Night
from cm_service.flow.ours import Json
from cm_service.flow.plan import plan
from cm_service.flow.plans.context import PlanContext
from cm_service.flow.records import Store
from cm_service.flow.sources import from_folder
from cm_service.rules.parameters import Parameters

BASE = "https://cm.example"
SOMEBODY = "somebody-of-the-campaign"
START = dt.datetime.fromisoformat("2026-11-20T20:00:00-05:00")
ZONE = ZoneInfo("America/Detroit")
_TEMPLATE = "template"
_TERMS = "http://terminology.hl7.org/CodeSystem/"
_COLUMNS = ("kind", "business_key", "system", "value", "rule", "code", "subject", "urgency", "wanted")
Columns = dict[str, Any]


class Minted(NamedTuple):
    """One intent as the campaign remembers it, whatever becomes of the ledger."""

    id: int
    kind: str
    system: str
    value: str


def add_emr(connection: sa.Connection, slug: str, *, profile: str | None = None) -> None:
    """An EMR connection of the sandbox without a socket."""
    connections.add_emr(
        connection,
        now=START,
        slug=slug,
        base_url="http://127.0.0.1/fhir",
        timezone=str(ZONE),
        auth="none",
        token_reference=None,
        group_id=None,
        practice=None,
        owner=None,
        write_mode="propose",
        settings={},
        profile=profile,
    )


def templates(db: Database, folder: Path) -> list[Columns]:
    """Columns of the intents of one patient: goals, plans and tasks, as planning minted them."""
    landing = folder / "template"
    landing.mkdir()
    for each in _somebody():
        with (landing / f"{each['resourceType']}.ndjson").open("a") as lines:
            lines.write(json.dumps(each) + "\n")
    with db.write() as connection:
        add_emr(connection, _TEMPLATE)
    source = from_folder(landing, base_url=None, concept_map={}, max_line_bytes=100_000, full=False)
    Store(db, _night(), replaces=frozenset(), holes=source.holes).take(source.reading)
    with db.read() as connection:
        rows = ledger.listed(connection, emr=_TEMPLATE)
    return [{name: getattr(row, name) for name in _COLUMNS} for row in rows]


def mint(
    connection: sa.Connection, emr: str, patient_id: str, kinds: list[Columns], *, now: dt.datetime
) -> list[Minted]:
    """The same things for another patient, in the transaction of the caller."""
    decision = {"rule": "A1C-OUT", "outcome": "eligible", "line": b"{}", "digest": "", "changed_at": now}
    care.save_decisions(connection, [{"emr": emr, "patient_id": patient_id, **decision}])
    return [
        Minted(
            ledger.add(connection, emr=emr, patient_id=patient_id, want=want, now=now),
            want["kind"],
            want["system"],
            want["value"],
        )
        for want in _for(patient_id, kinds)
    ]


def surroundings() -> Iterable[Json]:
    """What the wanted things refer to, but for their patients: one stay and its findings do for all."""
    return (each for each in _somebody() if each["resourceType"] != "Patient")


def _for(patient_id: str, kinds: list[Columns]) -> Iterator[Columns]:
    keys = [each["business_key"].replace(SOMEBODY, patient_id) for each in kinds]
    values = {each["value"]: identifier_value(key) for each, key in zip(kinds, keys, strict=True)}
    for each, key in zip(kinds, keys, strict=True):
        wanted = each["wanted"].replace(SOMEBODY, patient_id)
        for old, new in values.items():
            wanted = wanted.replace(old, new)
        yield {**each, "business_key": key, "value": values[each["value"]], "wanted": wanted}


def another(wanted: Json, rng: random.Random, number: int) -> Json:
    """The thing with another content: a new finding changes a sentence, a date, a priority."""
    changes: dict[str, list[Json]] = {
        "Task": [
            {"description": f"call about finding {number}"},
            {"priority": rng.choice(("routine", "urgent", "asap"))},
            {"restriction": {"period": {"end": f"2027-01-{number % 28 + 1:02}"}}},
        ],
        "Goal": [
            {"description": {"text": f"finding {number} under control"}},
            {"startDate": f"2027-01-{number % 28 + 1:02}"},
        ],
        "CarePlan": [{"description": f"plan after finding {number}"}, {"title": f"plan {number}"}],
    }
    found = {**wanted}
    for change in rng.sample(changes[wanted["resourceType"]], k=rng.choice((1, 1, 2))):
        found.update(change)
    return found


def withdrawn(wanted: Json) -> Json:
    """The thing taken back."""
    if wanted["resourceType"] == "Goal":
        return {**wanted, "lifecycleStatus": "cancelled"}
    if wanted["resourceType"] == "CarePlan":
        return {**wanted, "status": "revoked"}
    return {**wanted, "status": "cancelled", "statusReason": {"text": "no longer holds"}}


def want(connection: sa.Connection, row: Any, wanted: Json, *, now: dt.datetime) -> None:
    text = rawjson.dumps(wanted).decode()
    ledger.rewant(connection, row.id, wanted=text, urgency=row.urgency, now=now)


def _night() -> Night:
    """As `flow.nightly` judges, for an EMR that has everything."""

    def planner(view: Any, decisions: Any, known: Any) -> Any:
        context = PlanContext(identifier_base=BASE, readable=view.holds)
        return plan(
            emr=context,
            patient_id=decisions[0].patient,
            decisions=decisions,
            view=view,
            known=known,
            as_of=START,
            zone=ZONE,
        )

    nothing: frozenset[str] = frozenset()
    return Night(_TEMPLATE, START, ZONE, Parameters(), nothing, nothing, planner)


def _somebody() -> Iterable[Json]:
    """A diabetic above target with high blood pressure, who came home from hospital yesterday."""
    subject = {"reference": f"Patient/{SOMEBODY}"}
    yield {"resourceType": "Patient", "id": SOMEBODY, "birthDate": "1976-05-01", "active": True}
    for code in ("E11.9", "I10"):
        yield {
            "resourceType": "Condition",
            "id": f"condition-{code}",
            "clinicalStatus": _coded("condition-clinical", "active"),
            "category": [_coded("condition-category", "problem-list-item")],
            "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]},
            "subject": subject,
            "recordedDate": "2024-01-05",
        }
    yield {
        "resourceType": "Observation",
        "id": "a1c",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
        "subject": subject,
        "effectiveDateTime": "2026-11-10",
        "valueQuantity": {"value": 8.6, "unit": "%", "code": "%"},
    }
    yield {
        "resourceType": "Encounter",
        "id": "stay",
        "status": "finished",
        "class": {"system": f"{_TERMS}v3-ActCode", "code": "IMP"},
        "subject": subject,
        "period": {"start": "2026-11-16T10:00:00-05:00", "end": "2026-11-19T14:00:00-05:00"},
        "hospitalization": {"dischargeDisposition": _coded("discharge-disposition", "home")},
    }


def _coded(system: str, code: str) -> Json:
    return {"coding": [{"system": f"{_TERMS}{system}", "code": code}]}
