"""A practice for the foreign EMR: people of the foreign population, and people whom the rules must find."""

from __future__ import annotations

import datetime as dt
import re
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cm_service.sandbox import panel
from tests.real import loading
from tests.real.command import AS_OF, ZONE
from tests.real.loading import Resource

SYNTHEA = Path(__file__).parents[1] / "data" / "synthea"
PANEL_SIZE = len(panel.SCENARIOS)
# By the first digits of their ids: whom rules find there, whom they cannot judge, whom gates or age
# let go; the others only because they stand first in the file.
TELLING = (
    *("0e81618b", "3266b648", "5a89f982", "64b53608", "6e1b5dba", "7e0af275", "84486ea3", "93231218"),
    *("e7400db7", "e9a8cc5a", "61fa4da5", "8401ca86", "b3dc14fa", "7bd4fb1d", "580ec417", "02520300"),
    *("e3c6ee3c", "c730a244", "bcfd0b16", "0b87ae11"),
)
OTHERS = 6
_PLACES = ("Organization", "Location", "Practitioner")
_RECORDS = ("CareTeam", "Encounter", "Condition", "Procedure", "CarePlan")
# What every US server knows; without them $validate calls any code of theirs an error.
_VOCABULARIES = {
    "http://hl7.org/fhir/us/core/CodeSystem/careplan-category": ("assess-plan",),
    "http://unitsofmeasure.org": ("%", "{visits}"),
}


@cache
def foreign_people() -> tuple[str, ...]:
    """The ids of the foreign patients who are loaded."""
    everybody = [person["id"] for person in loading.read_folder(SYNTHEA, "Patient")]
    telling = [id_ for id_ in everybody if id_.startswith(TELLING)]
    return (*telling, *[id_ for id_ in everybody if id_ not in telling][:OTHERS])


def resources() -> list[Resource]:
    """Everything to load, in an order in which every reference leads to what is there already."""
    return [*_vocabularies(), *_foreign(), *_panel()]


def playing(scenario: str) -> str:
    """The panel's patient who plays this scenario (its function name)."""
    return next(id_ for id_, kind in panel.cast(PANEL_SIZE).items() if kind.name == scenario)


def _panel() -> list[Resource]:
    moment = dt.datetime.fromisoformat(AS_OF)
    return panel.build_panel(as_of=moment, zone=ZoneInfo(ZONE), patients=PANEL_SIZE)


def _foreign() -> list[Resource]:
    """Whole records, but of the results only HbA1c: the others are two thirds of all lines, and the
    pull does not ask for them."""
    people = {f"Patient/{id_}" for id_ in foreign_people()}
    places = loading.read_folder(SYNTHEA, *_PLACES)
    places = loading.with_plain_references(places, places)
    patients = [each for each in loading.read_folder(SYNTHEA, "Patient") if _key(each) in people]
    found = loading.read_folder(SYNTHEA, *_RECORDS)
    found += loading.read_folder(SYNTHEA, "Observation", mentioning='"4548-4"')
    own = [each for each in found if each["subject"]["reference"] in people]
    own = loading.with_plain_references(own, places)
    needed = _referred_to(own)
    needed |= _referred_to([each for each in places if _key(each) in needed])  # a Location's Organization
    return [*(each for each in places if _key(each) in needed), *patients, *own]


def _vocabularies() -> list[Resource]:
    return [
        {
            "resourceType": "CodeSystem",
            "id": re.sub(r"\W+", "-", url),
            "url": url,
            "status": "active",
            "content": "fragment",
            "concept": [{"code": code} for code in codes],
        }
        for url, codes in _VOCABULARIES.items()
    ]


def _key(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _referred_to(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["reference"]} if isinstance(value.get("reference"), str) else set()
        return own.union(*(_referred_to(each) for each in value.values()))
    if isinstance(value, list | tuple):
        return set().union(*(_referred_to(each) for each in value))
    return set()
