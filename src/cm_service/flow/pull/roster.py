"""Whom a pull is about, where the EMR answers only about one patient at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cm_service.errors import BadInput, EmrError
from cm_service.fhir.client import FhirClient
from cm_service.fhir.values import References, is_id
from cm_service.flow.pull.source import Source

FILE = "file:"


class Roster(NamedTuple):
    """`origin` is list, group, export (those whom one of the Group brought), patients (those that a search of
    Patient gave) or store. `reason` says why a better origin could not be read: then nobody who is missing
    has left."""

    ids: tuple[str, ...]
    origin: str
    reason: str = ""


def listed(setting: str | None) -> tuple[str, ...] | None:
    """The ids in the file that the connection names (`file:PATH`, one Patient id a line), None for none.
    Raises BadInput for a file that is missing, empty or holds something else."""
    if not setting:
        return None
    path = Path(setting.removeprefix(FILE))
    if not setting.startswith(FILE) or not path.is_file():
        raise BadInput("roster is file:PATH, a file with one Patient id a line")
    lines = [line.strip() for line in path.read_text().splitlines()]
    ids = [line.removeprefix("Patient/") for line in lines if line and not line.startswith("#")]
    wrong = [number for number, one in enumerate(ids, 1) if not is_id(one)]
    if not ids or wrong:
        raise BadInput(f"{path.name} is no roster: " + (f"entry {wrong[0]} is no id" if wrong else "empty"))
    return tuple(dict.fromkeys(ids))


async def find(client: FhirClient, source: Source, seen: tuple[str, ...] | None) -> Roster:
    """`seen` are the patients whom a complete search of Patient gave, None where there was none."""
    if source.listed is not None:
        return Roster(source.listed, "list")
    reason = ""
    if source.group:
        try:
            return Roster(await group_members(client, source.group), "group")
        except EmrError as error:
            reason = f"the Group of the panel could not be read: {error}"
    if seen is not None:
        return Roster(seen, "patients", reason)
    return Roster(source.panel, "store", reason)


async def group_members(client: FhirClient, group: str) -> tuple[str, ...]:
    """Raises EmrError."""
    resource = await client.read("Group", group.removeprefix("Group/"))
    return tuple(dict.fromkeys(_patients(resource, References(client.base_url))))


def _patients(group: dict[str, Any], references: References) -> Iterator[str]:
    """Members that are patients of this EMR and have not left the Group."""
    for member in group.get("member") or []:
        entity = member.get("entity") if isinstance(member, dict) else None
        text = entity.get("reference") if isinstance(entity, dict) else None
        patient = references.patient(text) if isinstance(text, str) else None
        if patient is not None and member.get("inactive") is not True:
            yield patient
