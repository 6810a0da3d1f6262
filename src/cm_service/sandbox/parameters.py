"""The search parameters that the sandbox knows, by resource type: FHIR R4's own names and paths."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Kind(StrEnum):
    """CapabilityStatement.rest.resource.searchParam.type."""

    TOKEN = "token"
    REFERENCE = "reference"
    DATE = "date"
    STRING = "string"
    URI = "uri"


class SearchParameter(NamedTuple):
    """`paths` are element names from the resource down; `target` limits a reference to one type.

    `days`: a date that is asked in whole days (UTC), without a time. `prefixes`: the only ones it takes.
    """

    name: str
    kind: Kind
    paths: tuple[str, ...]
    target: str = ""
    days: bool = False
    prefixes: tuple[str, ...] = ()


def _token(name: str, *paths: str) -> SearchParameter:
    return SearchParameter(name, Kind.TOKEN, paths or (name,))


def _ref(name: str, *paths: str, target: str = "") -> SearchParameter:
    return SearchParameter(name, Kind.REFERENCE, paths or (name,), target)


def _date(name: str, *paths: str) -> SearchParameter:
    return SearchParameter(name, Kind.DATE, paths)


def _string(name: str, *paths: str) -> SearchParameter:
    return SearchParameter(name, Kind.STRING, paths or (name,))


def _patient(path: str = "subject") -> tuple[SearchParameter, ...]:
    return (_ref("patient", path, target="Patient"), _ref("subject", path))


_EVERYWHERE = (_token("_id", "id"), _date("_lastUpdated", "meta.lastUpdated"))
_IDENTIFIER, _STATUS, _CODE, _CATEGORY = (_token(n) for n in ("identifier", "status", "code", "category"))
_ENCOUNTER = _ref("encounter")
_EFFECTIVE = ("effectiveDateTime", "effectivePeriod", "effectiveInstant")

_BY_TYPE: dict[str, tuple[SearchParameter, ...]] = {
    "Group": (_IDENTIFIER, _token("type"), _token("actual"), _ref("member", "member.entity")),
    "Patient": (
        _IDENTIFIER,
        _token("active"),
        _token("gender"),
        _date("birthdate", "birthDate"),
        _string("family", "name.family"),
        _string("name", "name.family", "name.given", "name.text"),
        _ref("link", "link.other"),
    ),
    "Practitioner": (
        _IDENTIFIER,
        _token("active"),
        _string("name", "name.family", "name.given", "name.text"),
    ),
    "PractitionerRole": (_IDENTIFIER, _token("role", "code"), _ref("practitioner"), _ref("organization")),
    "Organization": (_IDENTIFIER, _token("active"), _string("name"), _token("type")),
    "Location": (
        _IDENTIFIER,
        _STATUS,
        _string("name"),
        _token("type"),
        _ref("organization", "managingOrganization"),
    ),
    "Device": (_IDENTIFIER, _STATUS, _ref("patient", target="Patient")),
    "Encounter": (
        _IDENTIFIER,
        *_patient(),
        _STATUS,
        _token("class"),
        _token("type"),
        _date("date", "period"),
        _ref("part-of", "partOf"),
        _ref("service-provider", "serviceProvider"),
    ),
    "Condition": (
        _IDENTIFIER,
        *_patient(),
        _CODE,
        _CATEGORY,
        _ENCOUNTER,
        _token("clinical-status", "clinicalStatus"),
        _token("verification-status", "verificationStatus"),
        _date("onset-date", "onsetDateTime", "onsetPeriod"),
        _date("recorded-date", "recordedDate"),
    ),
    "Observation": (
        _IDENTIFIER,
        *_patient(),
        _STATUS,
        _CODE,
        _token("component-code", "component.code"),
        _token("combo-code", "code", "component.code"),
        _CATEGORY,
        _ENCOUNTER,
        _date("date", *_EFFECTIVE),
    ),
    "Procedure": (
        _IDENTIFIER,
        *_patient(),
        _STATUS,
        _CODE,
        _CATEGORY,
        _ENCOUNTER,
        _date("date", "performedDateTime", "performedPeriod"),
    ),
    "ServiceRequest": (
        _IDENTIFIER,
        *_patient(),
        _STATUS,
        _token("intent"),
        _CODE,
        _CATEGORY,
        _ENCOUNTER,
        _date("authored", "authoredOn"),
        _date("occurrence", "occurrenceDateTime", "occurrencePeriod"),
    ),
    "MedicationRequest": (
        _IDENTIFIER,
        *_patient(),
        _STATUS,
        _token("intent"),
        _token("code", "medicationCodeableConcept"),
        _ENCOUNTER,
        _date("authoredon", "authoredOn"),
    ),
    "Specimen": (
        _IDENTIFIER,
        *_patient(),
        _STATUS,
        _token("type"),
        _date("collected", "collection.collectedDateTime", "collection.collectedPeriod"),
    ),
    "Consent": (
        _IDENTIFIER,
        _ref("patient", target="Patient"),
        _STATUS,
        _CATEGORY,
        _token("scope"),
        _date("date", "dateTime"),
    ),
    "Goal": (
        _IDENTIFIER,
        *_patient(),
        _token("lifecycle-status", "lifecycleStatus"),
        _token("achievement-status", "achievementStatus"),
        _CATEGORY,
        _date("start-date", "startDate"),
        _date("target-date", "target.dueDate"),
    ),
    "CarePlan": (
        _IDENTIFIER,
        *_patient(),
        _STATUS,
        _token("intent"),
        _CATEGORY,
        _ENCOUNTER,
        _date("date", "period"),
        _ref("goal"),
        _ref("condition", "addresses"),
        _ref("based-on", "basedOn"),
        _ref("part-of", "partOf"),
    ),
    "CareTeam": (
        _IDENTIFIER,
        *_patient(),
        _STATUS,
        _CATEGORY,
        _ref("participant", "participant.member"),
        _date("date", "period"),
    ),
    "Task": (
        _IDENTIFIER,
        *_patient("for"),
        _STATUS,
        _token("intent"),
        _token("priority"),
        _CODE,
        _ENCOUNTER,
        _ref("focus"),
        _ref("owner"),
        _ref("requester"),
        _ref("based-on", "basedOn"),
        _token("group-identifier", "groupIdentifier"),
        _date("authored-on", "authoredOn"),
        _date("modified", "lastModified"),
    ),
    "Appointment": (
        _IDENTIFIER,
        _ref("patient", "participant.actor", target="Patient"),
        _ref("actor", "participant.actor"),
        _STATUS,
        _token("service-type", "serviceType"),
        _token("appointment-type", "appointmentType"),
        _date("date", "start"),
    ),
    "Communication": (_IDENTIFIER, *_patient(), _STATUS, _CATEGORY, _ENCOUNTER, _date("sent", "sent")),
    "DocumentReference": (
        _IDENTIFIER,
        *_patient(),
        _STATUS,
        _token("type"),
        _CATEGORY,
        _ref("encounter", "context.encounter"),
        _date("date", "date"),
    ),
    "QuestionnaireResponse": (
        _IDENTIFIER,
        *_patient(),
        _STATUS,
        _ENCOUNTER,
        _date("authored", "authored"),
    ),
    "Subscription": (_STATUS, SearchParameter("url", Kind.URI, ("channel.endpoint",)), _string("criteria")),
    "Flag": (_IDENTIFIER, *_patient(), _ENCOUNTER, _date("date", "period")),
    "Provenance": (_ref("target"), _ref("agent", "agent.who"), _date("recorded", "recorded")),
}

# Types and parameters that only some EMRs have.
_RARE: dict[str, tuple[SearchParameter, ...]] = {
    "AllergyIntolerance": (_IDENTIFIER, _ref("patient", "patient", target="Patient"), _CODE),
    "MeasureReport": (_IDENTIFIER, *_patient(), _STATUS),
}
QUESTIONNAIRE = _token("questionnaire")
RECIPIENT = _ref("recipient")
SENDER = _ref("sender")
RECEIVED = _date("received", "received")
DOCUMENT_PERIOD = _date("period", "context.period")

_Parameters = Mapping[str, Mapping[str, SearchParameter]]


def _with_everywhere(by_type: dict[str, tuple[SearchParameter, ...]]) -> _Parameters:
    return MappingProxyType(
        {
            kind: MappingProxyType({parameter.name: parameter for parameter in (*_EVERYWHERE, *own)})
            for kind, own in by_type.items()
        }
    )


PARAMETERS: _Parameters = _with_everywhere(_BY_TYPE)
EVERY: _Parameters = _with_everywhere(_BY_TYPE | _RARE)
