"""The typed facts that rules read: one per FHIR resource, made by the one normaliser.

A fact knows no `as_of` and no time zone and looks at one resource only; references stay
`Type/id` strings and are resolved while evaluating. `flags` are words of `codes/flags.csv` that
are true of the resource whatever the day (for instance `unit_assumed_percent`).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from cm_service.rules.dates import When


class Coding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """System and code as written (not yet normalised); `selected` is userSelected."""

    system: str
    code: str
    display: str = ""
    selected: bool = False


class Concept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A CodeableConcept. Codings added by the practice's concept map stand at the end."""

    codings: tuple[Coding, ...] = ()
    text: str = ""


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t", gc=False):
    """What every fact carries: the id, meta.versionId, meta.lastUpdated and security labels."""

    id: str
    version: str | None = None
    updated: When | None = None
    security: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


class PatientFact(Fact, frozen=True, tag="Patient"):
    birth: When | None = None
    deceased: bool | None = None  # deceasedBoolean
    deceased_at: When | None = None  # deceasedDateTime
    active: bool | None = None
    replaced_by: str | None = None  # id of the surviving Patient (link.type replaced-by), "" if none is named
    gender: str = ""
    name: str = ""  # for people's eyes only; no rule reads it
    practitioners: tuple[str, ...] = ()  # generalPractitioner references


class Reading(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One HbA1c value of an Observation, normalised as rules.md 1.5 says.

    `percent` is NGSP %, rounded half-up to 0.1 if it was converted, native otherwise; None when
    the value cannot be used, and then `why` is one of the flag words. `measured` is False where
    dataAbsentReason alone (or nothing) stands: no blood result at all. `native` is the number
    as written, in `unit` ("%", "mmol/mol" or "1"). `family` says which code it stands under, own or
    component: "jds" and "gmi" count only where the practice accepts them.
    """

    percent: Decimal | None = None
    comparator: str = ""  # "", "<", "<=", ">", ">="
    native: Decimal | None = None
    unit: str = ""
    raw: str = ""
    path: str = ""
    converted: bool = False
    measured: bool = True
    why: str = ""
    family: str = ""  # percent, ifcc, fraction, jds, gmi


class ObservationFact(Fact, frozen=True, tag="Observation"):
    status: str = ""
    code: Concept = Concept()
    effective: When | None = None  # rules.md 1.4, before a Specimen is looked up
    issued: When | None = None
    specimen: str | None = None
    encounter: str | None = None
    reading: Reading | None = None  # present when code or a component is in the HbA1c set
    value: Concept | None = None  # a coded value (nursing home residence)


class EncounterFact(Fact, frozen=True, tag="Encounter"):
    status: str = ""
    classes: tuple[Coding, ...] = ()  # Encounter.class, then what the concept map makes of it
    types: tuple[Concept, ...] = ()
    start: When | None = None
    end: When | None = None
    part_of: str | None = None
    disposition: Concept | None = None
    priority: Concept | None = None
    provider: str | None = None  # serviceProvider
    provider_name: str = ""
    locations: tuple[str, ...] = ()
    identifier: str | None = None  # first identifier, "system|value"
    diagnoses: tuple[str, ...] = ()  # references of diagnosis.condition


class ConditionFact(Fact, frozen=True, tag="Condition"):
    clinical: str = ""  # code of clinicalStatus, "" if missing
    verification: str = ""
    categories: tuple[str, ...] = ()
    code: Concept = Concept()
    onset: When | None = None  # onsetDateTime or onsetPeriod.start
    recorded: When | None = None
    abatement: When | None = None  # abatementDateTime or abatementPeriod.end (start if no end)
    abated: bool = False  # any other abatement[x] that says it is over
    encounter: str | None = None
    expected_delivery: When | None = None  # pregnancy: an expected delivery date on the resource


class ProcedureFact(Fact, frozen=True, tag="Procedure"):
    status: str = ""
    code: Concept = Concept()
    start: When | None = None
    end: When | None = None
    encounter: str | None = None


class ServiceRequestFact(Fact, frozen=True, tag="ServiceRequest"):
    status: str = ""
    intent: str = ""
    code: Concept = Concept()
    authored: When | None = None
    occurrence: When | None = None


class ConsentFact(Fact, frozen=True, tag="Consent"):
    status: str = ""
    provision: str = ""  # provision.type: permit or deny
    categories: tuple[Concept, ...] = ()
    date: When | None = None


class Target(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One Goal.target. Quantities as Reading (unit rules of 1.5); `coded` is detailCodeableConcept."""

    measure: Concept = Concept()
    quantity: Reading | None = None
    low: Reading | None = None
    high: Reading | None = None
    is_range: bool = False
    coded: Concept | None = None
    text: str = ""  # detailString
    due: When | None = None


class GoalFact(Fact, frozen=True, tag="Goal"):
    lifecycle: str = ""
    targets: tuple[Target, ...] = ()
    start: When | None = None
    status_date: When | None = None
    identifiers: tuple[str, ...] = ()  # "system|value"


class AppointmentFact(Fact, frozen=True, tag="Appointment"):
    status: str = ""
    start: When | None = None
    types: tuple[Concept, ...] = ()  # serviceType, appointmentType, reasonCode


class Member(msgspec.Struct, frozen=True, gc=False):
    """One CareTeam.participant."""

    roles: tuple[Concept, ...]
    reference: str
    display: str = ""


class CareTeamFact(Fact, frozen=True, tag="CareTeam"):
    status: str = ""
    members: tuple[Member, ...] = ()


class SpecimenFact(Fact, frozen=True, tag="Specimen"):
    collected: When | None = None


class PlaceFact(Fact, frozen=True, tag="Place"):
    """A Location or an Organization: shared between patients, held outside their records."""

    name: str = ""
    types: tuple[Concept, ...] = ()


def codes_text(concepts: Iterable[Concept]) -> str:
    """All codes as written, "system|code" with blanks between: the raw text of evidence."""
    return " ".join(f"{coding.system}|{coding.code}" for concept in concepts for coding in concept.codings)


def concepts_of(fact: Fact) -> tuple[Concept, ...]:
    """What a resource says it is: Encounter.type, or the code of any other type that has one."""
    if isinstance(fact, EncounterFact):
        return fact.types
    return (fact.code,) if isinstance(fact, _CODED) else ()


_CODED = (ObservationFact, ConditionFact, ProcedureFact, ServiceRequestFact)
AnyFact = (
    PatientFact
    | ObservationFact
    | EncounterFact
    | ConditionFact
    | ProcedureFact
    | ServiceRequestFact
    | ConsentFact
    | GoalFact
    | AppointmentFact
    | CareTeamFact
    | SpecimenFact
    | PlaceFact
)
