"""Goal, CarePlan and Task (ours and others'), and the places Location and Organization."""

from __future__ import annotations

import msgspec

from cm_service.fhir import values
from cm_service.fhir.values import NOTHING
from cm_service.flow.normalisers import hba1c
from cm_service.flow.normalisers.context import Context, Kind, subject, tokens
from cm_service.rules.facts import GoalFact, PlaceFact, Reading, Target


class Range(msgspec.Struct, gc=False):
    low: values.Quantity | None = None
    high: values.Quantity | None = None


class GoalTarget(msgspec.Struct, rename="camel", gc=False):
    measure: msgspec.Raw = NOTHING
    detail_quantity: values.Quantity | None = None
    detail_range: Range | None = None
    detail_codeable_concept: msgspec.Raw = NOTHING
    detail_string: str | None = None
    due_date: str | None = None


class Goal(values.Resource, rename="camel", gc=False):
    identifier: list[values.Identifier] | None = None
    lifecycle_status: str | None = None
    subject: values.Reference | None = None
    start_date: str | None = None
    status_date: str | None = None
    target: list[GoalTarget] | None = None


class CarePlan(values.Resource, rename="camel", gc=False):
    subject: values.Reference | None = None


class Task(values.Resource, rename="camel", gc=False):
    for_: values.Reference | None = msgspec.field(default=None, name="for")


class Place(values.Resource, rename="camel", gc=False):
    identifier: list[values.Identifier] | None = None
    name: str | None = None
    type: msgspec.Raw = NOTHING


def goal(raw: Goal, context: Context) -> GoalFact:
    targets = [_target(one, index, context) for index, one in enumerate(raw.target or ())]
    return GoalFact(
        **context.head(raw),
        lifecycle=raw.lifecycle_status or "",
        targets=tuple(target for target, _ in targets),
        start=context.when(raw.start_date),
        status_date=context.when(raw.status_date),
        identifiers=tokens(raw.identifier),
        flags=tuple(dict.fromkeys(flag for _, flags in targets for flag in flags)),
    )


def _target(raw: GoalTarget, index: int, context: Context) -> tuple[Target, tuple[str, ...]]:
    """One target and its flags; quantities only where the measure is HbA1c."""
    measure = context.concept(raw.measure)
    kinds, path = hba1c.families(measure), f"Goal.target[{index}]"
    limits = raw.detail_range or Range()
    numbers = {
        "quantity": _number(raw.detail_quantity, kinds, f"{path}.detailQuantity"),
        "low": _number(limits.low, kinds, f"{path}.detailRange.low"),
        "high": _number(limits.high, kinds, f"{path}.detailRange.high"),
    }
    readings: dict[str, Reading | None] = {
        name: value.reading if value else None for name, value in numbers.items()
    }
    target = Target(
        measure=measure,
        **readings,
        is_range=raw.detail_range is not None,
        coded=context.given(raw.detail_codeable_concept),
        text=raw.detail_string or "",
        due=context.when(raw.due_date),
    )
    return target, tuple(flag for value in numbers.values() if value for flag in value.flags)


def _number(quantity: values.Quantity | None, kinds: frozenset[str], path: str) -> hba1c.Value | None:
    if quantity is None or not kinds:
        return None
    return hba1c.from_quantity(quantity, kinds, path) or hba1c.unusable("non_numeric", kinds, path=path)


def no_fact(_raw: CarePlan | Task, _context: Context) -> None:
    """No rule reads plans and Tasks: what became of ours is told by the ledger. In a record they would
    make everybody for whom we wrote be judged anew the night after."""


def place(raw: Place, context: Context) -> PlaceFact:
    return PlaceFact(**context.head(raw), name=raw.name or "", types=context.concepts(raw.type))


class _Identified(msgspec.Struct, rename="camel", gc=False):
    resource_type: str = ""
    id: str | None = None
    identifier: list[values.Identifier] | None = None


_IDENTIFIED = msgspec.json.Decoder(_Identified)


def conditional(text: bytes | str) -> dict[str, str]:
    """The conditional references (`Location?identifier=system|value`) that mean this resource; empty
    for what cannot be read, since reading it will say so."""
    try:
        raw = _IDENTIFIED.decode(text)
    except (ValueError, RecursionError):
        return {}
    name = f"{raw.resource_type}/{raw.id}"
    return {f"{raw.resource_type}?identifier={token}": name for token in tokens(raw.identifier)}


KINDS = {
    "Goal": Kind(msgspec.json.Decoder(Goal), goal, subject),
    "CarePlan": Kind(msgspec.json.Decoder(CarePlan), no_fact, subject),
    "Task": Kind(msgspec.json.Decoder(Task), no_fact, lambda raw: raw.for_.reference if raw.for_ else None),
}
PLACES = {
    "Location": Kind(msgspec.json.Decoder(Place), place, lambda _raw: None),
    "Organization": Kind(msgspec.json.Decoder(Place), place, lambda _raw: None),
}
