"""The practice around the patients: organizations, places, people, and each patient's own card."""

from __future__ import annotations

import datetime as dt

from cm_service.sandbox.scenarios.codes import LOINC, SNOMED, UCUM, concept
from cm_service.sandbox.scenarios.kinds import Scenario
from cm_service.sandbox.scenarios.person import MRN, Person
from cm_service.sandbox.wire import Resource

CARE_MANAGER = "Practitioner/care-manager-1"
_NPI = "http://hl7.org/fhir/sid/us-npi"
_TEST_DATA = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}
_GIVEN = (
    *("Ada", "Bram", "Cleo", "Dario", "Edda", "Falk", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Levi"),
    *("Mira", "Nils", "Odile", "Pavel", "Quinn", "Rosa", "Sami", "Thea", "Ugo", "Vera", "Wim", "Yara"),
)
_FAMILY = (
    *("Mockridge", "Samplewood", "Testerby", "Demofield", "Fakenham", "Inventson", "Panelton"),
    *("Synthwell", "Dummerly", "Placeholm", "Fixturegaard", "Seedling", "Nobodyworth", "Stubbsdale"),
)


def surroundings() -> list[Resource]:
    """Everything that belongs to no patient."""
    organizations = {
        "practice": "Lakeside Family Practice (synthetic)",
        "hospital": "Northgate General Hospital (synthetic)",
        "hospital-2": "Riverbend Medical Center (synthetic)",
        "nursing": "Maple Court Skilled Nursing (synthetic)",
    }
    people = {
        "doctor-1": ("Ottilie", "Example-Doctor"),
        "doctor-2": ("Pascal", "Example-Doctor"),
        "care-manager-1": ("Renata", "Example-Carer"),
    }
    return [
        *(_organization(id_, name) for id_, name in organizations.items()),
        *(_location(id_, name) for id_, name in organizations.items()),
        *(_practitioner(id_, *name, number) for number, (id_, name) in enumerate(people.items(), 1)),
        {
            "resourceType": "PractitionerRole",
            "id": "care-manager-1-role",
            "active": True,
            "practitioner": {"reference": CARE_MANAGER},
            "organization": {"reference": "Organization/practice"},
            "code": [_care_manager_role()],
        },
    ]


def _organization(id_: str, name: str) -> Resource:
    identifier = [{"system": "https://sandbox.example/id/organization", "value": id_}]
    return {
        "resourceType": "Organization",
        "id": id_,
        "identifier": identifier,
        "active": True,
        "name": name,
    }


def _location(id_: str, name: str) -> Resource:
    return {
        "resourceType": "Location",
        "id": f"{id_}-site",
        "status": "active",
        "name": name,
        "managingOrganization": {"reference": f"Organization/{id_}"},
    }


def _practitioner(id_: str, given: str, family: str, number: int) -> Resource:
    return {
        "resourceType": "Practitioner",
        "id": id_,
        "identifier": [{"system": _NPI, "value": f"999999{number:04}"}],
        "active": True,
        "name": [{"family": family, "given": [given]}],
    }


def _care_manager_role() -> Resource:
    return {**concept(SNOMED, "768820003"), "text": "Care manager"}


def add_patient(p: Person, kind: Scenario) -> None:
    """The Patient resource: an invented name, and an age that fits the scenario on any day of the year."""
    sex = kind.sex or p.rng.choice(("female", "male"))
    years = p.rng.randint(*kind.ages)
    born = p.today.date - dt.timedelta(days=round(years * 365.25) + p.rng.randint(20, 320))
    patient: Resource = {
        "resourceType": "Patient",
        "id": p.id,
        "identifier": [{"system": MRN, "value": p.id}],
        "active": True,
        "name": [{"use": "official", "family": p.rng.choice(_FAMILY), "given": [p.rng.choice(_GIVEN)]}],
        "telecom": [{"system": "phone", "value": f"555-01{p.rng.randint(0, 99):02}"}],
        "gender": sex,
        "birthDate": born.isoformat(),
        "generalPractitioner": [{"reference": f"Practitioner/doctor-{p.rng.randint(1, 2)}"}],
        "managingOrganization": {"reference": "Organization/practice"},
    }
    p.resources.insert(0, patient)


def add_background(p: Person) -> None:
    """What every file holds and no rule of discharge or follow-up may trip over: old visits, pressures."""
    for days in sorted(p.rng.sample(range(60, 700), p.rng.randint(1, 4))):
        _blood_pressure(p, p.office_visit(days))
    if p.rng.random() < 0.35:
        _care_team(p)


def _blood_pressure(p: Person, visit: Resource) -> None:
    values = {"8480-6": p.rng.randint(108, 158), "8462-4": p.rng.randint(62, 96)}
    unit = {"unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}
    p.of(
        "Observation",
        status="final",
        code=concept(LOINC, "85354-9"),
        encounter={"reference": f"Encounter/{visit['id']}"},
        effectiveDateTime=visit["period"]["start"],
        component=[
            {"code": concept(LOINC, code), "valueQuantity": {"value": value, **unit}}
            for code, value in values.items()
        ],
    )


def _care_team(p: Person) -> None:
    doctor = {**concept(SNOMED, "453231000124104"), "text": "Primary care provider"}
    members = [
        {"role": [doctor], "member": p.patient["generalPractitioner"][0]},
        {"role": [_care_manager_role()], "member": {"reference": CARE_MANAGER}},
    ]
    p.of("CareTeam", status="active", name="Care team", participant=members)


def stamp(resource: Resource, *, changed: str) -> None:
    """The meta of an exported resource, and the mark that it is test data."""
    resource["meta"] = {"versionId": "1", "lastUpdated": changed, "tag": [dict(_TEST_DATA)]}
