"""Task.input: what a Task says of the patient in typed form, for people and for the next night."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cm_service.flow.plans.words import evidence_text, source_of
from cm_service.rules.decision import Decision, Evidence

EVIDENCE, SUPPORTING, FLAG = "evidence", "supporting-evidence", "flag"
REGULATORY, REGULATORY_LATER = "regulatory-due", "regulatory-due-moderate"
EVENT, GROUPS, TARGET, VISIT_DUE = "event-date", "groups", "target", "visit-due"
CHECKLIST, CAUSE = "checklist", "cause"
_MOST = 12  # the rest of a decision's evidence stays in the service's own store

Input = tuple[str, str, Any]  # code, name of value[x], value


def evidence(first: Evidence | str, zone: Any) -> Input:
    """The deciding input in its short form."""
    return EVIDENCE, "valueString", first if isinstance(first, str) else evidence_text(first, zone)


def supporting(decision: Decision, zone: Any, *, beside: str) -> tuple[Input, ...]:
    """The other inputs of a decision, which R4 has no second reasonReference for."""
    others = (each for each in decision.evidence if source_of(each) != beside)
    texts = dict.fromkeys(evidence_text(each, zone) for each in others)
    return tuple((SUPPORTING, "valueString", text) for text in list(texts)[:_MOST])


def dates(*named: tuple[str, Any]) -> tuple[Input, ...]:
    """(code, ISO day or instant) of facts; what is missing is left out."""
    return tuple(
        (code, "valueDateTime" if "T" in str(value) else "valueDate", str(value))
        for code, value in named
        if value
    )


def inputs_of(resource: dict[str, Any], code: str) -> Iterator[Any]:
    """The values of all inputs of this code."""
    for each in resource.get("input") or ():
        if code in codes(each):
            yield from (value for name, value in each.items() if name.startswith("value"))


def input_of(resource: dict[str, Any], code: str) -> Any:
    """The value of the first input of this code, None if there is none."""
    return next(inputs_of(resource, code), None)


def codes(each: dict[str, Any]) -> set[str]:
    return {coding.get("code", "") for coding in (each.get("type") or {}).get("coding") or ()}


def as_fhir(base: str, inputs: Iterable[Input]) -> list[dict[str, Any]]:
    system = f"{base}/CodeSystem/cm-task-input"
    return [
        {"type": {"coding": [{"system": system, "code": code}]}, name: value} for code, name, value in inputs
    ]
