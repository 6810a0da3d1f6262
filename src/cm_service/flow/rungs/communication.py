"""A Communication to the care-manager pool: the same text, as a message that cannot be taken back."""

from __future__ import annotations

from cm_service.fhir import resources
from cm_service.flow.ours import Json
from cm_service.flow.rungs.copies import Copy

TYPE = "Communication"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/communication-category"


def build(copy: Copy, recipient: str | None) -> Json:
    """The message, validated. `recipient` is `Type/id`, None where the practice named nobody."""
    resource: Json = {
        "resourceType": TYPE,
        "identifier": copy.identifiers,
        "status": "completed",
        "category": [{"coding": [{"system": _CATEGORY, "code": "notification"}]}],
        "priority": copy.wanted.get("priority") or "routine",
        "subject": copy.patient,
        "topic": {"text": copy.page.title},
        "sent": copy.at,
        "sender": copy.device,
        "payload": [{"contentString": copy.text()}],
    }
    if recipient:
        resource["recipient"] = [{"reference": recipient}]
    return resources.validate(resource)
