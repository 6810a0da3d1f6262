"""Passports and intents for tests of the ladder: plain values, no store and no EMR."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

from cm_service.db import passport as rows
from cm_service.fhir import vendor
from cm_service.flow.ladder import KINDS, Meaning, NoteEncounter, Wanted, World, WriteSettings
from cm_service.flow.passport import Passport
from cm_service.flow.rungs.copies import Copy

NOW = dt.datetime(2026, 11, 20, 20, tzinfo=dt.UTC)
BASE = "https://cm.example"
FORM = "https://practice.example/Questionnaire/care-plan"


def verb(resource: str, name: str = "create", **columns: Any) -> SimpleNamespace:
    """A row of the passport; `worked` and `refused` are HTTP statuses."""
    row = rows.blank("clinic", resource, name)
    for word in ("worked", "refused"):
        if status := columns.pop(word, None):
            row |= {f"{word}_status": status, f"{word}_at": NOW}
            row["refusals"] = 1 if word == "refused" else row["refusals"]
    return SimpleNamespace(**(row | columns))


def passport(profile: str | None = None, *verbs: SimpleNamespace) -> Passport:
    return Passport(verbs, [], vendor.load(profile))


def world(profile: str | None = None, *verbs: SimpleNamespace, **changes: Any) -> World:
    """An EMR in write mode auto with nothing set, unless told otherwise."""
    settings = {name: changes.pop(name) for name in WriteSettings._fields if name in changes}
    return World(passport(profile, *verbs), WriteSettings(**settings), **{"propose": False, **changes})


def wanted(meaning: Meaning = Meaning.ELIGIBLE, **changes: Any) -> Wanted:
    return Wanted(meaning, **{"kinds": KINDS[meaning], **changes})


def everything_set(**changes: Any) -> dict[str, Any]:
    return {"questionnaire": FORM, "note_encounter": NoteEncounter.DISCHARGE_STAY, **changes}


def task(**changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "identifier": [{"system": f"{BASE}/id/task", "value": "A" * 32}],
        "status": "requested",
        "intent": "order",
        "priority": "asap",
        "code": {"text": "HbA1c outreach"},
        "description": "HbA1c 8.6 % on 2026-11-10, target 7.0 %: call by 2026-11-27",
        "for": {"reference": "Patient/p1"},
        "authoredOn": "2026-11-20T15:00:00-05:00",
        "performerType": [{"text": "care manager"}],
        "restriction": {"period": {"end": "2026-11-27T23:59:59-05:00"}},
        "input": [
            said("evidence", "Observation/p1-a1c: 8.6 % on 2026-11-10"),
            said("supporting-evidence", "Condition/p1-dm: diabetes on 2024-01-05"),
        ],
        **changes,
    }


def said(code: str, text: str) -> dict[str, Any]:
    return {
        "type": {"coding": [{"system": f"{BASE}/CodeSystem/cm-task-input", "code": code}]},
        "valueString": text,
    }


def goal(text: str = "HbA1c at or below 7.0 %", **changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "Goal",
        "identifier": [{"system": f"{BASE}/id/goal", "value": "G" * 32}],
        "lifecycleStatus": "proposed",
        "description": {"text": text},
        "subject": {"reference": "Patient/p1"},
        "target": [{"dueDate": "2027-02-20"}],
        **changes,
    }


def plan(**changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "CarePlan",
        "identifier": [{"system": f"{BASE}/id/plan", "value": "P" * 32}],
        "status": "draft",
        "intent": "plan",
        "title": "Care management plan",
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-11-20"},
        **changes,
    }


def copy(of: dict[str, Any] | None = None, **changes: Any) -> Copy:
    thing = of or task()
    mine = thing["identifier"][0]
    usual: dict[str, Any] = {"base": BASE, "wanted": thing, "at": "2026-11-20T15:00:00-05:00"}
    return Copy(mine["system"], mine["value"], **{**usual, **changes})
