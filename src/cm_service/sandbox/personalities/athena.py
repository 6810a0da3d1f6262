"""athenahealth athenaOne, R4, live CapabilityStatement of 14 August 2026 [ATHENA-CS].

- Everything is read-only but QuestionnaireResponse create; no Task, no Communication [4a]. Its
  questionnaire must be named (an integrator's finding, 2 October 2026; unverified).
- `MeasureReport/$submit-care-gaps` is an inlet and nothing else: no read, no search. Its definition is not
  public (403): here it takes a MeasureReport, or Parameters or a Bundle with some, of a known patient.
- A patient, `_id` or encounter is required; `_lastUpdated` has the precision of a date [4b]; no clinical
  type is searched by identifier [ATHENA-CS].
- Exports of a Group only, two jobs for a client and practice [4b].
- Pages by `cursor`. No conditional create is declared (chosen: ignored); how it treats If-Match and what a
  create answers is not known (chosen: no version, an empty 201 with an absolute Location).
"""

from __future__ import annotations

from typing import Any

from cm_service.sandbox import house_rules as house
from cm_service.sandbox.care_gaps import submit_care_gaps
from cm_service.sandbox.declared import Bulk, Declared, Guard, Location, Meta, Paging, Personality
from cm_service.sandbox.parameters import EVERY, QUESTIONNAIRE, SearchParameter
from cm_service.sandbox.personalities.parts import CREATE, PATIENT_OR_ID, clinical, declare, frozen, registers

_NARROW = (*PATIENT_OR_ID, frozenset({"encounter"}))


def _by_day(kind: str) -> SearchParameter:
    return EVERY[kind]["_lastUpdated"]._replace(days=True)


def _clinical(kind: str, names: str, *more: SearchParameter, **switches: Any) -> Declared:
    return clinical(kind, names, _by_day(kind), *more, needs=_NARROW, **switches)


_TYPES: dict[str, Declared] = {
    **registers(
        {
            "Practitioner": "_id identifier",
            "Organization": "_id",
            "Location": "_id",
            "Appointment": "_id",
            "Provenance": "target",
        }
    ),
    "Patient": declare("Patient", "_id identifier name birthdate gender family", _by_day("Patient")),
    "CarePlan": _clinical("CarePlan", "category"),
    "CareTeam": _clinical("CareTeam", "status"),
    "Condition": _clinical("Condition", "encounter code category"),
    "Device": _clinical("Device", ""),
    "DocumentReference": _clinical("DocumentReference", "category type date encounter"),
    "Encounter": _clinical("Encounter", "date service-provider"),
    "Goal": _clinical("Goal", ""),
    "MedicationRequest": _clinical("MedicationRequest", "intent status authoredon encounter code"),
    "Observation": _clinical("Observation", "date category code encounter"),
    "Procedure": _clinical("Procedure", "date encounter"),
    "ServiceRequest": _clinical("ServiceRequest", "encounter status authored code category"),
    "Specimen": _clinical("Specimen", ""),
    "QuestionnaireResponse": _clinical(
        "QuestionnaireResponse",
        "authored encounter status",
        QUESTIONNAIRE,
        also=CREATE,
        rules=(house.requires("questionnaire", "subject"),),
    ),
    "MeasureReport": declare(
        "MeasureReport", "", does=frozenset(), operations={"submit-care-gaps": submit_care_gaps}
    ),
}

ATHENA = Personality(
    name="athena",
    types=frozen(_TYPES),
    bulk=Bulk(levels=frozenset({"group"}), type_filter=False, deleted=False, most_jobs=2),
    paging=Paging(parameter="cursor", of_type=True),
    guard=Guard.NONE,
    gone_status=404,
    etag=False,
    meta=Meta.NO_VERSION,
    location=Location.ABSOLUTE,
    silent=True,
    refuses_condition=False,
)
