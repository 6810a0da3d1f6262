"""The ladder for people: where each kind of intent goes on one EMR today, and what stands on a low rung."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cm_service.db import placements
from cm_service.fhir.vendor import Profile
from cm_service.flow.ladder import (
    KINDS,
    Meaning,
    NoteEncounter,
    Rung,
    Wanted,
    World,
    choose,
    write_settings_of,
)
from cm_service.flow.passport import load


def told(connection: sa.Connection, emr: Any, profile: Profile) -> dict[str, Any]:
    """`intents`: per meaning its rung today and why it is no higher one (of a note that hangs on an
    encounter: where there is one); `degraded`: how many stand on which lower rung, and why."""
    return {
        "intents": [
            {"intent": str(meaning), "rung": str(choice.rung), "reason": choice.reason}
            for meaning in Meaning
            if (choice := _choice(connection, emr, profile, meaning, accepted=False))
        ],
        "degraded": placements.degraded(connection, emr.slug),
    }


def warnings(connection: sa.Connection, emr: Any, profile: Profile) -> list[str]:
    """What no rung of the EMR takes, even when a person has accepted it."""
    found = []
    for meaning in Meaning:
        choice = _choice(connection, emr, profile, meaning, accepted=True)
        if choice.rung == Rung.OWN:
            found.append(f"{meaning}: {choice.reason}")
    return found


def _choice(
    connection: sa.Connection, emr: Any, profile: Profile, meaning: Meaning, *, accepted: bool
) -> Any:
    settings = write_settings_of(emr.settings)
    hangs = None if settings.note_encounter == NoteEncounter.NONE else "Encounter/any"
    world = World(load(connection, emr.slug, profile), settings, emr.write_mode != "auto")
    return choose(Wanted(meaning, KINDS[meaning], accepted, hangs), world)
