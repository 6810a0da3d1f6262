"""Canvas, API pages of 22 May 2025 and live CapabilityStatement of 14 August 2026 [CANVAS].

- CarePlan, Goal and Encounter are read-only; no ServiceRequest by the pages of 2025 [4a].
- Task is created and updated, Communication and DocumentReference created, Observation created for the
  LOINC codes of vital signs, QuestionnaireResponse created and then only set to entered-in-error,
  Condition and Appointment created and updated, Consent created [4a].
- The one precondition is If-Unmodified-Since, in whole seconds, refused with 412; no ETag, no If-Match. A
  change within the same second passes it [CANVAS, row 21].
- No conditional create: nothing refuses If-None-Exist, a POST that is sent again makes a second one [CANVAS].
- 10 results a page, at most 100, by `_offset`; no `_lastUpdated`, but Task has `modified`; of what can be
  written only Appointment is searched by identifier [CANVAS].
- What a create answers is not known (chosen: an empty 201 with an absolute Location); searches are not
  limited to a patient (4b says "mostly").
"""

from __future__ import annotations

from cm_service.sandbox import house_rules as house
from cm_service.sandbox.declared import Declared, Guard, Location, Meta, Paging, Personality
from cm_service.sandbox.parameters import QUESTIONNAIRE, RECIPIENT, SENDER
from cm_service.sandbox.personalities.parts import CREATE, UPDATE, declare, frozen, registers

_VITALS = (
    "8867-4 9279-1 8310-5 8302-2 29463-7 39156-5 85354-9 8480-6 8462-4 2708-6 59408-5 9843-4 56086-2 8287-5"
)

_TYPES: dict[str, Declared] = {
    **registers(
        {
            "Patient": "_id identifier active birthdate family gender name",
            "Practitioner": "_id active name",
            "Organization": "_id",
            "Location": "_id",
            "CarePlan": "_id category patient",
            "Goal": "_id patient",
            "Encounter": "_id date patient subject",
            "Device": "_id patient",
            "MedicationRequest": "_id intent patient status",
            "Procedure": "_id patient",
            "Provenance": "_id agent target",
            "Specimen": "_id patient",
        }
    ),
    "CareTeam": declare("CareTeam", "participant patient status", also=UPDATE),
    "Appointment": declare(
        "Appointment", "_id appointment-type date identifier patient status", also=CREATE | UPDATE
    ),
    "Condition": declare(
        "Condition",
        "_id category clinical-status patient verification-status",
        also=CREATE | UPDATE,
    ),
    "Consent": declare("Consent", "_id patient", also=CREATE),
    "Task": declare("Task", "_id modified owner patient priority requester status", also=CREATE | UPDATE),
    "Communication": declare("Communication", "_id patient", RECIPIENT, SENDER, also=CREATE),
    "DocumentReference": declare(
        "DocumentReference",
        "_id category date patient status subject type",
        also=CREATE,
        rules=(house.requires("subject", "type", "content.attachment.data"),),
    ),
    "Observation": declare(
        "Observation",
        "_id category code date patient",
        also=CREATE,
        rules=(house.takes_only("code.coding.code", _VITALS, status=422),),
    ),
    "QuestionnaireResponse": declare(
        "QuestionnaireResponse",
        "_id authored patient",
        QUESTIONNAIRE,
        also=CREATE | UPDATE,
        rules=(house.requires("questionnaire", "subject"),),
        update_rules=(house.only_to("entered-in-error"),),
    ),
}

CANVAS = Personality(
    name="canvas",
    types=frozen(_TYPES),
    default_count=10,
    max_count=100,
    paging=Paging(parameter="_offset", of_type=True, snapshot=False),
    guard=Guard.DATE,
    gone_status=404,
    etag=False,
    meta=Meta.NO_VERSION,
    location=Location.ABSOLUTE,
    silent=True,
    refuses_condition=False,
)
