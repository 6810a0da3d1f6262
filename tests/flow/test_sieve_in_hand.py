"""What a damaged resource of a Bundle leaves open: the same as a damaged line of a folder."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cm_service.flow.in_hand import decide
from cm_service.flow.sieve import read_bundle
from cm_service.rules.parameters import Parameters
from tests.cases.fhir_json import a1c, diabetes, encounter, patient
from tests.cases.harness import AS_OF, DETROIT
from tests.flow.reading import Json, put, read

STAY = encounter("e1", "IMP", "2026-11-17T09:00-05:00", "2026-11-20T14:00-05:00", disposition="home")
DAMAGED: dict[str, Json] = {
    "a period that is a text": STAY | {"period": "2026"},
    "a status that is a number": STAY | {"status": 5},
    "a subject that is a text": STAY | {"subject": "Patient/p1"},
    "an absolute subject": STAY
    | {"status": 5, "subject": {"reference": "https://emr.example/fhir/Patient/p1"}},
    "an unknown type": STAY | {"resourceType": "Visit"},
    "no type": {key: value for key, value in STAY.items() if key != "resourceType"},
    "no id": {key: value for key, value in STAY.items() if key != "id"},
    "a Patient": patient() | {"birthDate": 5},
}
NOBODYS: dict[str, Json] = {
    "two patients": STAY
    | {"status": 5, "subject": None, "a": {"reference": "Patient/p1"}, "b": {"reference": "Patient/p2"}},
    "a place": {"resourceType": "Location", "id": "l1", "name": 5, "x": {"reference": "Patient/p1"}},
    "a type that no rule reads": {"resourceType": "Claim", "id": "x", "status": 5, "patient": "Patient/p1"},
}


def bundle(*resources: Json) -> Json:
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


@pytest.mark.parametrize("damaged", [*DAMAGED.values(), *NOBODYS.values()], ids=[*DAMAGED, *NOBODYS])
def test_a_bundle_leaves_open_what_a_folder_does(tmp_path: Path, damaged: Json) -> None:
    world = [patient("p2"), a1c(7.0, subject={"reference": "https://emr.example/fhir/Patient/p2"}), damaged]
    put(tmp_path, "all.ndjson", world)
    held = read(tmp_path).reading.holes
    assert read_bundle(bundle(*world)).holes == held
    assert held.keys() == ({"p1"} if damaged in DAMAGED.values() else set())


def outcomes(*resources: Json) -> dict[str, Any]:
    found = decide(
        bundle(*resources),
        as_of=dt.datetime.fromisoformat(AS_OF),
        zone=ZoneInfo(DETROIT),
        parameters=Parameters(),
    )
    return {decision.rule: decision for decision in found.decisions if decision.patient == "p1"}


@pytest.mark.parametrize("damage", [{"period": "2026"}, {"status": 5}])
def test_a_damaged_encounter_in_hand_leaves_its_patients_discharges_open(damage: Json) -> None:
    found = outcomes(patient(), diabetes(), STAY | damage)
    for rule in ("DIS-TCM", "DIS-AMA", "ED-FU", "CHR-MULTI"):
        assert (found[rule].outcome, "input_incomplete" in found[rule].reasons) == ("insufficient_data", True)


def test_a_result_that_moved_to_somebody_else_enrols_nobody() -> None:
    mine = a1c(9.0, meta={"lastUpdated": "2026-11-12T10:00:00Z"})
    theirs = mine | {"subject": {"reference": "Patient/p2"}, "meta": {"lastUpdated": "2026-11-13T10:00:00Z"}}
    out = outcomes(patient(), patient("p2"), diabetes(), mine, theirs)["A1C-OUT"]
    assert (out.outcome, [*out.reasons]) == ("insufficient_data", ["no_recent_result"])
