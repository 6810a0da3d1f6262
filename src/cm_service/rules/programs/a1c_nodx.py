"""A1C-NODX: an HbA1c in the diabetic range, and no diabetes on record (rules.md 1.8).

It asks the patient's provider to look, so pregnancy and the burden of disease do not stop it.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from cm_service.rules.a1c_answer import RECENT_DAYS, finding, value_facts, why_no_result
from cm_service.rules.a1c_reliability import reliability_flags
from cm_service.rules.a1c_results import Results, results
from cm_service.rules.a1c_threshold import exceeds_native
from cm_service.rules.clock import Clock
from cm_service.rules.conditions import Diabetes, diabetes
from cm_service.rules.decision import Finding, Outcome, Rule
from cm_service.rules.view import PatientView


def _evaluate(view: PatientView, clock: Clock) -> Finding:
    found, known = view.derive(results, clock), view.derive(diabetes, clock)
    outcome, reasons = _judge(found, known, view, clock)
    concerned = found.newest is not None and not known.has
    flags = view.derive(reliability_flags, clock) if concerned else ()
    return finding(outcome, reasons, found=found, known=known, facts=value_facts(found), flags=flags)


def _judge(
    found: Results, known: Diabetes, view: PatientView, clock: Clock
) -> tuple[Outcome, tuple[str, ...]]:
    if known.has:
        return Outcome.NOT_ELIGIBLE, ()
    newest = found.newest
    recent = clock.within_days(newest.span, RECENT_DAYS) if newest is not None else False
    if newest is None or recent is False:
        return Outcome.NOT_ELIGIBLE, (why_no_result(found, clock),)
    limit = view.parameters.a1c_dx
    diabetic = exceeds_native(newest.reading, limit, _in_mmol_per_mol(limit))
    if diabetic is None:
        return Outcome.INSUFFICIENT_DATA, ("comparator_undecided",)
    if not diabetic:
        return Outcome.NOT_ELIGIBLE, ()
    if recent is None:
        return Outcome.INSUFFICIENT_DATA, (why_no_result(found, clock),)
    return Outcome.ELIGIBLE, (
        "remission_relapse" if known.remission_only else "diabetic_range_without_diagnosis",
    )


def _in_mmol_per_mol(percent: Decimal) -> Decimal:
    """The whole mmol/mol from which on a native value is in the range: 48 for 6.5 %, since 47 only
    rounds to it (inverse of the IFCC network's equation)."""
    return (Decimal("10.93") * percent - Decimal("23.5")).to_integral_value(ROUND_CEILING)


RULE = Rule(
    id="A1C-NODX",
    version="1.1",
    title="HbA1c in diabetic range without diabetes on record",
    inputs=frozenset({"Observation", "Condition"}),
    gates=("GX-01", "GX-04", "GX-02"),
    evaluate=_evaluate,
)
