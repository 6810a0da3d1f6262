"""All rules over one patient: each rule's own answer, then gates, then what could not be read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from cm_service.rules import gates, value_sets
from cm_service.rules.clock import Clock
from cm_service.rules.decision import Decision, Finding, Outcome, Rule, unique
from cm_service.rules.registry import RULES
from cm_service.rules.view import PatientView

GATE_ORDER = ("GX-01", "GX-04", "GX-02", "GX-03")


def evaluate_patient(
    view: PatientView, *, as_of: dt.datetime, zone: dt.tzinfo, rules: Iterable[Rule] = RULES
) -> list[Decision]:
    """One decision per rule, in the registry's order. `view` must hold a Patient: facts of a
    patient without a Patient resource lead to no decision (rules.md 0.6), the caller reports them.
    """
    patient = view.patient
    if patient is None:
        raise ValueError("no decision without a Patient resource")
    clock = Clock(as_of, zone)
    return [_decide(rule, view, clock.fresh(), patient.id) for rule in rules]


def _decide(rule: Rule, view: PatientView, clock: Clock, patient_id: str) -> Decision:
    gate = view.derive(gates.assess, clock)
    finding = rule.evaluate(view, clock)
    outcome, reasons = _judge(rule, view, gate, finding)
    facts = finding.facts
    if outcome is not Outcome.ELIGIBLE and "priority" in facts:
        facts = {key: value for key, value in facts.items() if key != "priority"}
    stopped = [item for name in reasons for item in gate.evidence.get(name, ())]
    flags = list(finding.flags)
    for name in rule.gates:
        flags.extend(gate.flags.get(name, ()))
    if rule.inputs & view.stale:
        flags.append("stale_input")
    return Decision(
        patient=patient_id,
        rule=rule.id,
        rule_version=rule.version,
        code_set_version=value_sets.VERSION,
        outcome=outcome,
        reasons=reasons,
        flags=unique(flags),
        evidence=[*stopped, *finding.evidence],
        as_of=clock.as_of,
        stable_until=clock.until,
        facts=facts,
    )


def _judge(rule: Rule, view: PatientView, gate: gates.Gates, finding: Finding) -> tuple[Outcome, list[str]]:
    """Gates in their order, then doubts about the person, then holes in the input."""
    for name in GATE_ORDER if gate.stops else ():
        if name in gate.stops and name in rule.gates and rule.id not in gate.spared.get(name, ()):
            return Outcome.NOT_ELIGIBLE, unique(gate.stops[name])
    if finding.outcome is Outcome.ELIGIBLE:
        if gate.deceased_conflict:
            return Outcome.INSUFFICIENT_DATA, ["deceased_conflict"]
        if "GX-04" in rule.gates and gate.adult is None and rule.id not in gate.spared.get("GX-04", ()):
            return Outcome.INSUFFICIENT_DATA, ["age_unknown"]
    if finding.outcome is Outcome.NOT_ELIGIBLE and rule.inputs & view.incomplete:
        return Outcome.INSUFFICIENT_DATA, ["input_incomplete", *unique(finding.reasons)]
    return finding.outcome, unique(finding.reasons)
