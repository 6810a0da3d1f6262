"""FHIR R4 for what a person did: Consent, Encounter, Communication, a follow-up Task, an agreed Goal.

rules.md 6.4, 6.5, 6.9. Plain JSON without `id` and `meta`; validated when it is sent.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from cm_service.flow.care.words import ACT_CODE, MEDIA, PARTICIPATION_MODE, SERVICES
from cm_service.flow.plans.due import last_second, stamp

Json = dict[str, Any]
_CONSENT_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
_ACCEPTANCE = "http://hl7.org/fhir/StructureDefinition/goal-acceptance"
_LEAST_CONFIDENCE = 7  # below it motivational interviewing asks for a smaller goal


def minted(base: str, kind: str, value: str, business_key: str) -> list[Json]:
    """Identifiers of a thing of ours that no rule plans."""
    return [
        {"system": f"{base}/id/{kind}", "value": value},
        {"use": "secondary", "system": f"{base}/key/{kind}", "value": business_key},
    ]


def person(reference: str, base: str) -> Json:
    """Whoever acted: a resource of the EMR by reference, a program by name."""
    if reference.partition("/")[0] in ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson"):
        return {"reference": reference}
    return {"identifier": {"system": f"{base}/id/actor", "value": reference}, "display": reference}


def consent(patient: str, *, decision: str, form: str, given_by: str, text_version: str, at: str) -> Json:
    """LOINC 59284-0 is "Patient Consent" as a document type."""
    words = f"Care management, {form}, given by {given_by}, text version {text_version}"
    return {
        "resourceType": "Consent",
        "status": "active" if decision == "agree" else "rejected",
        "scope": {"coding": [{"system": _CONSENT_SCOPE, "code": "treatment"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": at,
        "policyRule": {"text": words},
        "provision": {"type": "permit" if decision == "agree" else "deny"},
        "text": narrative(words),
    }


def contact(
    patient: str, *, medium: str, service: str, start: str, end: str, minutes: int, by: Json, note: str
) -> Json:
    """A two-way contact as an Encounter: R4 has no note in it, so the narrative says what was said."""
    way = MEDIA[medium]
    words = f"Care management contact by {way.words}: {SERVICES[service]}, {minutes} min"
    return {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": ACT_CODE, "code": way.encounter_class},
        "type": [{"text": f"Care management: {SERVICES[service]}"}],
        "subject": {"reference": f"Patient/{patient}"},
        "participant": [{"individual": by}] if "reference" in by else None,
        "period": {"start": start, "end": end},
        "length": {
            "value": minutes,
            "unit": "min",
            "system": "http://unitsofmeasure.org",
            "code": "min",
        },
        "text": narrative("\n".join(filter(None, (words, note)))),
    }


def attempt(
    patient: str, *, medium: str, service: str, at: str, by: Json, about: Json | None, note: str
) -> Json:
    """A call that nobody answered is no contact (rules.md 2): a Communication that was not done."""
    way = MEDIA[medium]
    return {
        "resourceType": "Communication",
        "status": "not-done",
        "statusReason": {"text": "not reached"},
        "category": [{"text": f"Care management: {SERVICES[service]}"}],
        "medium": [{"coding": [{"system": PARTICIPATION_MODE, "code": way.mode}]}],
        "subject": {"reference": f"Patient/{patient}"},
        "about": [about] if about else None,
        "sent": at,
        "recipient": [{"reference": f"Patient/{patient}"}],
        "sender": by if "reference" in by else None,
        "payload": [{"contentString": f"Attempt by {way.words}: not reached. {note}".strip()}],
    }


def notice(patient: str, *, at: str, by: Json, words: str) -> Json:
    """To the provider: what became of the case."""
    return {
        "resourceType": "Communication",
        "status": "completed",
        "category": [{"text": "Care management: notice to the provider"}],
        "subject": {"reference": f"Patient/{patient}"},
        "sent": at,
        "sender": by if "reference" in by else None,
        "payload": [{"contentString": words}],
    }


def follow_up(
    patient: str,
    *,
    base: str,
    day: dt.date,
    zone: ZoneInfo,
    created: dt.datetime,
    owner: Json,
    plan: Json | None,
) -> Json:
    """The next contact that was agreed."""
    due = stamp(last_second(day, zone), zone)
    return {
        "resourceType": "Task",
        "basedOn": [plan] if plan else None,
        "status": "accepted",
        "intent": "order",
        "priority": "routine",
        "code": {
            "coding": [{"system": f"{base}/CodeSystem/cm-task", "code": "follow-up-contact"}],
            "text": "follow up contact",
        },
        "description": f"Next contact as agreed: call by {day.isoformat()}",
        "for": {"reference": f"Patient/{patient}"},
        "authoredOn": stamp(created, zone),
        "requester": owner,
        "owner": owner,
        "restriction": {"period": {"end": due}},
    }


def agreed(goal: Json, *, base: str, importance: int, confidence: int, patient: str, today: dt.date) -> Json:
    """A Goal that the patient made their own: both scores, acceptance, who said it (rules.md 6.4)."""
    own = f"{base}/StructureDefinition/goal-"
    kept = [e for e in goal.get("extension") or () if not str(e.get("url", "")).startswith(own)]
    kept = [e for e in kept if e.get("url") != _ACCEPTANCE]
    who = {"reference": f"Patient/{patient}"}
    scores = f"Importance {importance} of 10, confidence {confidence} of 10"
    small = "" if confidence >= _LEAST_CONFIDENCE else "; confidence is low: try a smaller step"
    return {
        **goal,
        "extension": [
            *kept,
            {"url": f"{own}importance", "valueInteger": importance},
            {"url": f"{own}confidence", "valueInteger": confidence},
            {
                "url": _ACCEPTANCE,
                "extension": [
                    {"url": "individual", "valueReference": who},
                    {"url": "status", "valueCode": "agree"},
                ],
            },
        ],
        "lifecycleStatus": "active",
        "achievementStatus": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/goal-achievement", "code": "in-progress"}
            ]
        },
        "startDate": goal.get("startDate") or today.isoformat(),
        "expressedBy": who,
        "note": [{"text": f"{scores}{small}"}],
    }


def target(
    measure: Mapping[str, str] | None,
    *,
    value: Decimal | None,
    text: str,
    unit: str,
    comparator: str,
    due: dt.date,
) -> Json:
    """R4 asks for a measure wherever there is a detail."""
    coding = {"coding": [dict(measure)]} if measure else {"text": text}
    amount = {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    quantity = {**amount, "comparator": comparator} if comparator else amount
    detail: Json = {"detailQuantity": quantity} if value is not None else {"detailString": text}
    return {"measure": coding, **detail, "dueDate": due.isoformat()}


def narrative(words: str) -> Json:
    lines = "<br/>".join(escape(line) for line in words.splitlines())
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{lines}</div>'}
