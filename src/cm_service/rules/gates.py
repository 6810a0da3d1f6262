"""The gates GX-01 to GX-04: why a patient is left alone, whatever the rules find (rules.md 0.7, 0.11).

A gate has no result of its own; the engine applies it to the rules that name it. A gate whose
inputs the EMR refuses stops nothing: the decision carries `gate_unread`.
"""

from __future__ import annotations

from typing import NamedTuple

from cm_service.rules import gone, hospice
from cm_service.rules.clock import Clock, Span, is_later
from cm_service.rules.dates import date_flags
from cm_service.rules.decision import Evidence
from cm_service.rules.facts import ConsentFact, PatientFact
from cm_service.rules.value_sets import LOINC, normal
from cm_service.rules.view import PatientView

# With gx.pediatric_discharge the chronic count and the discharge rules stay on for children.
_PEDIATRIC = frozenset({"CHR-MULTI", "DIS-TCM", "DIS-AMA", "DIS-SNF", "DIS-READMIT"})
_CONSENT_CATEGORY = (LOINC, "59284-0")


class Answer(NamedTuple):
    """What one gate says: its reasons if it stops (first its id), flags either way."""

    reasons: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()


class Gates(NamedTuple):
    """All gates of one patient, by gate id. `stops`: reasons of those that stop; `spared`: rules that
    a gate leaves alone; `deceased_conflict`: a date of death in the future; `adult`: has the age
    floor been reached (None: unknown)."""

    stops: dict[str, tuple[str, ...]]
    flags: dict[str, tuple[str, ...]]
    evidence: dict[str, tuple[Evidence, ...]]
    spared: dict[str, frozenset[str]]
    deceased_conflict: bool
    adult: bool | None


def assess(view: PatientView, clock: Clock) -> Gates:
    """For `view.derive`. Without a Patient the age is unknown and nobody is known to have died."""
    patient = view.patient
    adult = _adult(patient, view, clock)
    left = view.derive(gone.assess, clock)
    answers = {
        "GX-01": Answer(left.reasons, left.flags, left.evidence),
        "GX-04": _young(patient, adult),
        "GX-02": _hospice(view, clock),
        "GX-03": _declined(view, clock),
    }
    return Gates(
        stops={gate: answer.reasons for gate, answer in answers.items() if answer.reasons},
        flags={gate: answer.flags for gate, answer in answers.items() if answer.flags},
        evidence={gate: answer.evidence for gate, answer in answers.items() if answer.evidence},
        spared={"GX-04": _PEDIATRIC} if view.parameters.gx_pediatric_discharge else {},
        deceased_conflict=left.conflict,
        adult=adult,
    )


def _adult(patient: PatientFact | None, view: PatientView, clock: Clock) -> bool | None:
    if patient is None or patient.birth is None:
        return None
    return clock.age_at_least(clock.span(patient.birth), view.parameters.gx_min_age)


def _young(patient: PatientFact | None, adult: bool | None) -> Answer:
    """GX-04: younger than the age floor."""
    if patient is None or patient.birth is None:
        return Answer()
    flags = (*patient.flags, *date_flags(patient.birth))
    if adult is not False:
        return Answer(flags=flags)
    born = patient.birth.raw
    return Answer(("GX-04",), flags, (gone.element(patient, "birthDate", born, born),))


def _hospice(view: PatientView, clock: Clock) -> Answer:
    """GX-02: in hospice care."""
    found = view.derive(hospice.assess, clock)
    unread = ("gate_unread",) if hospice.INPUTS & view.refused else ()
    return Answer(("GX-02",) if found.now else (), (*found.flags, *unread), found.evidence)


def _declined(view: PatientView, clock: Clock) -> Answer:
    """GX-03: said no, here or in a Consent, and is to be left alone for a while."""
    flags = {"gate_unread"} if "Consent" in view.refused else set()
    evidence = [
        Evidence(type="Decline", id=decline.id)
        for decline in view.declines
        if not clock.passed(decline.until)
    ]
    for consent in _denials(view, clock, flags):
        date = consent.date.raw if consent.date else ""
        evidence.append(
            Evidence(
                type="Consent",
                id=consent.id,
                version=consent.version,
                path="Consent.provision.type",
                raw=consent.provision,
                date=date,
            )
        )
    evidence.sort(key=lambda item: (item.type, item.id))
    return Answer(("GX-03",) if evidence else (), tuple(sorted(flags)), tuple(evidence))


def _denials(view: PatientView, clock: Clock, flags: set[str]) -> list[ConsentFact]:
    """Consents that say no today: for each category the newest speaks. One without a date speaks as
    of now if it denies, and is no answer to a denial if it permits."""
    standing: dict[str, ConsentFact] = {}
    for category in {_CONSENT_CATEGORY, *map(_code, view.parameters.gx_opt_out_codes)}:
        spoken = [c for c in view.of(ConsentFact) if _speaks(c, category) and _is_past(c, clock, flags)]
        permits = [clock.span(c.date) for c in spoken if c.provision == "permit" and c.date]
        for consent in spoken:
            flags.update(_told(consent, view, clock))
            if consent.provision == "deny" and _stands(consent, permits, view, clock):
                standing[consent.id] = consent
    return list(standing.values())


def _told(consent: ConsentFact, view: PatientView, clock: Clock) -> tuple[str, ...]:
    """Its flags, unless it is a refusal of too long ago."""
    if consent.date is None:
        return (*consent.flags, "undated")
    flags = (*consent.flags, *date_flags(consent.date))
    if flags and consent.provision == "deny" and not _is_recent(clock.span(consent.date), view, clock):
        return ()
    return flags


def _code(text: str) -> tuple[str, str]:
    system, _, code = text.rpartition("|")
    return normal(system, code)


def _speaks(consent: ConsentFact, category: tuple[str, str]) -> bool:
    if consent.status != "active" or consent.provision not in ("permit", "deny"):
        return False
    codings = (coding for concept in consent.categories for coding in concept.codings)
    return any(normal(coding.system, coding.code) == category for coding in codings)


def _is_past(consent: ConsentFact, clock: Clock, flags: set[str]) -> bool:
    if consent.date is not None and clock.is_future(consent.date):
        flags.add("future_date")
        return False
    return True


def _stands(consent: ConsentFact, permits: list[Span], view: PatientView, clock: Clock) -> bool:
    if consent.date is None:
        return True
    span = clock.span(consent.date)
    if any(is_later(permit, span) for permit in permits):
        return False
    return _is_recent(span, view, clock)


def _is_recent(span: Span, view: PatientView, clock: Clock) -> bool:
    return clock.within_days(span, view.parameters.gx_decline_cooloff_days) is not False
