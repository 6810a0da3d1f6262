"""The synthetic panel: a practice whose patients show everything the rules must see through.

Every name is invented. The same seed, moment and zone give the same resources, byte for byte.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from cm_service.errors import BadInput
from cm_service.sandbox.scenarios import (
    conditions,
    diabetes,
    emergency,
    gates,
    stays,
    stays_untidy,
    targets,
    untidy,
)
from cm_service.sandbox.scenarios.kinds import Scenario
from cm_service.sandbox.scenarios.person import Person, Today
from cm_service.sandbox.scenarios.practice import add_background, add_patient, stamp, surroundings
from cm_service.sandbox.wire import Resource, encode, instant

SEED = 20261122
PATIENTS = 240

SCENARIOS: tuple[Scenario, ...] = tuple(
    value
    for module in (diabetes, targets, stays, stays_untidy, emergency, conditions, gates, untidy)
    for value in vars(module).values()
    if isinstance(value, Scenario)
)


def build_panel(
    *, as_of: dt.datetime, zone: dt.tzinfo, patients: int = PATIENTS, seed: int = SEED
) -> list[Resource]:
    """Practice first, then patient by patient. `as_of` is aware, `zone` the practice's.

    Raises BadInput for fewer patients than there are scenarios.
    """
    today = Today(as_of, zone)
    resources = surroundings()
    for number, (id_, kind) in enumerate(cast(patients).items()):
        resources += _person(id_, kind, today=today, rng=random.Random(f"{seed}/{number}"))
    return resources


def cast(patients: int = PATIENTS) -> dict[str, Scenario]:
    """Who plays what: patient id -> scenario. First one of each, then more by their share."""
    if patients < len(SCENARIOS):
        raise BadInput(f"a panel that shows everything needs at least {len(SCENARIOS)} patients")
    return {f"syn-{number:04}": kind for number, kind in zip(range(1, patients + 1), _order(), strict=False)}


def _order() -> Iterator[Scenario]:
    while True:
        for turn in range(max(kind.share for kind in SCENARIOS)):
            yield from (kind for kind in SCENARIOS if kind.share > turn)


def _person(id_: str, kind: Scenario, *, today: Today, rng: random.Random) -> list[Resource]:
    person = Person(id_, today, rng)
    add_patient(person, kind)
    kind.build(person)
    add_background(person)
    if not person.without_meta:
        for resource in person.resources:
            stamp(resource, changed=instant(today.as_of - dt.timedelta(hours=1)))
    return person.resources


def write_panel(resources: Iterable[Resource], folder: Path) -> dict[str, int]:
    """One NDJSON file per type, as a Bulk export lays them out. Returns lines by type."""
    by_type: dict[str, list[bytes]] = {}
    for resource in resources:
        by_type.setdefault(resource["resourceType"], []).append(encode(resource) + b"\n")
    folder.mkdir(parents=True, exist_ok=True)
    for type_, lines in by_type.items():
        (folder / f"{type_}.ndjson").write_bytes(b"".join(lines))
    return {type_: len(lines) for type_, lines in by_type.items()}
