"""Patient, Consent, CareTeam and Appointment."""

from __future__ import annotations

import msgspec

from cm_service.fhir import values
from cm_service.fhir.values import NOTHING
from cm_service.flow.normalisers.context import Context, Kind, subject
from cm_service.rules.facts import AppointmentFact, CareTeamFact, ConsentFact, Member, PatientFact


class Name(msgspec.Struct, gc=False):
    use: str | None = None
    text: str | None = None
    family: str | None = None
    given: list[str | None] | None = None


class Link(msgspec.Struct, gc=False):
    type: str | None = None
    other: values.Reference | None = None


class Patient(values.Resource, rename="camel", gc=False):
    birth_date: str | None = None
    deceased_boolean: bool | None = None
    deceased_date_time: str | None = None
    active: bool | None = None
    gender: str | None = None
    name: list[Name] | None = None
    link: list[Link] | None = None
    general_practitioner: list[values.Reference] | None = None


class Provision(msgspec.Struct, gc=False):
    type: str | None = None


class Consent(values.Resource, rename="camel", gc=False):
    status: str | None = None
    patient: values.Reference | None = None
    category: msgspec.Raw = NOTHING
    date_time: str | None = None
    provision: Provision | None = None


class Participant(msgspec.Struct, gc=False):
    role: msgspec.Raw = NOTHING
    member: values.Reference | None = None


class CareTeam(values.Resource, rename="camel", gc=False):
    status: str | None = None
    subject: values.Reference | None = None
    participant: list[Participant] | None = None


class Attendee(msgspec.Struct, gc=False):
    actor: values.Reference | None = None


class Appointment(values.Resource, rename="camel", gc=False):
    status: str | None = None
    start: str | None = None
    service_type: msgspec.Raw = NOTHING
    appointment_type: msgspec.Raw = NOTHING
    reason_code: msgspec.Raw = NOTHING
    participant: list[Attendee] | None = None


def patient(raw: Patient, context: Context) -> PatientFact:
    """A date of death that cannot be read is still a statement that the person died."""
    died = context.when(raw.deceased_date_time)
    unreadable = raw.deceased_date_time is not None and died is None
    keys = [context.references.key(one.reference) for one in raw.general_practitioner or ()]
    return PatientFact(
        **context.head(raw),
        birth=context.when(raw.birth_date),
        deceased=True if unreadable else raw.deceased_boolean,
        deceased_at=died,
        active=raw.active,
        replaced_by=_survivor(raw, context),
        gender=raw.gender or "",
        name=_name(raw.name or []),
        practitioners=tuple(key for key in keys if key),
    )


def _survivor(raw: Patient, context: Context) -> str | None:
    """The id of the surviving Patient. One on another server is kept as written, and one whom no
    reference names as "": this record is replaced all the same, and nothing of ours has that id."""
    named = survivor(raw)
    return (context.references.patient(named) or named) if named is not None else None


def survivor(raw: Patient) -> str | None:
    """The reference to the Patient that replaces this one, as written; "" where the link has none."""
    links = [link.other for link in raw.link or () if link.type == "replaced-by"]
    if not links:
        return None
    return next((other.reference for other in links if other and other.reference), "")


def _name(names: list[Name]) -> str:
    usual = next((one for one in names if one.use in ("official", "usual")), names[0] if names else Name())
    return usual.text or " ".join(part for part in (*(usual.given or ()), usual.family) if part)


def consent(raw: Consent, context: Context) -> ConsentFact:
    return ConsentFact(
        **context.head(raw),
        status=raw.status or "",
        provision=(raw.provision.type or "") if raw.provision else "",
        categories=context.concepts(raw.category),
        date=context.when(raw.date_time),
    )


def care_team(raw: CareTeam, context: Context) -> CareTeamFact:
    members = (
        Member(context.concepts(one.role), _member(one.member, context), one.member.display or "")
        for one in raw.participant or ()
        if one.member
    )
    return CareTeamFact(**context.head(raw), status=raw.status or "", members=tuple(members))


def _member(reference: values.Reference, context: Context) -> str:
    return context.references.key(reference.reference) or ""


def appointment(raw: Appointment, context: Context) -> AppointmentFact:
    return AppointmentFact(
        **context.head(raw),
        status=raw.status or "",
        start=context.when(raw.start),
        types=(
            *context.concepts(raw.service_type),
            *filter(None, (context.given(raw.appointment_type),)),
            *context.concepts(raw.reason_code),
        ),
    )


def _attending_patient(raw: Appointment) -> str | None:
    actors = (one.actor.reference for one in raw.participant or () if one.actor)
    return next((actor for actor in actors if actor and "Patient/" in actor), None)


KINDS = {
    "Patient": Kind(
        msgspec.json.Decoder(Patient), patient, lambda raw: f"Patient/{raw.id}" if raw.id else None
    ),
    "Consent": Kind(
        msgspec.json.Decoder(Consent),
        consent,
        lambda raw: raw.patient.reference if raw.patient else None,
    ),
    "CareTeam": Kind(msgspec.json.Decoder(CareTeam), care_team, subject),
    "Appointment": Kind(msgspec.json.Decoder(Appointment), appointment, _attending_patient),
}
