"""Signs of hospice, and what ends it (rules.md 0.7): the question behind gate GX-02."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cm_service.rules import encounters
from cm_service.rules.clock import Clock, Span, is_later
from cm_service.rules.condition_evidence import ACTIVE, is_over
from cm_service.rules.dates import When, date_flags, instant_of
from cm_service.rules.decision import Evidence
from cm_service.rules.facts import (
    Concept,
    ConditionFact,
    EncounterFact,
    Fact,
    ObservationFact,
    ProcedureFact,
    ServiceRequestFact,
    codes_text,
    concepts_of,
)
from cm_service.rules.value_sets import SNOMED, normal
from cm_service.rules.view import PatientView

INPUTS = frozenset({"Encounter", "ServiceRequest", "Procedure", "Condition", "Observation"})
_ORDERS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
_TAKEN_BACK = frozenset({"revoked", "cancelled", "entered-in-error"})
_RESULTS = frozenset({"final", "amended", "corrected"})
_HOSPICE, _QUESTION = "hospice", "hospice_mds"  # words of value sets
_YES = (SNOMED, "373066001")
# A hospice stay that ends like this goes on elsewhere, or ends with the patient's life.
_NO_END = frozenset({"expired", "hospice", "transfer", "transfer_snf"})


class Sign(NamedTuple):
    """Something that says hospice by the codes in `path`. It begins and was last seen on local days;
    `goes_on` while it has not ended; without any date it stands."""

    path: str
    fact: Fact
    begin: When | None
    last: When | None
    goes_on: bool = False


class Hospice(NamedTuple):
    """`now`: is the patient to be taken for one in hospice care?"""

    now: bool
    flags: tuple[str, ...]
    evidence: tuple[Evidence, ...]


def assess(view: PatientView, clock: Clock) -> Hospice:
    """Any sign in the last `gx.hospice_days` days that nothing later takes back."""
    found = [sign for sign in _signs(view, clock) if _counts(sign, view, clock)]
    signs = [sign for sign in found if _is_past(sign, clock)]
    flags = {"future_date"} if len(signs) < len(found) else set()
    for sign in signs:
        flags.update(sign.fact.flags, date_flags(sign.begin, sign.last))
        if sign.begin is None:
            flags.add("undated")
    ended = bool(signs) and any(not _any_after(end, signs, clock) for end in _ends(view, clock))
    now = bool(signs) and not ended
    evidence = {_evidence(sign) for sign in signs} if now else ()
    return Hospice(now, tuple(sorted(flags)), tuple(sorted(evidence, key=_order)))


def _counts(sign: Sign, view: PatientView, clock: Clock) -> bool:
    if sign.goes_on or sign.last is None:
        return True
    return clock.within_days(clock.span(sign.last), view.parameters.gx_hospice_days) is not False


def _is_past(sign: Sign, clock: Clock) -> bool:
    return sign.begin is None or not clock.is_future(sign.begin)


def _any_after(end: Span, signs: list[Sign], clock: Clock) -> bool:
    """A sign that goes on, or that nobody dated, cannot be said to lie before the end."""
    return any(sign.goes_on or sign.begin is None or is_later(clock.span(sign.begin), end) for sign in signs)


def _signs(view: PatientView, clock: Clock) -> Iterator[Sign]:
    yield from _encounters(view, clock)
    for order in _orders(view):
        if order.status in ("active", "completed"):
            when = order.authored or order.occurrence
            yield Sign("ServiceRequest.code", order, when, when)
    for procedure in view.stated(ProcedureFact).get(_HOSPICE, ()):
        if procedure.status in ("completed", "in-progress"):
            going = procedure.status == "in-progress"
            last = procedure.end or procedure.start
            yield Sign("Procedure.code", procedure, procedure.start or last, last, going)
    for condition in view.stated(ConditionFact).get(_HOSPICE, ()):
        if _is_so(condition, clock):
            begin = condition.onset or condition.recorded
            yield Sign("Condition.code", condition, begin, condition.recorded or begin)
    for result in _results(view):
        if result.status in _RESULTS:
            when = result.effective or result.issued
            yield Sign("Observation.code", result, when, when)


def _encounters(view: PatientView, clock: Clock) -> Iterator[Sign]:
    """Being in progress is enough; an end in the future is an expected one and read as absent."""
    for encounter in _hospice_encounters(view):
        finished, end = encounters.is_finished(encounter), _past_end(encounter, clock)
        if finished or encounters.is_open(encounter):
            begin, goes_on = encounter.start or end, not finished and end is None
            yield Sign("Encounter.type", encounter, begin, end or begin, goes_on)
    for encounter in view.of(EncounterFact):
        if encounter.disposition is None or not encounters.is_finished(encounter):
            continue
        if encounters.disposition(encounter).kind == "hospice":
            sent = _past_end(encounter, clock) or encounter.start
            yield Sign(encounters.DISPOSITION, encounter, sent, sent)


def _hospice_encounters(view: PatientView) -> list[EncounterFact]:
    return view.stated(EncounterFact).get(_HOSPICE, [])


def _past_end(encounter: EncounterFact, clock: Clock) -> When | None:
    end = encounter.end
    return end if end is not None and clock.passed(instant_of(end, clock.zone)) else None


def _orders(view: PatientView) -> list[ServiceRequestFact]:
    return [o for o in view.stated(ServiceRequestFact).get(_HOSPICE, ()) if o.intent in _ORDERS]


def _is_so(condition: ConditionFact, clock: Clock) -> bool:
    if condition.clinical not in ACTIVE and condition.clinical != "":
        return False
    return condition.verification in ("", "confirmed") and is_over(condition, clock) is not True


def _results(view: PatientView) -> Iterator[ObservationFact]:
    """The hospice question of the Minimum Data Set answered with yes, or a hospice finding that
    nobody answered with something else."""
    stated = view.stated(ObservationFact)
    asked = stated.get(_QUESTION, [])
    yield from (result for result in asked if result.value is not None and _says_yes(result.value))
    for result in stated.get(_HOSPICE, ()):
        if result not in asked and (result.value is None or _says_yes(result.value)):
            yield result


def _says_yes(value: Concept) -> bool:
    return any(normal(coding.system, coding.code) == _YES for coding in value.codings)


def _ends(view: PatientView, clock: Clock) -> Iterator[Span]:
    """Local days on which hospice ended, unless a sign is newer."""
    for encounter in _hospice_encounters(view):
        if encounters.is_finished(encounter):
            when = _past_end(encounter, clock) or encounter.start
            if when is not None and encounters.disposition(encounter).kind not in _NO_END:
                yield clock.span(when)
    for order in _orders(view):
        when = order.authored or order.occurrence
        if order.status in _TAKEN_BACK and when and not clock.is_future(when):
            yield clock.span(when)


def _order(evidence: Evidence) -> tuple[str, ...]:
    return evidence.type, evidence.id, evidence.date, evidence.path


def _evidence(sign: Sign) -> Evidence:
    date = sign.last or sign.begin
    return Evidence(
        type=sign.path.partition(".")[0],
        id=sign.fact.id,
        version=sign.fact.version,
        path=sign.path,
        raw=_raw(sign.fact, sign.path),
        value="hospice",
        date=date.raw if date else "",
    )


def _raw(fact: Fact, path: str) -> str:
    if isinstance(fact, EncounterFact) and path == encounters.DISPOSITION:
        return encounters.disposition(fact).raw
    return codes_text(concepts_of(fact))
