"""Oracle Health Millennium, R4, snapshot of 2 May 2024 [CERNER].

- CarePlan (`activity` is never returned), Goal, ServiceRequest, CareTeam and Consent are read-only; there
  is no Task [4a].
- Communication is created and patched; a note (DocumentReference) is created and updated, in XHTML, PDF,
  RTF, text or HTML, with dates that have times; Observation created and updated; Encounter created and
  patched, without a class; Condition, Procedure, Provenance; QuestionnaireResponse only updated [4a].
- Unsupported fields are ignored, modifier extensions are a 422 [CERNER]. No page names `identifier` among
  the fields of a note or a Communication: here it is dropped (chosen).
- A create answers 201 with an empty body whatever is preferred, with an absolute Location without
  _history, and an ETag that counts from 0; an update answers 200 with nothing [CERNER].
- A stale If-Match is a 409, not a 412 [CERNER]. Conditional create is not described (chosen: ignored).
- Nothing written can be searched by identifier: notes by patient; Communications by id, or by category,
  recipient and received together [CERNER].
- `_lastUpdated` works for some types, never with `date` on Observation; CarePlan's `date` needs ge and le;
  without a supported parameter a search is a 400; Observation pages hold 50, at most 200, and the same id
  may come again on the next page (here the last one does) [4b, CERNER].
- Exports of a Group only, one job for a client, else a 429 [4b].
"""

from __future__ import annotations

from cm_service.sandbox import house_rules as house
from cm_service.sandbox.declared import PATCH, Bulk, Declared, Location, Paging, Personality
from cm_service.sandbox.parameters import DOCUMENT_PERIOD, RECEIVED, RECIPIENT
from cm_service.sandbox.personalities.parts import CREATE, UPDATE, clinical, declare, frozen, registers
from cm_service.sandbox.versions import Version

_FORMATS = "application/pdf text/plain text/richtext text/rtf text/html application/xml application/xhtml+xml"
_NOTE = house.keeps(
    "status docStatus type category subject date author authenticator custodian description content context"
)
_MESSAGE = house.keeps(
    "status category priority subject topic encounter sent received recipient sender payload inResponseTo"
)
_ONE_OF_OURS = (frozenset({"_id"}), frozenset({"category", "recipient", "received"}))
_PATCH = frozenset({PATCH})


def _from_zero(version: Version) -> str:
    return str(version.number - 1)


_TYPES: dict[str, Declared] = {
    **registers(
        {
            "Patient": "_id identifier birthdate family name gender _lastUpdated",
            "Practitioner": "_id identifier name",
            "Organization": "_id identifier name type",
            "Location": "_id identifier name",
        }
    ),
    "CarePlan": clinical(
        "CarePlan",
        "subject category status date",
        search_rules=(house.date_pair("date"),),
        withheld=frozenset({"activity"}),
    ),
    "Goal": clinical("Goal", "subject lifecycle-status target-date"),
    "CareTeam": clinical("CareTeam", "subject status"),
    "ServiceRequest": clinical("ServiceRequest", "subject status code authored _lastUpdated"),
    "Consent": clinical("Consent", "status"),
    "Appointment": clinical("Appointment", "date status"),
    "Device": clinical("Device", ""),
    "MedicationRequest": clinical("MedicationRequest", "subject status intent _lastUpdated"),
    "Condition": clinical(
        "Condition",
        "subject category clinical-status _lastUpdated",
        also=CREATE | UPDATE,
        rules=(house.no_modifiers,),
    ),
    "Procedure": clinical("Procedure", "subject date _lastUpdated", also=CREATE, rules=(house.no_modifiers,)),
    "Provenance": declare("Provenance", "_id target", also=CREATE),
    "Encounter": clinical(
        "Encounter",
        "subject date status _lastUpdated",
        also=CREATE | _PATCH,
        rules=(house.no_modifiers, house.drops("class identifier")),
    ),
    "Observation": clinical(
        "Observation",
        "subject code category date _lastUpdated",
        also=CREATE | UPDATE,
        search_rules=(house.not_together("_lastUpdated", "date"),),
        rules=(
            house.no_modifiers,
            house.takes_only("category.coding.code", "vital-signs laboratory"),
            house.drops("identifier"),
        ),
    ),
    "QuestionnaireResponse": clinical(
        "QuestionnaireResponse", "subject authored", also=UPDATE, rules=(house.no_modifiers,)
    ),
    "DocumentReference": clinical(
        "DocumentReference",
        "encounter type category _lastUpdated",
        DOCUMENT_PERIOD,
        also=CREATE | UPDATE,
        rules=(
            house.no_modifiers,
            house.requires("subject", "type", "content.attachment.data"),
            house.takes_only("content.attachment.contentType", _FORMATS),
            house.with_time("date", "context.period.start", "context.period.end"),
            _NOTE,
        ),
    ),
    "Communication": declare(
        "Communication",
        "_id category",
        RECIPIENT,
        RECEIVED,
        also=CREATE | _PATCH,
        needs=_ONE_OF_OURS,
        rules=(house.no_modifiers, _MESSAGE),
    ),
}

ORACLE = Personality(
    name="oracle",
    types=frozen(_TYPES),
    bulk=Bulk(levels=frozenset({"group"}), deleted=False, most_jobs=1),
    max_count=200,
    paging=Paging(parameter="pageContext", of_type=True, repeats=1),
    conflict_status=409,
    version_name=_from_zero,
    location=Location.ABSOLUTE,
    mute=True,
    refuses_condition=False,
)
