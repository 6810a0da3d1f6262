"""An EMR at our CDS services: it signs its calls, and sends its prefetch along."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

from cm_service.db import connections
from tests.api.door_world import BASE, Machine
from tests.api.practice_world import PATIENT, OpenPractice
from tests.flow.night_world import out_of_range

ISSUER = "https://emr.example"
VIEW = "cm-patient-view"
Json = dict[str, Any]


class Chart:
    """The EMR's side: it signs, and sends its prefetch along."""

    def __init__(self, practice: OpenPractice) -> None:
        self.practice, self.signer = practice, Machine(ISSUER)
        with practice.doors.store.write() as connection:
            connections.update_emr(
                connection, "clinic", cds_issuer=ISSUER, cds_jwks=self.signer.jwks, cds_jwks_url=None
            )

    def token(self, path: str, **changes: Any) -> str:
        return self.signer.assertion(now=self.practice.doors.now, aud=f"{BASE}{path}", **changes)

    def body(self, hook: str = "patient-view", patient: str = "p1", **changes: Any) -> dict[str, Any]:
        usual = {
            "hook": hook,
            "hookInstance": str(uuid.uuid4()),
            "context": {"userId": "Practitioner/n", "patientId": patient, "encounterId": "stay"},
            "prefetch": prefetch(patient),
        }
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def call(self, service: str = VIEW, body: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        path = f"/cds-services/{service}"
        headers = more.pop("headers", None) or {"Authorization": f"Bearer {self.token(path)}"}
        sent = self.body() if body is None else body
        return self.practice.doors.http.post(path, json=sent, headers=headers)


def with_token(
    chart: Chart, token: str, *, path: str = f"/cds-services/{VIEW}", body: Json | None = None
) -> httpx.Response:
    sent = chart.body() if body is None else body
    return chart.practice.doors.http.post(path, json=sent, headers={"Authorization": f"Bearer {token}"})


def registered(chart: Chart, **columns: Any) -> None:
    with chart.practice.doors.store.write() as connection:
        connections.update_emr(connection, "clinic", **columns)


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    entries = [{"resource": each} for each in resources]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def prefetch(patient: str = "p1") -> dict[str, Any]:
    mine = PATIENT if patient == "p1" else out_of_range(patient)
    by_type = {kind: [each for each in mine if each["resourceType"] == kind] for kind in _KEYS.values()}
    return {
        "patient": by_type["Patient"][0],
        **{key: bundle(*by_type[kind]) for key, kind in _KEYS.items() if key != "patient"},
    }


_KEYS = {"patient": "Patient", "conditions": "Condition", "encounters": "Encounter", "hba1c": "Observation"}
