"""The running EMR as tests hold it, and small resources."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from cm_service.sandbox.declared import Personality
from cm_service.sandbox.personality import GENEROUS
from cm_service.sandbox.plan import FaultPlan
from cm_service.sandbox.server import running
from cm_service.sandbox.store import Store

START = dt.datetime(2026, 11, 20, 20, 0, tzinfo=dt.UTC)
OURS = "https://cm.example/id/task"


@dataclass
class Hands:
    """A clock that stands until a test moves it."""

    now: dt.datetime = START

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, **duration: float) -> None:
        self.now += dt.timedelta(**duration)


@dataclass
class RunningEmr:
    store: Store
    clock: Hands
    http: httpx.Client
    base: str

    def post(self, resource: dict[str, Any], **headers: str) -> httpx.Response:
        path = "" if resource["resourceType"] == "Bundle" else resource["resourceType"]
        return self.http.post(path, json=resource, headers=_fhir(headers))

    def put(self, resource: dict[str, Any], **headers: str) -> httpx.Response:
        return self.http.put(
            f"{resource['resourceType']}/{resource['id']}", json=resource, headers=_fhir(headers)
        )

    def found(self, query: str, **headers: str) -> list[str]:
        """Ids of the first page."""
        answer = self.http.get(query, headers=_fhir(headers))
        assert answer.status_code == 200, answer.text
        return [entry["resource"]["id"] for entry in answer.json().get("entry", [])]


@contextmanager
def running_as(
    personality: Personality = GENEROUS, *, faults: FaultPlan | None = None
) -> Iterator[RunningEmr]:
    """A server of its own, with two patients and an encounter of each, at START."""
    clock = Hands()
    store = Store(clock=clock)
    store.load([patient("p1"), patient("p2"), encounter("e1"), encounter("e2", patient_id="p2")])
    with running(store, personality=personality, faults=faults) as base, httpx.Client(base_url=base) as http:
        yield RunningEmr(store, clock, http, base)


def _fhir(headers: dict[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"Content-Type": "application/fhir+json", **named}


def patient(id_: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, **elements}


def encounter(id_: str, *, patient_id: str = "p1", **elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": f"Patient/{patient_id}"},
        **elements,
    }


def note(text: str = "Care plan, current version", **elements: Any) -> dict[str, Any]:
    """A clinical note in plain text on the encounter e1."""
    data = base64.b64encode(text.encode()).decode()
    return {
        "resourceType": "DocumentReference",
        "identifier": [{"system": OURS, "value": "n1"}],
        "status": "current",
        "docStatus": "preliminary",
        "type": {"coding": [{"system": "http://loinc.org", "code": "34133-9"}]},
        "subject": {"reference": "Patient/p1"},
        "content": [{"attachment": {"contentType": "text/plain", "data": data}}],
        "context": {"encounter": [{"reference": "Encounter/e1"}]},
        **elements,
    }


def answers(**elements: Any) -> dict[str, Any]:
    """A QuestionnaireResponse."""
    return {
        "resourceType": "QuestionnaireResponse",
        "identifier": {"system": OURS, "value": "q1"},
        "questionnaire": "https://emr.example/Questionnaire/care-plan",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "authored": "2026-11-20T20:00:00Z",
        **elements,
    }


def message(**elements: Any) -> dict[str, Any]:
    """A Communication."""
    return {
        "resourceType": "Communication",
        "identifier": [{"system": OURS, "value": "m1"}],
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "payload": [{"contentString": "Eligible for care management"}],
        **elements,
    }


def task(value: str = "t1", **elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "identifier": [{"system": OURS, "value": value}],
        "status": "requested",
        "intent": "order",
        "for": {"reference": "Patient/p1"},
        **elements,
    }


def observation(id_: str, **elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
        "subject": {"reference": "Patient/p1"},
        **elements,
    }


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(method: str, url: str, resource: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """`full_url` and elements of `request` (ifNoneExist, ifMatch) may be given."""
    full_url = more.pop("full_url", None)
    made: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    if resource is not None:
        made["resource"] = resource
    if full_url:
        made["fullUrl"] = full_url
    return made
