"""Which chronic conditions a patient has, as counting groups (rules.md 3.2 to 3.7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cm_service.rules import condition_strength as strength
from cm_service.rules.clock import Clock
from cm_service.rules.condition_codes import UNCODED, Coded, coded
from cm_service.rules.condition_evidence import Seen, look
from cm_service.rules.condition_strength import Item
from cm_service.rules.decision import Evidence
from cm_service.rules.facts import ConditionFact, codes_text
from cm_service.rules.view import PatientView

# Words of flags.csv that belong to CHR-MULTI alone.
_CHR_ONLY = frozenset({"abatement_conflict", "coding_conflict"})
DIABETES = "diabetes"
Facts = tuple[ConditionFact, ...]


class Assessment(NamedTuple):
    """Evidence by counting group. A group stands in `counted`, or else in `persisting` (an unknown
    that somebody should confirm); `possible` lists every group that does not count yet,
    persisting ones too. `remission`: Conditions whose code or status says diabetes in remission.
    `notes`: flag words, by counting group."""

    counted: dict[str, Facts]
    persisting: dict[str, Facts]
    possible: dict[str, Facts]
    remission: Facts
    notes: dict[str, tuple[str, ...]]

    @property
    def flags(self) -> tuple[str, ...]:
        return tuple(sorted({flag for flags in self.notes.values() for flag in flags}))


class Diabetes(NamedTuple):
    """Diabetes as the HbA1c rules want it: a persisting one is diabetes, too."""

    has: bool
    persisting: bool
    remission_only: bool
    evidence: tuple[Evidence, ...]
    flags: tuple[str, ...]


class _Gathered:
    """What reading the Conditions one by one brings together, by counting group."""

    def __init__(self) -> None:
        self.items: dict[str, list[Item]] = {}
        self.listed: dict[str, dict[str, ConditionFact]] = {}
        self.notes: dict[str, set[str]] = {}
        self.remission: list[ConditionFact] = []

    def add(self, named: Coded, seen: Seen) -> None:
        flags = {*seen.flags, "coding_conflict"} if named.conflict and seen.standing else set(seen.flags)
        for match in (*named.matches, *named.withheld):
            if flags:
                self.notes.setdefault(match.group, set()).update(flags)
            if seen.standing:
                self.listed.setdefault(match.group, {})[seen.fact.id] = seen.fact
        for match in named.matches:
            self.items.setdefault(match.group, []).append(Item(seen, match))


def assess(view: PatientView, clock: Clock) -> Assessment:
    """All chronic Conditions of the patient as of today; ask through `view.derive`."""
    gathered = _gather(view, clock)
    counted: dict[str, Facts] = {}
    persisting: dict[str, Facts] = {}
    for group in sorted(gathered.items):
        items = gathered.items[group]
        if evidence := [*strength.regular(items, view, clock), *strength.conditional(items, view, clock)]:
            counted[group] = _facts(evidence)
        elif unsure := strength.persisting(items, view, clock):
            persisting[group] = _facts(unsure)
    possible = {
        group: tuple(held.values()) for group, held in sorted(gathered.listed.items()) if group not in counted
    }
    notes = {group: tuple(sorted(words)) for group, words in sorted(gathered.notes.items())}
    return Assessment(counted, persisting, possible, tuple(gathered.remission), notes)


def _gather(view: PatientView, clock: Clock) -> _Gathered:
    """Most Conditions name nothing chronic and are dropped before anything else is asked."""
    extensions = frozenset(view.parameters.chr_extensions)
    naming: dict[str, tuple[ConditionFact, Coded]] = {}
    for condition in view.of(ConditionFact):
        named = coded(condition, extensions)
        if named is not UNCODED:
            naming[condition.id] = condition, named
    gathered = _Gathered()
    for _, (condition, named) in sorted(naming.items()):
        gathered.add(named, look(condition, named, view, clock))
        if _in_remission(condition, named, clock):
            gathered.remission.append(condition)
    return gathered


def _in_remission(condition: ConditionFact, named: Coded, clock: Clock) -> bool:
    says = condition.clinical == "remission" and any(m.group == DIABETES for m in named.matches)
    if not (named.remission or says) or condition.verification not in ("", "confirmed"):
        return False
    return not any(clock.is_future(date) for date in (condition.onset, condition.recorded) if date)


def _facts(items: Iterable[Item]) -> Facts:
    held = {item.seen.fact.id: item.seen.fact for item in items}
    return tuple(held[name] for name in sorted(held))


def diabetes(view: PatientView, clock: Clock) -> Diabetes:
    """For `view.derive`. Its flags are those that concern the HbA1c rules as well."""
    found = view.derive(assess, clock)
    counted, persisting = found.counted.get(DIABETES, ()), found.persisting.get(DIABETES, ())
    possible = found.possible.get(DIABETES, ())
    has = bool(counted or persisting)
    flags = [word for word in found.notes.get(DIABETES, ()) if word not in _CHR_ONLY]
    if persisting:
        flags.append("persisting_encounter_diagnosis")
    shown = {fact.id: fact for fact in (*counted, *possible, *found.remission)}
    return Diabetes(
        has=has,
        persisting=bool(persisting),
        remission_only=bool(found.remission) and not has and not possible,
        evidence=tuple(evidence_of(shown[name], DIABETES) for name in sorted(shown)),
        flags=tuple(flags),
    )


def evidence_of(condition: ConditionFact, group: str) -> Evidence:
    """A Condition as evidence for a counting group, with the date on which it was recorded."""
    date = condition.recorded or condition.onset
    return Evidence(
        type="Condition",
        id=condition.id,
        version=condition.version,
        path="Condition.code",
        raw=codes_text((condition.code,)),
        value=group,
        date=date.raw if date else "",
    )
