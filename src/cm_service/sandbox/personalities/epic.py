"""Epic, R4, August 2026.

- CarePlan, Goal, ServiceRequest, Encounter and Consent are read-only; an encounter cannot be created [4a].
- Writes of use: a clinical note (DocumentReference) on an existing encounter of the same patient, finished
  ones too, text/plain in base64, the first attachment only; vital signs on an open encounter, with a note
  of 254 characters; Condition (provisional only, else 422 59012, note of 450 characters) and
  AllergyIntolerance, both into a holding tank that no search sees until a clinician reconciles [4a, SEG].
- Nothing is conditional: If-None-Exist does nothing (chosen: it is ignored), no ETag, no If-Match, no
  delete, no patch, no transaction [SEG]. A replayed note or problem is a second one; a replayed vital sign
  is 400 59189 "Reading already exists"; an allergy that is on the chart already is 59141 [SEG].
- 201 without a body unless `Prefer: return=representation`; Location is relative, `Type/id` [SEG].
- /metadata lists more than a client is given: note update (since July 2026, without a public
  specification), Communication and Task of Community Resource, answers to assigned questionnaires, Patient
  create [4a, 4c]. A call to what is not on the client's list is a 403 with an empty body [SEG].
- A patient is required in searches; the categories procedure, therapy and activity give an error; there is
  no `_lastUpdated` and no `meta` in what is read; ids have 88 characters [4b]. Unknown parameters are
  ignored (chosen). Identifiers are stripped and little is echoed [4c].
- Exports of a Group only, one at a time for a client, and no `_since` (chosen: it is ignored) [4b].
- Encounter.class is a number of the house, since codes are local where they can be (row 62; chosen here).
"""

from __future__ import annotations

from cm_service.sandbox import house_rules as house
from cm_service.sandbox.adapting import long_id, with_local_classes, with_long_ids
from cm_service.sandbox.calls import Call, Emr
from cm_service.sandbox.declared import Bulk, Declared, Guard, Location, Meta, Personality, Unknown
from cm_service.sandbox.personalities.parts import CREATE, UPDATE, clinical, declare, frozen, registers
from cm_service.sandbox.wire import Resource

_STRIPPED = house.drops("identifier meta")
_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"
_READING = ("subject.reference", "code.coding.code", "effectiveDateTime")


def _as_filed(_: Emr, call: Call) -> Resource:
    """A note gets the category that makes it one."""
    note = {"coding": [{"system": _CATEGORY, "code": "clinical-note"}]}
    return {**call.resource, "category": [note]}


_TYPES: dict[str, Declared] = {
    **registers(
        {
            "Practitioner": "_id identifier name",
            "PractitionerRole": "_id practitioner organization",
            "Organization": "_id identifier name",
            "Location": "_id identifier name",
        }
    ),
    "Patient": declare("Patient", "_id identifier birthdate family name gender", hollow=CREATE),
    "CarePlan": clinical("CarePlan", "subject category status encounter"),
    "Goal": clinical("Goal", "subject category lifecycle-status"),
    "CareTeam": clinical("CareTeam", "subject status"),
    "ServiceRequest": clinical("ServiceRequest", "subject category code status"),
    "Encounter": clinical("Encounter", "subject date class identifier"),
    "Procedure": clinical("Procedure", "subject date code"),
    "MedicationRequest": clinical("MedicationRequest", "subject status intent authoredon"),
    "Consent": clinical("Consent", "category status"),
    "Appointment": clinical("Appointment", "date status"),
    "Device": clinical("Device", "status"),
    "Specimen": declare("Specimen", "_id"),
    "Task": clinical("Task", "status", hollow=UPDATE),
    "Communication": clinical("Communication", "subject category", hollow=CREATE),
    "QuestionnaireResponse": clinical("QuestionnaireResponse", "subject encounter", hollow=CREATE),
    "DocumentReference": clinical(
        "DocumentReference",
        "subject type category date encounter",
        also=CREATE,
        hollow=UPDATE,
        rules=(
            house.requires("subject", "type.coding"),
            house.takes_only("status", "current"),
            house.takes_only("docStatus", "preliminary final"),
            house.on_encounter("context.encounter"),
            house.plain_text_note,
            _STRIPPED,
            _as_filed,
        ),
    ),
    "Observation": clinical(
        "Observation",
        "subject category code date",
        also=CREATE,
        search_rules=(house.never("category", "procedure therapy activity"),),
        rules=(
            house.requires("subject", "category", "effectiveDateTime"),
            house.takes_only("status", "final"),
            house.takes_only("category.coding.code", "vital-signs"),
            house.on_encounter("encounter", open_only=True),
            house.at_most("note.text", 254),
            house.once(*_READING, detail="59189", words="Reading already exists"),
            _STRIPPED,
        ),
    ),
    "Condition": clinical(
        "Condition",
        "subject category clinical-status code encounter",
        also=CREATE,
        held=True,
        rules=(
            house.requires("code.coding.code"),
            house.takes_only("verificationStatus.coding.code", "provisional", status=422, detail="59012"),
            house.at_most("note.text", 450),
            _STRIPPED,
        ),
    ),
    "AllergyIntolerance": clinical(
        "AllergyIntolerance",
        "",
        also=CREATE,
        held=True,
        rules=(
            house.requires("patient", "code.coding.code"),
            house.once("patient.reference", "code.coding.code", detail="59141", words="a duplicate record"),
            _STRIPPED,
        ),
    ),
}

EPIC = Personality(
    name="epic",
    types=frozen(_TYPES),
    bulk=Bulk(levels=frozenset({"group"}), since=False, deleted=False, most_jobs=1),
    unknown=Unknown.IGNORED,
    guard=Guard.NONE,
    gone_status=404,
    etag=False,
    meta=Meta.NONE,
    location=Location.RELATIVE,
    silent=True,
    refuses_condition=False,
    hollow_status=403,
    longest_id=88,
    id_of=long_id,
    adapt=(with_long_ids, with_local_classes),
)
