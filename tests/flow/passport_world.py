"""An EMR of a given personality with a few patients, and a look at it through the front door."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from cm_service import wiring
from cm_service.db import connections
from cm_service.db import passport as rows
from cm_service.db.engine import Database
from cm_service.flow import passport
from cm_service.flow.passport import Examination, Passport
from cm_service.sandbox import server
from cm_service.sandbox.declared import Guard, Personality
from cm_service.sandbox.personality import GENEROUS, adapted, personality_named
from cm_service.sandbox.store import Store
from cm_service.settings import Settings
from tests.db.builders import add_emr, add_intent
from tests.flow.night_world import AS_OF, BASE, Json, a1c, condition, diabetes, patient, stay

WORLD = [
    *(patient(who) for who in ("p1", "p2", "p3")),
    *(diabetes(who) for who in ("p1", "p2", "p3")),
    *(a1c(who=who) for who in ("p1", "p2", "p3")),
    condition("htn", "I10"),
    stay(),
    {"resourceType": "Goal", "id": "g1", "lifecycleStatus": "active", "subject": {"reference": "Patient/p1"}},
]


LIAR = replace(GENEROUS, name="liar", guard=Guard.NONE)  # shows versions and looks at none
_SERVED: dict[str, tuple[Store, str, ExitStack]] = {}


def serve(personality: Personality) -> tuple[Store, str]:
    """One server per personality for the whole run: ending one takes longer than a test."""
    if personality.name not in _SERVED:
        emr, stack = Store(), ExitStack()
        base_url = stack.enter_context(server.running(emr, personality=personality))
        _SERVED[personality.name] = emr, base_url, stack
    emr, base_url, _ = _SERVED[personality.name]
    emr.clear()
    return emr, base_url


class Clinic:
    """`emr` is the EMR's own store, `looked` the passport after a look at it."""

    def __init__(
        self,
        database: Database,
        personality: str | Personality,
        resources: list[Json] = WORLD,
        **columns: Any,
    ) -> None:
        self.database, self.now = database, AS_OF
        self.settings = Settings(identifier_base=BASE, read_attempts=1, read_timeout_seconds=5.0)
        add_emr(database, **columns)
        self.becomes(personality, resources)

    def becomes(self, personality: str | Personality, resources: list[Json] = WORLD) -> None:
        """Another EMR answers at the address of this one."""
        known = personality_named(personality) if isinstance(personality, str) else personality
        self.emr, base_url = serve(known)
        self.emr.clock = lambda: self.now
        self.emr.load(adapted(resources, known))
        self.set(base_url=base_url)

    def set(self, **columns: Any) -> None:
        with self.database.write() as connection:
            connections.update_emr(connection, "clinic", **columns)

    def note(self, verb: str, status: int) -> None:
        with self.database.write() as connection:
            passport.note(connection, emr="clinic", resource="Task", verb=verb, status=status, now=self.now)

    @property
    def row(self) -> Any:
        with self.database.read() as connection:
            return connections.get_emr(connection, "clinic")

    def id_of(self, type_: str = "Patient") -> str:
        """An id as this EMR names it."""
        return self.emr.live(type_)[0].id

    def look(self, *, may_write: bool = False, only_if_due: bool = False) -> Passport:
        async def run() -> None:
            async with wiring.fhir_client(self.settings, self.row) as client:
                exam = self.exam(client)
                await (exam.if_due if only_if_due else exam.whole)(may_write=may_write)
                exam.throttled()

        asyncio.run(run())
        return self.passport()

    def exam(self, client: Any) -> Examination:
        return passport.examination(self.settings, self.database, client, self.row, now=self.now)

    def passport(self) -> Passport:
        profile = passport.profile_of(self.settings, self.row)
        with self.database.read() as connection:
            return passport.load(connection, "clinic", profile)

    def changes(self) -> list[str]:
        with self.database.read() as connection:
            return [row.text for row in reversed(rows.changes(connection, "clinic"))]

    def later(self, **span: float) -> None:
        self.now += dt.timedelta(**span)
        self.emr.clock = lambda: self.now

    def ours(self, resource: Json, *, versions: int = 1, who: str = "p1") -> str:
        """A resource that the ledger knows as written by us, with so many versions; gives its id."""
        type_, id_ = resource["resourceType"], resource["id"]
        identifier = {"system": f"{BASE}/id/{type_.lower()}", "value": id_.upper()}
        for _ in range(versions):
            self.emr.put({**resource, "identifier": [identifier]}, type_=type_, id_=id_, by="client")
        add_intent(
            self.database,
            patient_id=who,
            kind=type_,
            system=identifier["system"],
            value=identifier["value"],
            state="written",
            reference=f"{type_}/{id_}",
            version=str(versions),
        )
        return id_
