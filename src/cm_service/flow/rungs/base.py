"""What a rung must answer, so that the state machine in `writing.py` need not know what it sends.

A rung knows the form of a thing (a native resource, a note, a form); the state machine knows when it
may be sent, what an answer means, and what to do when there was none. A new rung is a new file.
"""

from __future__ import annotations

from typing import Any, Protocol

import sqlalchemy as sa

from cm_service.fhir.client import Held
from cm_service.fhir.writes import WriteResult
from cm_service.flow.ours import Json


class Rung(Protocol):
    """`row` is always a whole row of the ledger (`ledger.one`). Requests are made once and raise what
    `FhirClient` raises; the state machine judges the errors."""

    @property
    def name(self) -> str:
        """As it stands in `placement.rung`."""
        ...

    def type_of(self, row: Any) -> str:
        """The FHIR type in which this rung puts the intent: what a reference to it begins with."""
        ...

    def build(self, connection: sa.Connection, row: Any) -> Json:
        """The whole resource as it should stand in the EMR now, links to others of ours resolved."""
        ...

    def is_guarded(self, row: Any) -> bool:
        """Does the EMR itself refuse a second copy (If-None-Exist)? Else it is searched first."""
        ...

    async def create(self, row: Any, resource: Json) -> WriteResult:
        """One request. Status 200 of a guarded create: something matched, and ours was not taken."""
        ...

    async def read(self, row: Any, id_: str) -> Held:
        """What stands in the EMR under this id."""
        ...

    async def find(self, row: Any) -> list[Json] | None:
        """Every copy in the EMR; [] is "searched, and there is none", None "cannot be searched here".
        Raises EmrUnreachable when the EMR does not answer: that says nothing at all."""
        ...

    def is_ours(self, row: Any, resource: Json) -> bool:
        """Is this what we put there for this intent (by identifier, or by the visible line)?"""
        ...

    def can_update(self, row: Any) -> bool:
        """False: what stands there cannot be changed, and a changed intent needs another placement.
        True: our elements are put into the EMR's own JSON, as `updating.py` does for every rung."""
        ...

    def closed(self, current: Json) -> Json | None:
        """`current` as it says that it no longer holds (what `writing.close` sends when a higher rung
        has taken over); None where this rung cannot say so."""
        ...
