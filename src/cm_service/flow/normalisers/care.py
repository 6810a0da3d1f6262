"""Encounter, Condition, Procedure and ServiceRequest."""

from __future__ import annotations

import msgspec

from cm_service.fhir import values
from cm_service.fhir.values import NOTHING, is_given
from cm_service.flow.normalisers.context import Context, Kind, subject, token
from cm_service.flow.normalisers.used_codes import ORDER_SETS, is_of
from cm_service.rules.dates import When
from cm_service.rules.facts import Concept, ConditionFact, EncounterFact, ProcedureFact, ServiceRequestFact

_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_MISTAKE = "entered-in-error"


class Stay(msgspec.Struct, rename="camel", gc=False):
    discharge_disposition: msgspec.Raw = NOTHING


class Place(msgspec.Struct, gc=False):
    location: values.Reference | None = None


class Diagnosis(msgspec.Struct, gc=False):
    condition: values.Reference | None = None


class Encounter(values.Resource, rename="camel", gc=False):
    identifier: list[values.Identifier] | None = None
    status: str | None = None
    class_: msgspec.Raw = msgspec.field(default=NOTHING, name="class")
    type: msgspec.Raw = NOTHING
    priority: msgspec.Raw = NOTHING
    subject: values.Reference | None = None
    period: values.Period | None = None
    part_of: values.Reference | None = None
    hospitalization: Stay | None = None
    service_provider: values.Reference | None = None
    location: list[Place] | None = None
    diagnosis: list[Diagnosis] | None = None


class Extension(msgspec.Struct, rename="camel", gc=False):
    url: str | None = None
    value_date: str | None = None
    value_date_time: str | None = None


class Condition(values.Resource, rename="camel", gc=False):
    clinical_status: msgspec.Raw = NOTHING
    verification_status: msgspec.Raw = NOTHING
    category: msgspec.Raw = NOTHING
    code: msgspec.Raw = NOTHING
    subject: values.Reference | None = None
    encounter: values.Reference | None = None
    onset_date_time: str | None = None
    onset_period: values.Period | None = None
    recorded_date: str | None = None
    abatement_date_time: str | None = None
    abatement_period: values.Period | None = None
    abatement_age: msgspec.Raw = NOTHING
    abatement_range: msgspec.Raw = NOTHING
    abatement_string: msgspec.Raw = NOTHING
    abatement_boolean: bool | None = None  # not R4, but written by converters from older versions
    extension: list[Extension] | None = None


class Order(values.Resource, rename="camel", gc=False):
    """Procedure and ServiceRequest together: they share no element with another meaning."""

    status: str | None = None
    intent: str | None = None
    code: msgspec.Raw = NOTHING
    subject: values.Reference | None = None
    encounter: values.Reference | None = None
    performed_date_time: str | None = None
    performed_period: values.Period | None = None
    authored_on: str | None = None
    occurrence_date_time: str | None = None
    occurrence_period: values.Period | None = None
    occurrence_timing: values.Timing | None = None


def encounter(raw: Encounter, context: Context) -> EncounterFact:
    places = [context.key(one.location, "Encounter.location") for one in raw.location or ()]
    causes = [context.key(one.condition, "Encounter.diagnosis") for one in raw.diagnosis or ()]
    provider, first = raw.service_provider, raw.identifier[0] if raw.identifier else None
    return EncounterFact(
        **context.head(raw),
        status=raw.status or "",
        classes=context.coding(raw.class_),
        types=context.concepts(raw.type),
        start=context.start(raw.period),
        end=context.end(raw.period),
        part_of=context.key(raw.part_of, "Encounter.partOf"),
        disposition=context.given(raw.hospitalization.discharge_disposition) if raw.hospitalization else None,
        priority=context.given(raw.priority),
        provider=context.key(provider, "Encounter.serviceProvider"),
        provider_name=(provider.display or "") if provider else "",
        locations=tuple(filter(None, places)),
        identifier=token(first) if first and first.value else None,
        diagnoses=tuple(filter(None, causes)),
    )


def condition(raw: Condition, context: Context) -> ConditionFact:
    ended, over = _abatement(raw, context)
    categories = context.concepts(raw.category)
    return ConditionFact(
        **context.head(raw),
        clinical=_status(context.concept(raw.clinical_status), _CLINICAL),
        verification=_status(context.concept(raw.verification_status), _VERIFICATION),
        categories=tuple(coding.code for concept in categories for coding in concept.codings),
        code=context.coded(context.concept(raw.code)),
        onset=context.when(raw.onset_date_time) or context.start(raw.onset_period),
        recorded=context.when(raw.recorded_date),
        abatement=ended,
        abated=over,
        encounter=context.key(raw.encounter, "Condition.encounter"),
        expected_delivery=_delivery(raw.extension or (), context),
    )


def _status(concept: Concept, system: str) -> str:
    """The code of a status: HL7's own if there is one, else the first."""
    for coding in concept.codings:
        if coding.system == system:
            return coding.code
    return concept.codings[0].code if concept.codings else ""


def _abatement(raw: Condition, context: Context) -> tuple[When | None, bool]:
    """The date, and whether anything else says that it is over. A date that cannot be read says so."""
    period = raw.abatement_period
    ended = context.when(raw.abatement_date_time) or context.end(period) or context.start(period)
    others = (raw.abatement_age, raw.abatement_range, raw.abatement_string)
    unreadable = ended is None and (raw.abatement_date_time is not None or period is not None)
    return ended, unreadable or raw.abatement_boolean is True or any(map(is_given, others))


def _delivery(extensions: list[Extension] | tuple[()], context: Context) -> When | None:
    """An expected delivery date. No standard extension exists; their URLs say "delivery" or "edd"."""
    for one in extensions:
        name = (one.url or "").rpartition("/")[2].lower()
        if "delivery" in name or name == "edd":
            return context.when(one.value_date or one.value_date_time)
    return None


def procedure(raw: Order, context: Context) -> ProcedureFact | None:
    code = context.concept(raw.code)
    if not _is_kept(raw, code):
        return None
    return ProcedureFact(
        **context.head(raw),
        status=raw.status or "",
        code=code,
        start=context.when(raw.performed_date_time) or context.start(raw.performed_period),
        end=context.end(raw.performed_period),
        encounter=context.key(raw.encounter, "Procedure.encounter"),
    )


def service_request(raw: Order, context: Context) -> ServiceRequestFact | None:
    code = context.concept(raw.code)
    if not _is_kept(raw, code):
        return None
    events = raw.occurrence_timing.event if raw.occurrence_timing else None
    return ServiceRequestFact(
        **context.head(raw),
        status=raw.status or "",
        intent=raw.intent or "",
        code=code,
        authored=context.when(raw.authored_on),
        occurrence=context.when(raw.occurrence_date_time)
        or context.start(raw.occurrence_period)
        or context.when(next(iter(events or ()), None)),
    )


def _is_kept(raw: Order, code: Concept) -> bool:
    """What was entered in error is kept whatever it holds: it must replace what it was before."""
    return raw.status == _MISTAKE or is_of(ORDER_SETS, code)


KINDS = {
    "Encounter": Kind(msgspec.json.Decoder(Encounter), encounter, subject),
    "Condition": Kind(msgspec.json.Decoder(Condition), condition, subject),
    "Procedure": Kind(msgspec.json.Decoder(Order), procedure, subject),
    "ServiceRequest": Kind(msgspec.json.Decoder(Order), service_request, subject),
}
