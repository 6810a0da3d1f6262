"""The running EMR as tests hold it, and small resources."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import httpx

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


def _fhir(headers: dict[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"Content-Type": "application/fhir+json", **named}


def patient(id_: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, **elements}


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
