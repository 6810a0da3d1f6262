"""Does what a Task rests on still stand in the record?"""

from __future__ import annotations

from cm_service.flow.plans.context import Night
from cm_service.rules.dates import instant_of
from cm_service.rules.facts import ConditionFact, EncounterFact, Fact, ObservationFact

MISTAKE, GONE, CHANGED = "source-entered-in-error", "source-gone", "source-changed"
_KINDS: dict[str, type[Fact]] = {
    "Observation": ObservationFact,
    "Encounter": EncounterFact,
    "Condition": ConditionFact,
}


def lost(night: Night, reference: str) -> str:
    """The reason word if the resource is a mistake, has gone, or says that it does not hold; "" if
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
    if isinstance(fact, ConditionFact):
        return (
            fact.verification == "refuted" or fact.clinical in ("resolved", "inactive") or _over(night, fact)
        )
    return getattr(fact, "status", "") == "cancelled"


def _over(night: Night, fact: ConditionFact) -> bool:
    if fact.abated or fact.abatement is None:
        return fact.abated
    return instant_of(fact.abatement, night.zone) <= night.as_of
