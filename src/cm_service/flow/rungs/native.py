"""The highest rung: CarePlan, Goal and Task as what they are."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from cm_service.db import ledger
from cm_service.errors import EmrRefused, FilterDropped
from cm_service.fhir import rawjson
from cm_service.fhir.capability import Capability
from cm_service.fhir.client import FhirClient, Held, search_value
from cm_service.fhir.writes import WriteResult
from cm_service.flow import ours
from cm_service.flow.confidential import labelled
from cm_service.flow.ours import Json

# What says that this search is not offered; a 401 or a 404 after a lost scope says nothing of the kind.
_NO_SUCH_SEARCH = frozenset({400, 403, 404, 405, 422, 501})
_CLOSED = {
    "Task": {"status": "cancelled"},
    "CarePlan": {"status": "revoked"},
    "Goal": {"lifecycleStatus": "cancelled"},
}


class Native:
    """The intent is sent as it was planned; its identifier finds it again."""

    name = ledger.NATIVE

    def __init__(self, client: FhirClient, capability: Capability) -> None:
        self._client, self._capability = client, capability

    def type_of(self, row: Any) -> str:
        return str(row.kind)

    def build(self, connection: sa.Connection, row: Any) -> Json:
        return content(connection, row)

    def is_guarded(self, row: Any) -> bool:
        return self._capability.conditional_create(row.kind)

    async def create(self, row: Any, resource: Json) -> WriteResult:
        condition = None
        if self.is_guarded(row):
            token = f"{search_value(row.system)}|{search_value(row.value)}"
            condition = f"identifier={quote(token, safe=':/|')}"
        return await self._client.create(labelled(resource, row.labels), if_none_exist=condition)

    async def read(self, row: Any, id_: str) -> Held:
        return await self._client.held(row.kind, id_)

    async def find(self, row: Any) -> list[Json] | None:
        try:
            return await self._client.find_by_identifier(row.kind, row.system, row.value)
        except FilterDropped:
            return await self._of_patient(row)
        except EmrRefused as refusal:
            if refusal.status in _NO_SUCH_SEARCH:
                return await self._of_patient(row)
            raise

    async def _of_patient(self, row: Any) -> list[Json] | None:
        """Among all of the patient, where identifiers are not searched (Canvas). What is not among them may
        have lost its identifier: that none is found says nothing."""
        found: dict[Any, Json] = {}
        try:
            params, fresh = [("patient", row.patient_id)], {"Cache-Control": "no-cache"}
            async for page in self._client.search(row.kind, params, headers=fresh):
                for resource in map(rawjson.loads, page.resources):
                    if ours.has_identifier(resource, row.system, row.value):
                        found[resource.get("id")] = resource
        except FilterDropped:
            return None
        except EmrRefused as refusal:
            if refusal.status in _NO_SUCH_SEARCH:
                return None
            raise
        return list(found.values()) or None

    def is_ours(self, row: Any, resource: Json) -> bool:
        return ours.has_identifier(resource, row.system, row.value)

    def can_update(self, _row: Any) -> bool:
        return True

    def closed(self, current: Json) -> Json | None:
        return current if ours.is_closed(current) else {**current, **_CLOSED[current["resourceType"]]}


def content(connection: sa.Connection, row: Any) -> Json:
    """What is wanted natively, links to others of ours turned into references as far as they have any."""
    wanted = rawjson.loads(row.wanted.encode())
    places = ledger.references(connection, row.emr, ours.links(wanted))
    return ours.materialise(wanted, places.get)
