"""A practice on an EMR of a given personality: nights read a folder, and write to that EMR over HTTP."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any

from cm_service import wiring
from cm_service.db import connections, ledger, placements
from cm_service.db.engine import Database
from cm_service.flow import passport
from cm_service.flow.deliver import rungs
from cm_service.flow.ladder import Rung, write_settings_of
from cm_service.flow.rungs.copies import version_of
from cm_service.flow.rungs.limited import Around
from cm_service.sandbox.adapting import LOCAL_CLASSES
from cm_service.sandbox.personality import adapted, personality_named
from tests.flow.ladder_world import FORM
from tests.flow.night_world import (
    AS_OF,
    Json,
    Practice,
    a1c,
    condition,
    diabetes,
    out_of_range,
    patient,
    stay,
)
from tests.flow.passport_world import serve

PROFILES = {"generous": None, "nextgen": "nextgen-enterprise"}
# What an operator sets; the last line is what a house's own class of encounters means.
EQUIPPED = {
    "form-questionnaire": FORM,
    "note-encounter": "discharge-stay",
    f"map:{LOCAL_CLASSES}|4": "http://terminology.hl7.org/CodeSystem/v3-ActCode|IMP",
}
_OVER = {"superseded", "entered-in-error"}


def panel() -> list[Json]:
    """Somebody out of range, somebody home from hospital, somebody with several chronic conditions."""
    return [
        *out_of_range("p1"),
        patient("p2"),
        stay("s2", "p2"),
        patient("p3"),
        diabetes("p3"),
        a1c(7.0, "p3", effectiveDateTime="2026-11-01"),
        condition("p3-htn", "I10", "p3"),
        condition("p3-ckd", "N18.30", "p3"),
    ]


class House(Practice):
    """`emr` is the EMR's own store."""

    def __init__(self, database: Database, folder: Path, personality: str, **columns: Any) -> None:
        self.personality = personality_named(personality)
        emr, base_url = serve(self.personality)
        emr.clock = lambda: AS_OF
        self.input = folder / "panel"
        settings = {**EQUIPPED, **columns.pop("settings", {})}
        chosen = {"profile": PROFILES.get(personality, personality), "settings": settings, **columns}
        super().__init__(database, emr, base_url, folder, **chosen)
        self.holds(panel())

    def holds(self, resources: list[Json]) -> None:
        """The EMR holds these, and the folder that the nights read says the same."""
        told = list(adapted(resources, self.personality))
        self.emr.load(told)
        self.input.mkdir(exist_ok=True)
        lines = "".join(f"{json.dumps(each)}\n" for each in told)
        (self.input / "panel.ndjson").write_text(lines)

    def night(self, days: int = 0, **options: Any) -> Json:
        return self.run(AS_OF + dt.timedelta(days=days), source=self.input, **options)

    @property
    def emr_row(self) -> Any:
        with self.database.read() as connection:
            return connections.get_emr(connection, "clinic")

    def accept_all(self) -> None:
        with self.database.write() as connection:
            for row in self.rows(rung=Rung.OWN):
                placements.accept(connection, row.id, by="nurse", now=AS_OF)

    def current(self, row: Any) -> list[Json]:
        """What an EMR's reader finds of one intent: each current thing that carries it, in its store."""
        type_ = row.kind if row.rung == Rung.NATIVE else (row.reference or "/").partition("/")[0]
        live = [version.resource for version in self.emr.live(type_)] if type_ else []
        return [each for each in live if each is not None and _carries(each, row)]

    def found(self, row: Any) -> list[Json] | None:
        """The same as the service finds it again, by asking."""

        async def ask() -> list[Json] | None:
            emr = self.emr_row
            with self.database.read() as connection:
                known = passport.load(connection, "clinic", passport.profile_of(self.settings, emr))
            around = Around(self.settings.identifier_base, dt.UTC, AS_OF, True, write_settings_of({}))
            async with wiring.fhir_client(self.settings, emr) as client:
                capability = await client.capability()
                with self.database.read() as connection:
                    whole = ledger.one(connection, row.id)
                return await rungs(client, capability, around, lambda: known)[row.rung].find(whole)

        return asyncio.run(ask())


def _carries(resource: Json, row: Any) -> bool:
    if resource.get("status") in _OVER:
        return False
    if version_of(resource, row.system, row.value) is not None:
        return True
    held = resource.get("identifier") or []
    listed = held if isinstance(held, list) else [held]
    return any((each.get("system"), each.get("value")) == (row.system, row.value) for each in listed)
