"""eClinicalWorks, FHIR Facade 1.6, live CapabilityStatement of 14 August 2026 [ECW-CS].

- QuestionnaireResponse create is the one declared write; no Task, no Communication; the SMART
  configuration promises more [4a, 4c]. Its questionnaire must be named (an integrator, unverified).
- 250 calls a minute and practice, then 429 for the rest of that minute, without Retry-After; the count
  starts anew at the top of each minute [ECW-RATE].
- Searches need a patient (or an id), pages are numbered by `page`; no `_lastUpdated` [4b]. Observation
  declares `_since`, of which no source says what it does: here it filters nothing, so that nobody believes
  a declaration alone. Only Observation and people are searched by identifier [ECW-CS].
- Exports of a Group only, one job at a time; a second kick-off is a 200 that says "duplicate" (row 48).
- How it treats preconditions and what a create answers is not known (chosen: none, an empty 201 with a
  relative Location; If-None-Exist is ignored).
"""

from __future__ import annotations

from cm_service.sandbox import house_rules as house
from cm_service.sandbox.declared import Bulk, Declared, Guard, Location, Meta, Paging, Personality
from cm_service.sandbox.parameters import QUESTIONNAIRE, Kind, SearchParameter
from cm_service.sandbox.personalities.parts import CREATE, clinical, frozen, registers

_SINCE = SearchParameter("_since", Kind.DATE, ("meta.lastUpdated",))


_TYPES: dict[str, Declared] = {
    **registers(
        {
            "Patient": "_id birthdate family gender identifier name",
            "Practitioner": "_id identifier name",
            "PractitionerRole": "_id practitioner role",
            "Organization": "_id name type",
            "Location": "_id name",
            "Provenance": "_id",
        }
    ),
    "CarePlan": clinical("CarePlan", "category encounter"),
    "CareTeam": clinical("CareTeam", "status"),
    "Condition": clinical("Condition", "category encounter onset-date"),
    "Device": clinical("Device", ""),
    "DocumentReference": clinical("DocumentReference", "category date encounter type"),
    "Encounter": clinical("Encounter", "date"),
    "Goal": clinical("Goal", ""),
    "MedicationRequest": clinical("MedicationRequest", "authoredon encounter intent status"),
    "Observation": clinical(
        "Observation",
        "category code date encounter identifier status",
        _SINCE,
        idle=frozenset({"_since"}),
    ),
    "Procedure": clinical("Procedure", "code date encounter status"),
    "ServiceRequest": clinical("ServiceRequest", "status category code"),
    "QuestionnaireResponse": clinical(
        "QuestionnaireResponse",
        "authored",
        QUESTIONNAIRE,
        also=CREATE,
        rules=(house.requires("questionnaire", "subject"),),
    ),
}

ECW = Personality(
    name="ecw",
    types=frozen(_TYPES),
    bulk=Bulk(
        levels=frozenset({"group"}), since=False, type_filter=False, deleted=False, most_jobs=1, refusal=200
    ),
    max_count=100,
    paging=Paging(parameter="page", of_type=True, snapshot=False, numbered=True),
    guard=Guard.NONE,
    gone_status=404,
    etag=False,
    meta=Meta.NO_VERSION,
    location=Location.RELATIVE,
    silent=True,
    refuses_condition=False,
    calls_a_minute=250,
)
