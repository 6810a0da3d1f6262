"""MEDITECH Expanse, Greenfield, US Core STU6, CapabilityStatement read on 6 August 2026 [MT-CS].

- Communication create, QuestionnaireResponse create and update; everything else is read-only [4a]. Task
  and Provenance are read by id and not searched [MT-CS].
- Pages by `continue`; no `_lastUpdated`; nothing but people is searched by identifier; Communication by
  patient, sender, recipient and sent [MT-CS]. Searches need a patient or an id (chosen).
- How it treats preconditions is not known (chosen, as the worst case: an ETag is sent and If-Match is
  never checked, so that an ETag proves nothing); If-None-Exist is ignored (chosen).
"""

from __future__ import annotations

from cm_service.sandbox import house_rules as house
from cm_service.sandbox.declared import Declared, Guard, Interaction, Location, Paging, Personality
from cm_service.sandbox.parameters import (
    DOCUMENT_PERIOD,
    QUESTIONNAIRE,
    RECIPIENT,
    SENDER,
)
from cm_service.sandbox.personalities.parts import (
    CREATE,
    UPDATE,
    clinical,
    declare,
    frozen,
    registers,
)

_BY_ID_ONLY = frozenset({Interaction.READ})


_TYPES: dict[str, Declared] = {
    **registers(
        {
            "Patient": "_id identifier name birthdate gender family",
            "Practitioner": "_id name identifier active",
            "PractitionerRole": "_id practitioner",
            "Organization": "_id name",
            "Location": "_id name",
            "Specimen": "_id",
        }
    ),
    "Task": declare("Task", "", does=_BY_ID_ONLY),
    "Provenance": declare("Provenance", "", does=_BY_ID_ONLY),
    "Appointment": clinical("Appointment", "date status"),
    "CarePlan": clinical("CarePlan", "category status"),
    "CareTeam": clinical("CareTeam", "status"),
    "Condition": clinical("Condition", "category clinical-status code onset-date recorded-date"),
    "Device": clinical("Device", ""),
    "DocumentReference": clinical("DocumentReference", "type", DOCUMENT_PERIOD),
    "Encounter": clinical("Encounter", "date"),
    "Goal": clinical("Goal", "lifecycle-status target-date"),
    "MedicationRequest": clinical("MedicationRequest", "intent status authoredon"),
    "Observation": clinical("Observation", "category code date"),
    "Procedure": clinical("Procedure", "date code status"),
    "ServiceRequest": clinical("ServiceRequest", "authored category code encounter status"),
    "Communication": clinical("Communication", "subject sent", RECIPIENT, SENDER, also=CREATE),
    "QuestionnaireResponse": clinical(
        "QuestionnaireResponse",
        "authored status",
        QUESTIONNAIRE,
        also=CREATE | UPDATE,
        rules=(house.requires("questionnaire", "subject"),),
    ),
}

MEDITECH = Personality(
    name="meditech",
    types=frozen(_TYPES),
    paging=Paging(parameter="continue", of_type=True),
    guard=Guard.NONE,
    gone_status=404,
    location=Location.ABSOLUTE,
    silent=True,
    refuses_condition=False,
)
