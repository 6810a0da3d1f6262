"""The chronic conditions that make an emergency visit urgent: FMC-like groups (rules.md 2.8)."""

from __future__ import annotations

from cm_service.rules.clock import Clock, Span
from cm_service.rules.condition_codes import coded
from cm_service.rules.condition_evidence import ACTIVE, is_over
from cm_service.rules.conditions import evidence_of
from cm_service.rules.dates import When
from cm_service.rules.decision import Evidence
from cm_service.rules.facts import ConditionFact, EncounterFact
from cm_service.rules.references import id_in
from cm_service.rules.view import PatientView

_GROUPS = {
    "copd": "copd_asthma",
    "asthma": "copd_asthma",
    "alzheimers_disease": "dementia",
    "non_alzheimers_dementia": "dementia",
    "chronic_kidney_disease": "chronic_kidney_disease",
    "depression_bipolar": "depression",
    "heart_failure": "heart_failure",
    "acute_myocardial_infarction": "acute_myocardial_infarction",
    "atrial_fibrillation_flutter": "atrial_fibrillation",
    "stroke_tia": "stroke_tia",
}


def before(visit: Span, view: PatientView, clock: Clock) -> dict[str, Evidence]:
    """Groups that were active, or recorded in the visit's calendar year or the one before, before the
    visit began; each with a Condition that says so."""
    found: dict[str, Evidence] = {}
    for condition in sorted(view.of(ConditionFact), key=lambda fact: fact.id):
        groups = {_GROUPS[match.category] for match in coded(condition).matches if match.category in _GROUPS}
        if groups and _was_there(condition, visit, view, clock):
            for group in groups:
                found.setdefault(group, evidence_of(condition, group))
    return found


def _was_there(condition: ConditionFact, visit: Span, view: PatientView, clock: Clock) -> bool:
    if condition.verification not in ("", "confirmed"):
        return False
    recorded = condition.recorded or _encounter_start(condition, view)
    dates = [date for date in (condition.onset, recorded) if date]
    if dates and not any(_precedes(clock.span(date), visit) for date in dates):
        return False
    if condition.clinical in ACTIVE and not is_over(condition, clock):
        return True
    return recorded is not None and _is_recent(clock.span(recorded), visit)


def _encounter_start(condition: ConditionFact, view: PatientView) -> When | None:
    wanted = id_in(condition.encounter, "Encounter")
    found = (e.start for e in view.of(EncounterFact) if wanted and e.id == wanted)
    return next(found, None)


def _precedes(since: Span, visit: Span) -> bool:
    if since.instant and visit.instant:
        return since.instant < visit.instant
    return since.high < visit.low


def _is_recent(recorded: Span, visit: Span) -> bool:
    return visit.low.year - 1 <= recorded.low.year and _precedes(recorded, visit)
