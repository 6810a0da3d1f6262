"""Does what a Task rests on still stand in the record?"""

from __future__ import annotations

from cm_service.flow.plans.context import Night
from cm_service.rules.clock import Clock
from cm_service.rules.condition_evidence import is_over
from cm_service.rules.facts import ConditionFact, EncounterFact, Fact, ObservationFact

MISTAKE, GONE, CHANGED = "source-entered-in-error", "source-gone", "source-changed"
_KINDS: dict[str, type[Fact]] = {
    "Observation": ObservationFact,
    "Encounter": EncounterFact,
    "Condition": ConditionFact,
}


def lost(night: Night, reference: str) -> str:
    """The reason word if the resource is a mistake, has gone, or does not say (any more) that it holds; "" if
    it stands, or if so little was read that its absence means nothing."""
    kind, _, name = reference.partition("/")
    if kind not in _KINDS or not name:
        return ""
    fact = next((each for each in night.view.of(_KINDS[kind]) if each.id == name), None)
    if fact is None:
        return "" if kind in night.view.incomplete else GONE
    if "entered-in-error" in (getattr(fact, "status", ""), getattr(fact, "verification", "")):
        return MISTAKE
    return CHANGED if _says_no(night, fact) else ""


def _says_no(night: Night, fact: Fact) -> bool:
    if not isinstance(fact, ConditionFact):
        return getattr(fact, "status", "") in ("cancelled", "unknown")
    if fact.verification not in ("", "confirmed") or fact.clinical in ("resolved", "inactive"):
        return True
    return is_over(fact, Clock(night.as_of, night.zone)) is True
