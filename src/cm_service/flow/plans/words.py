"""Words for people: dates, numbers, what a flag means to a nurse, why something was withdrawn."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from cm_service.flow.plans.board import local_day
from cm_service.rules.decision import Evidence

# Flags that a person must see before calling; the others stay in the decision.
_NOTES = {
    "gate_unread": "hospice and consent records cannot be read from this EMR: check the chart first",
    "unreliable_a1c": "a condition makes HbA1c unreliable here",
    "newer_unusable_result": "a newer result exists that cannot be read",
    "persisting_encounter_diagnosis": "rests on an old diagnosis that is still marked active",
    "single_code_multi_category": "rests on one diagnosis alone: confirm it",
    "left_against_advice": "left against medical advice",
    "transfer_unseen": "was sent on, but no later stay is on record",
    "snf_unseen": "the stay in skilled nursing is not on record",
    "disposition_missing": "where the patient went is not recorded",
    "possible_readmission": "may have been two stays",
    "expired_conflict": "a recorded death is contradicted by later entries",
    "overdue_at_creation": "the due date had passed when this was raised",
}
_REASONS = {
    "source-entered-in-error": "what it rested on was marked as entered in error",
    "source-gone": "what it rested on is no longer in the record",
    "source-changed": "what it rested on was corrected and no longer says so",
    "superseded": "replaced by a more urgent task about the same matter",
    "merged": "belongs to another record now",
    "GX-01": "the patient has died, is no longer a patient here, or was merged",
    "GX-02": "the patient is in hospice care",
    "GX-03": "the patient declined",
    "GX-04": "the patient is too young for this program",
    "at_target": "the newest result is at target",
    "no_diabetes": "no diabetes is on record any more",
    "no_numeric_target": "the patient's goal says that there is no number to reach",
    "pregnancy_route_to_provider": "the patient is pregnant: the provider decides",
    "older_adult_very_complex": "no numeric target applies to this patient",
    "test_recent": "the test has been done",
    "readmitted": "the patient was admitted again",
    "stay_open": "the patient is in hospital",
    "snf_open": "the patient is in skilled nursing",
    "snf_ended": "the stay in skilled nursing has ended",
    "on_roster": "the patient is on the practice's list again",
    "resolved": "the record has been put right",
    "followed_up": "the patient has been seen",
    "became_stay": "the visit became a hospital stay",
    "ed_return": "belongs to the transition care that is under way",
    "planned": "the later stay was planned",
    "long_term_care": "the patient went to long-term care",
    "transfer_awaited": "the patient was moved to another facility",
}


def day_text(day: dt.date | None, raw: str = "") -> str:
    return day.isoformat() if day else raw or "an unknown date"


def decimal(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def fact_day(value: Any, zone: dt.tzinfo) -> dt.date | None:
    """The local day of a date or an instant of `facts`; None for a month or a year."""
    return local_day(str(value), zone) if value else None


def fact_instant(value: Any) -> dt.datetime | None:
    """An instant of `facts`."""
    return dt.datetime.fromisoformat(str(value)) if value else None


def evidence_day(evidence: Evidence, zone: dt.tzinfo) -> str:
    return day_text(local_day(evidence.date, zone), evidence.date)


def evidence_text(evidence: Evidence, zone: dt.tzinfo) -> str:
    """The short form of one input, without the version: a touched resource is no news."""
    said = " ".join(part for part in (evidence.value or evidence.raw, evidence.unit) if part)
    dated = f"on {evidence_day(evidence, zone)}" if evidence.date else ""
    tail = " ".join(part for part in (said, dated) if part)
    return f"{source_of(evidence)}: {tail}" if tail else source_of(evidence)


def source_of(evidence: Evidence) -> str:
    return f"{evidence.type}/{evidence.id}"


def notes(flags: Iterable[str]) -> str:
    """What the flags have to say, as an appendix to a description."""
    shown = [_NOTES[flag] for flag in shown_flags(flags)]
    return f" ({'; '.join(shown)})" if shown else ""


def shown_flags(flags: Iterable[str]) -> list[str]:
    held = set(flags)
    return [flag for flag in _NOTES if flag in held]


def why(reason: str) -> str:
    """A reason word with its meaning; the word comes first, so that machines find it, too."""
    return f"{reason}: {_REASONS[reason]}" if reason in _REASONS else reason or "no longer needed"
