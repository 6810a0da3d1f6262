"""A QuestionnaireResponse to the practice's own questionnaire: two text items, `cm-title` and `cm-text`."""

from __future__ import annotations

from cm_service.fhir import resources
from cm_service.flow.ours import Json
from cm_service.flow.rungs.copies import Copy

TYPE = "QuestionnaireResponse"
TITLE, TEXT = "cm-title", "cm-text"


def build(copy: Copy, questionnaire: str) -> Json:
    """The filled form, validated. `questionnaire` is the canonical under which the EMR knows it."""
    items = [(TITLE, copy.page.title), (TEXT, copy.text())]
    resource: Json = {
        "resourceType": TYPE,
        "identifier": copy.identifiers[0],
        "questionnaire": questionnaire,
        "status": "completed",
        "subject": copy.patient,
        "authored": copy.at,
        "author": copy.device,
        "item": [{"linkId": link, "answer": [{"valueString": text}]} for link, text in items],
    }
    return resources.validate(resource)


def closed(current: Json) -> Json:
    """The EMR's own form as entered in error: the one update that all who update it take."""
    return current | {"status": "entered-in-error"}
