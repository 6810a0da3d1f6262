"""Observation and Specimen (rules.md 1.2 to 1.5)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from cm_service.fhir import values
from cm_service.fhir.values import NOTHING, is_given
from cm_service.flow.normalisers import hba1c
from cm_service.flow.normalisers.context import Context, Kind, Note, subject
from cm_service.flow.normalisers.hba1c import Value
from cm_service.flow.normalisers.used_codes import RESULT_SETS, is_of
from cm_service.rules.dates import When
from cm_service.rules.facts import ObservationFact, Reading, SpecimenFact

_MISTAKE = "entered-in-error"
_SAME = Decimal("0.3")  # components that differ by more are no two ways of writing one result
_EPOCH_DAY, _DAY = 719_163, 86_400_000_000  # ordinal of 1970-01-01; microseconds


class Valued(values.Resource, rename="camel", gc=False):
    """value[x] and dataAbsentReason, of an Observation or of one component (which has no id or meta)."""

    code: msgspec.Raw = NOTHING
    value_quantity: values.Quantity | None = None
    value_string: str | None = None
    value_integer: msgspec.Raw = NOTHING
    value_codeable_concept: msgspec.Raw = NOTHING
    value_boolean: msgspec.Raw = NOTHING
    value_ratio: msgspec.Raw = NOTHING
    value_range: msgspec.Raw = NOTHING
    value_sampled_data: msgspec.Raw = NOTHING
    value_time: msgspec.Raw = NOTHING
    value_date_time: msgspec.Raw = NOTHING
    value_period: msgspec.Raw = NOTHING
    data_absent_reason: msgspec.Raw = NOTHING


class Observation(Valued, rename="camel", gc=False):
    status: str | None = None
    subject: values.Reference | None = None
    encounter: values.Reference | None = None
    specimen: values.Reference | None = None
    effective_date_time: str | None = None
    effective_instant: str | None = None
    effective_period: values.Period | None = None
    effective_timing: values.Timing | None = None
    issued: str | None = None
    component: list[Valued] | None = None


class Collection(msgspec.Struct, rename="camel", gc=False):
    collected_date_time: str | None = None
    collected_period: values.Period | None = None


class Specimen(values.Resource, rename="camel", gc=False):
    subject: values.Reference | None = None
    collection: Collection | None = None


def observation(raw: Observation, context: Context) -> ObservationFact | None:
    """None for results that no rule reads. One entered in error is kept whatever it holds, since it
    must replace what it was before (some EMRs empty it)."""
    code = context.concept(raw.code)
    found = _hba1c(raw, context)
    if found is None and not (is_of(RESULT_SETS, code) or raw.status == _MISTAKE or context.every_result):
        return None
    if found is not None and found.reading.why:
        context.notes.append(Note(found.reading.why, "the HbA1c value cannot be used"))
    return ObservationFact(
        **context.head(raw),
        status=raw.status or "",
        code=code,
        effective=_effective(raw, context),
        issued=context.when(raw.issued),
        specimen=context.key(raw.specimen, "Observation.specimen"),
        encounter=context.key(raw.encounter, "Observation.encounter"),
        reading=found.reading if found else None,
        value=context.given(raw.value_codeable_concept),
        flags=found.flags if found else (),
    )


def _effective(raw: Observation, context: Context) -> When | None:
    """effectiveDateTime; effectivePeriod.end else start; effectiveInstant; the last event of a Timing."""
    period = raw.effective_period
    events = raw.effective_timing.event if raw.effective_timing else None
    dated = (
        context.when(raw.effective_date_time)
        or context.end(period)
        or context.start(period)
        or context.when(raw.effective_instant)
    )
    return dated or max(filter(None, map(context.when, events or ())), key=_order, default=None)


def _order(when: When) -> tuple[int, int]:
    return when.high if when.has_time else (when.high - _EPOCH_DAY) * _DAY, when.precision


def _hba1c(raw: Observation, context: Context) -> Value | None:
    """The one reading of an Observation that has an HbA1c code, its own or a component's."""
    found = [(kinds, value) for kinds, value in _candidates(raw, context) if kinds]
    if not found:
        return None
    # GMI and JDS values do not speak where there is an HbA1c proper.
    proper = [value for kinds, value in found if not kinds <= {"jds", "gmi"}]
    return _choose(proper or [value for _, value in found])


def _kinds(code: msgspec.Raw, context: Context) -> frozenset[str]:
    """The kinds of HbA1c code that a concept carries; the same few concepts come again and again."""
    text = bytes(code)
    found = context.kinds.get(text)
    if found is None:
        found = context.kinds[text] = hba1c.families(context.concept(code))
    return found


def _candidates(raw: Observation, context: Context) -> Iterator[tuple[frozenset[str], Value]]:
    kinds = _kinds(raw.code, context)
    if kinds:
        yield kinds, _value(raw, kinds, "Observation")
    for index, component in enumerate(raw.component or ()):
        kinds = _kinds(component.code, context)
        if kinds:
            yield kinds, _value(component, kinds, f"Observation.component[{index}]")


def _value(raw: Valued, kinds: frozenset[str], path: str) -> Value:
    value = _number(raw, kinds, path) or _no_number(raw, kinds, path)
    if value is None:
        return Value(Reading(measured=False, path=path, family=hba1c.family_of(kinds)))
    if is_given(raw.data_absent_reason):
        return hba1c.unusable("contradictory_value", kinds, path=value.reading.path, raw=value.reading.raw)
    return value


def _number(raw: Valued, kinds: frozenset[str], path: str) -> Value | None:
    if raw.value_quantity is not None:
        return hba1c.from_quantity(raw.value_quantity, kinds, f"{path}.valueQuantity")
    if raw.value_string is not None:
        return hba1c.from_text(raw.value_string, kinds, f"{path}.valueString")
    if is_given(raw.value_integer):
        number = values.Quantity(value=raw.value_integer)
        return hba1c.from_quantity(number, kinds, f"{path}.valueInteger")
    return None


def _no_number(raw: Valued, kinds: frozenset[str], path: str) -> Value | None:
    """value[x] of a type from which no number is ever inferred."""
    others = {
        "valueCodeableConcept": raw.value_codeable_concept,
        "valueBoolean": raw.value_boolean,
        "valueRatio": raw.value_ratio,
        "valueRange": raw.value_range,
        "valueSampledData": raw.value_sampled_data,
        "valueTime": raw.value_time,
        "valueDateTime": raw.value_date_time,
        "valuePeriod": raw.value_period,
    }
    name = next((name for name, value in others.items() if is_given(value)), None)
    return hba1c.unusable("non_numeric", kinds, path=f"{path}.{name}") if name else None


def _choose(found: list[Value]) -> Value:
    """The native percent speaks for all; components that contradict each other for none."""
    usable = [value for value in found if value.reading.percent is not None]
    if not usable:
        return next((value for value in found if value.reading.measured), found[0])
    best = min(usable, key=lambda value: (value.reading.converted, value.reading.unit != hba1c.PERCENT))
    exact = [value.reading.percent or Decimal(0) for value in usable if not value.reading.comparator]
    if exact and max(exact) - min(exact) > _SAME:
        kinds = {best.reading.family}
        return hba1c.unusable("component_conflict", kinds, path="Observation.component", raw=best.reading.raw)
    return best


def specimen(raw: Specimen, context: Context) -> SpecimenFact:
    taken = raw.collection or Collection()
    period = taken.collected_period
    collected = context.when(taken.collected_date_time) or context.end(period) or context.start(period)
    return SpecimenFact(**context.head(raw), collected=collected)


KINDS = {
    "Observation": Kind(msgspec.json.Decoder(Observation), observation, subject),
    "Specimen": Kind(msgspec.json.Decoder(Specimen), specimen, subject),
}
