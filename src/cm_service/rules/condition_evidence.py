"""What one Condition is worth as evidence on this day (rules.md 3.3), whatever the others say."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from cm_service.rules import encounters, stays, value_sets
from cm_service.rules.clock import Clock, Span
from cm_service.rules.condition_codes import LISTED, Coded
from cm_service.rules.dates import When, date_flags, instant_of
from cm_service.rules.facts import ConditionFact, EncounterFact
from cm_service.rules.references import id_in
from cm_service.rules.view import PatientView

ACTIVE = frozenset({"active", "recurrence", "relapse"})
_OVER = frozenset({"resolved", "inactive", "remission"})
_REFUTED = frozenset({"refuted", "entered-in-error"})


class Standing(IntEnum):
    """How far a Condition gets. GONE is of no interest, POSSIBLE is listed, UNSURE may or may not
    be so today (it persists until somebody says), ACTIVE goes on to the question of strength."""

    GONE = 0
    POSSIBLE = 1
    UNSURE = 2
    ACTIVE = 3


class Seen(NamedTuple):
    """One Condition as of today. `listed`: of problem-list strength; `explicit`: says active itself;
    `recorded` and `since` are the dates of 3.3, local days."""

    fact: ConditionFact
    standing: Standing
    flags: tuple[str, ...] = ()
    listed: bool = False
    explicit: bool = False
    recorded: Span | None = None
    since: Span | None = None


class Visits(NamedTuple):
    """The encounters that happened, by id; and by Condition id the first one that lists it."""

    by_id: Mapping[str, EncounterFact]
    listing: Mapping[str, EncounterFact]


def visits(view: PatientView, clock: Clock) -> Visits:
    """For `view.derive`. An encounter that was planned, cancelled or a mistake tells nothing."""
    happened = [e for e in view.of(EncounterFact) if encounters.is_finished(e) or encounters.is_open(e)]
    listing: dict[str, EncounterFact] = {}
    for encounter in happened:
        for reference in encounter.diagnoses:
            name = id_in(reference, "Condition")
            known = listing.setdefault(name, encounter)
            if _order(encounter, clock) < _order(known, clock):
                listing[name] = encounter
    return Visits({encounter.id: encounter for encounter in happened}, listing)


def _order(encounter: EncounterFact, clock: Clock) -> tuple[float, str]:
    start = encounter.start
    return instant_of(start, clock.zone).timestamp() if start else float("inf"), encounter.id


def look(condition: ConditionFact, coded: Coded, view: PatientView, clock: Clock) -> Seen:
    """One Condition whose codes name a chronic category, as of today."""
    listed, diagnosis = _categories(condition)
    standing = _by_words(condition, coded, listed=listed, diagnosis=diagnosis)
    if standing is Standing.GONE:
        return Seen(condition, standing)
    if any(clock.is_future(date) for date in (condition.onset, condition.recorded) if date):
        return Seen(condition, Standing.GONE, ("future_date",))
    flags = (*condition.flags, *date_flags(condition.onset, condition.recorded, condition.abatement))
    explicit = condition.clinical in ACTIVE
    over = is_over(condition, clock)
    if over:
        return Seen(condition, Standing.GONE, (*flags, "abatement_conflict") if explicit else ())
    if over is None:
        standing = min(standing, Standing.UNSURE)
    return _dated(
        Seen(condition, standing, flags, listed and bool(condition.clinical), explicit), view, clock
    )


def _categories(condition: ConditionFact) -> tuple[bool, bool]:
    """(of problem-list strength, an encounter diagnosis)."""
    words = condition.categories
    return not LISTED.isdisjoint(words), not words or "encounter-diagnosis" in words


def _by_words(condition: ConditionFact, coded: Coded, *, listed: bool, diagnosis: bool) -> Standing:
    if condition.verification in _REFUTED:
        return Standing.GONE
    if condition.clinical in _OVER and not (condition.clinical == "remission" and _is_cancer(coded)):
        return Standing.GONE
    known = condition.clinical in ACTIVE or condition.clinical in ("", "remission")
    if not known or condition.verification not in ("", "confirmed") or not (listed or diagnosis):
        return Standing.POSSIBLE
    return Standing.ACTIVE if condition.clinical or diagnosis else Standing.UNSURE


def _is_cancer(coded: Coded) -> bool:
    named = (*coded.matches, *coded.withheld)
    return bool(named) and all(match.category.startswith("cancer_") for match in named)


def is_over(condition: ConditionFact, clock: Clock) -> bool | None:
    """Has it abated? None where a month or year leaves that open; a date to come is no abatement."""
    if condition.abated or condition.abatement is None:
        return condition.abated
    span = clock.span(condition.abatement)
    if span.instant is not None:
        return clock.passed(span.instant)
    if not clock.reached(span.low):
        return False
    return True if clock.reached(span.high) else None


def _dated(seen: Seen, view: PatientView, clock: Clock) -> Seen:
    """With its dates; the encounter is looked up only where the Condition itself has none."""
    fact = seen.fact
    start = None if fact.recorded else _start(fact, view, clock)
    recorded, since = fact.recorded or start, fact.onset or fact.recorded or start
    return seen._replace(
        flags=(*seen.flags, *date_flags(start)) if start else seen.flags,
        recorded=clock.span(recorded) if recorded else None,
        since=clock.span(since) if since else None,
    )


def _start(condition: ConditionFact, view: PatientView, clock: Clock) -> When | None:
    encounter = encounter_of(condition, view, clock)
    return encounter.start if encounter else None


def encounter_of(condition: ConditionFact, view: PatientView, clock: Clock) -> EncounterFact | None:
    """The encounter that the Condition names, else the first one that lists it as a diagnosis."""
    known = view.derive(visits, clock)
    named = known.by_id.get(id_in(condition.encounter, "Encounter"))
    return named or known.listing.get(condition.id)


def from_hospital(condition: ConditionFact, view: PatientView, clock: Clock) -> bool:
    """Diagnosed in an inpatient or SNF stay? Observation and the emergency room count as outpatient
    unless they flowed into an admission (rules.md 2.2)."""
    encounter = encounter_of(condition, view, clock)
    word = encounters.class_word(encounter) if encounter else ""
    if encounter and word in ("EMER", "OBSENC"):
        return _was_admitted(encounter, view, clock)
    return encounters.is_stay_class(word, short_stay=view.parameters.dis_include_short_stay)


def from_home_health(condition: ConditionFact, view: PatientView, clock: Clock) -> bool:
    """Diagnosed at a home-health visit? One whose type says hospice is no visit (rules.md 2.1)."""
    encounter = encounter_of(condition, view, clock)
    if encounter is None or encounters.class_word(encounter) != "HH":
        return False
    return not any(value_sets.in_set("hospice", concept) for concept in encounter.types)


def _was_admitted(encounter: EncounterFact, view: PatientView, clock: Clock) -> bool:
    admissions = (s for s in view.derive(stays.build, clock).stays if s.last.setting != "observation")
    return any(member.encounter.id == encounter.id for stay in admissions for member in stay.members)
