"""Dead, no longer a patient here, or merged into another (rules.md 0.11): the question behind gate GX-01."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cm_service.rules import encounters, stays
from cm_service.rules.clock import Clock
from cm_service.rules.dates import date_flags
from cm_service.rules.decision import Evidence, unique
from cm_service.rules.facts import EncounterFact, PatientFact
from cm_service.rules.view import PatientView

# What no id holds: such a link leads elsewhere and was kept as written.
_AS_WRITTEN = ("/", "?", "#", "urn:")


class Gone(NamedTuple):
    """`reasons`: why the patient is left alone, if so; `evidence`: one for each ground; `conflict`: a date
    of death in the future."""

    reasons: tuple[str, ...]
    flags: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    conflict: bool


def assess(view: PatientView, clock: Clock) -> Gone:
    """For `view.derive`. Without a Patient nobody is known to have gone."""
    patient = view.patient
    if patient is None:
        return Gone((), (), (), conflict=False)
    died = _death(patient, clock)
    beds = _death_beds(view, clock)
    evidence = (*_said(patient, died=died), *map(_left, beds))
    merged = ("merged_into_survivor",) if patient.replaced_by is not None else ()
    flags = [*patient.flags, *date_flags(patient.deceased_at)]
    for bed in beds:
        flags.extend((*bed.flags, *date_flags(bed.start, bed.end)))
    if died is None:
        flags.append("deceased_conflict")
    reasons = ("GX-01", *merged) if evidence else ()
    return Gone(reasons, tuple(unique(flags)), evidence, conflict=died is None)


def _death(patient: PatientFact, clock: Clock) -> bool | None:
    """Has the patient died? None where the date of death lies wholly in the future."""
    if patient.deceased_at is None:
        return patient.deceased is True
    span = clock.span(patient.deceased_at)
    died = clock.passed(span.instant) if span.instant else clock.reached(span.low)
    return True if died or patient.deceased else None


def _death_beds(view: PatientView, clock: Clock) -> list[EncounterFact]:
    """The encounters that ended with the patient's death."""
    found = view.derive(stays.death, clock).encounters
    if not found:
        return []
    held = {encounter.id: encounter for encounter in view.of(EncounterFact)}
    return [held[name] for name in found]


def _said(patient: PatientFact, *, died: bool | None) -> Iterator[Evidence]:
    """What the Patient itself says."""
    if patient.replaced_by is not None:
        yield element(patient, "link", _reference(patient.replaced_by))
    if patient.active is False:
        yield element(patient, "active", "false")
    if died:
        date = patient.deceased_at.raw if patient.deceased_at else ""
        yield element(patient, "deceased[x]", "true" if patient.deceased else date, date)


def element(patient: PatientFact, name: str, raw: str, date: str = "") -> Evidence:
    """What an element of the Patient says, as evidence."""
    path = f"Patient.{name}"
    return Evidence(type="Patient", id=patient.id, version=patient.version, path=path, raw=raw, date=date)


def _reference(named: str) -> str:
    """Of the surviving Patient, "" where the link names none."""
    is_id = named and not any(mark in named for mark in _AS_WRITTEN)
    return f"Patient/{named}" if is_id else named


def _left(encounter: EncounterFact) -> Evidence:
    when = encounter.end or encounter.start
    return Evidence(
        type="Encounter",
        id=encounter.id,
        version=encounter.version,
        path=encounters.DISPOSITION,
        raw=encounters.disposition(encounter).raw,
        value="expired",
        date=when.raw if when else "",
    )
