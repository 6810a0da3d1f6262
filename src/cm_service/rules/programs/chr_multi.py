"""CHR-MULTI: two or more chronic conditions, counted as groups (rules.md section 3)."""

from __future__ import annotations

from collections.abc import Mapping

from cm_service.rules.clock import Clock
from cm_service.rules.conditions import Assessment, Facts, assess, evidence_of
from cm_service.rules.decision import Finding, Outcome, Rule
from cm_service.rules.view import PatientView


def evaluate(view: PatientView, clock: Clock) -> Finding:
    found, limit = view.derive(assess, clock), view.parameters.chr_min_groups
    mode = view.parameters.chr_persisting_encounter_dx
    groups = {**found.counted, **found.persisting} if mode == "count" else found.counted
    possible = {group: facts for group, facts in found.possible.items() if group not in groups}
    unsure = found.persisting if mode == "confirm" else {}
    outcome, reason = _judge(len(groups), len(unsure), limit)
    flags = [*found.flags, *(["possible_conditions"] if possible else [])]
    if outcome is not Outcome.NOT_ELIGIBLE and _rests_on_persisting(found, limit):
        flags.append("persisting_encounter_diagnosis")
    if outcome is Outcome.ELIGIBLE and _hangs_on_one(groups, limit):
        flags.append("single_code_multi_category")
    return Finding(
        outcome=outcome,
        reasons=[reason],
        flags=flags,
        evidence=[evidence_of(fact, group) for group, facts in _all(groups, possible) for fact in facts],
        facts={
            "groups": sorted(groups),
            "possible": sorted(possible),
            "conditions": {group: [fact.id for fact in groups[group]] for group in sorted(groups)},
        },
    )


def _judge(counted: int, unsure: int, limit: int) -> tuple[Outcome, str]:
    if counted >= limit:
        return Outcome.ELIGIBLE, "enough_groups"
    if counted + unsure >= limit:
        return Outcome.INSUFFICIENT_DATA, "unconfirmed_conditions"
    return Outcome.NOT_ELIGIBLE, "too_few_groups"


def _rests_on_persisting(found: Assessment, limit: int) -> bool:
    """Would the answer be another without the persisting groups?"""
    return bool(found.persisting) and len(found.counted) < limit


def _hangs_on_one(groups: Mapping[str, Facts], limit: int) -> bool:
    """Does one Condition alone reach the limit, and would it not if it stood for one group only?"""
    named: dict[str, set[str]] = {}
    for group, facts in groups.items():
        for fact in facts:
            named.setdefault(fact.id, set()).add(group)
    for condition, held in named.items():
        others = set().union(*(more for other, more in named.items() if other != condition))
        if len(held) >= limit and len(others) + bool(held - others) < limit:
            return True
    return False


def _all(groups: Mapping[str, Facts], possible: Mapping[str, Facts]) -> list[tuple[str, Facts]]:
    return sorted([*groups.items(), *possible.items()], key=lambda pair: pair[0])


RULE = Rule(
    id="CHR-MULTI",
    version="1.1",
    title="Two or more chronic conditions",
    inputs=frozenset({"Condition", "Encounter"}),
    gates=("GX-01", "GX-04", "GX-02", "GX-03"),
    evaluate=evaluate,
)
