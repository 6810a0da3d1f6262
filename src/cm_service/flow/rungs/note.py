"""A DocumentReference note: plain text in base64, as the first attachment (rules.md 6.12).

Type LOINC 18776-5 (plan of care note) and the US Core category of a clinical note. A draft is
`preliminary`: no machine signs a note that nobody has accepted (Epic: preliminary is a draft).
"""

from __future__ import annotations

import base64

from cm_service.errors import InvalidResource
from cm_service.fhir import resources
from cm_service.fhir.vendor import NoteRules
from cm_service.flow.ours import Json
from cm_service.flow.rungs.copies import Copy

TYPE = "DocumentReference"
PLAIN = "text/plain"
_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"


def takes_plain_text(rules: NoteRules) -> bool:
    """Unknown formats are no obstacle: the EMR will say."""
    return not rules.formats or PLAIN in rules.formats


def build(copy: Copy, rules: NoteRules) -> Json:
    """The note as it will be sent, validated. Raises InvalidResource."""
    if not takes_plain_text(rules):
        raise InvalidResource("this EMR takes no plain text as a note")
    title = copy.page.title
    data = base64.b64encode(copy.text(rules.max_characters).encode()).decode()
    attachment = {"contentType": PLAIN, "data": data, "title": title, "creation": copy.at}
    resource: Json = {
        "resourceType": TYPE,
        "identifier": copy.identifiers,
        "status": "current",
        "docStatus": "preliminary" if copy.draft else "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "18776-5"}], "text": "Plan of care note"},
        "category": [{"coding": [{"system": _CATEGORY, "code": "clinical-note"}]}],
        "subject": copy.patient,
        "date": copy.at,
        "author": [copy.device],
        "description": title,
        "content": [{"attachment": attachment}],
    }
    if copy.previous is not None and copy.previous.reference:
        resource["relatesTo"] = [{"code": "replaces", "target": {"reference": copy.previous.reference}}]
    if copy.encounter:
        resource["context"] = {"encounter": [{"reference": copy.encounter}]}
    return resources.validate(resource)


def closed(current: Json) -> Json:
    """The EMR's own note as superseded: something better has taken its place."""
    return current | {"status": "superseded"}
