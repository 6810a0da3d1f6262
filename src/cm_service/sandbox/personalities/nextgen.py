"""NextGen Enterprise, CapabilityStatement of 24 July 2026 [NG-CS].

- Read-only throughout, 28 types, `versioning: no-version`; no Task, no Communication. Other writes only
  by paid partner programs [4a].
- `_lastUpdated` on all clinical types; a patient is required; `_maxresults` instead of `_count` [4b].
- How its next links look is not known (chosen: numbered rows, each page a new search).
"""

from __future__ import annotations

from cm_service.sandbox.declared import Guard, Meta, Paging, Personality
from cm_service.sandbox.personalities.parts import clinical, frozen, registers

_CLINICAL = {
    "Appointment": "date status",
    "CarePlan": "category status",
    "CareTeam": "status",
    "Condition": "category clinical-status code",
    "Device": "",
    "DocumentReference": "type category date status",
    "Encounter": "date class status",
    "Goal": "lifecycle-status",
    "MedicationRequest": "intent status authoredon",
    "Observation": "category code date status",
    "Procedure": "date code status",
    "QuestionnaireResponse": "authored",
    "ServiceRequest": "category code authored status",
    "Specimen": "",
}


NEXTGEN = Personality(
    name="nextgen",
    types=frozen(
        {
            **registers(
                {
                    "Patient": "_id identifier birthdate family name gender _lastUpdated",
                    "Practitioner": "_id identifier name",
                    "PractitionerRole": "_id practitioner",
                    "Organization": "_id name",
                    "Location": "_id name",
                    "Provenance": "target",
                }
            ),
            **{kind: clinical(kind, f"_lastUpdated {names}") for kind, names in _CLINICAL.items()},
        }
    ),
    paging=Paging(parameter="_offset", count="_maxresults", of_type=True, snapshot=False),
    guard=Guard.NONE,
    gone_status=404,
    etag=False,
    meta=Meta.NO_VERSION,
)
