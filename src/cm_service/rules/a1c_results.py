"""Which HbA1c results of a patient count, and which one is the newest (rules.md 1.3, 1.4, 1.6).

The value itself was read by the normaliser (`ObservationFact.reading`); here only status and
dates decide. Results older than 24 months are as if they did not exist.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from cm_service.rules.clock import Clock, Span, is_later
from cm_service.rules.dates import Precision, When, date_flags, instant_of
from cm_service.rules.facts import ObservationFact, Reading, SpecimenFact
from cm_service.rules.parameters import Parameters
from cm_service.rules.view import PatientView

WINDOW_MONTHS = 24
PENDING_DAYS = 14
_USABLE = {"corrected": 0, "amended": 1, "final": 2}  # the order in which they win on one day
_PENDING = frozenset({"registered", "preliminary"})
_DUAL_REPORTING = Decimal("0.1")
_NO_INSTANT = dt.datetime.min.replace(tzinfo=dt.UTC)


class Result(NamedTuple):
    """One Observation with the date that was used. `span` is that date in the practice's zone."""

    fact: ObservationFact
    reading: Reading
    when: When
    span: Span


class Results(NamedTuple):
    """`newest`: the newest usable one. `unusable`: dated, blood was taken, no value (newest first).
    `undated`: usable or unusable values without any date. `pending`: the newest that is newer than
    `newest` and not surely older than 14 days; `pending_open` is None where its partial date leaves
    that open."""

    newest: Result | None = None
    unusable: tuple[Result, ...] = ()
    undated: tuple[tuple[ObservationFact, Reading], ...] = ()
    pending: Result | None = None
    pending_open: bool | None = False
    flags: tuple[str, ...] = ()

    @property
    def newer_unusable(self) -> Result | None:
        """The newest result of unknown value, if nothing usable is as new."""
        first = next(iter(self.unusable), None)
        return first if first is not None and is_newer(first, self.newest) else None

    @property
    def newest_test(self) -> Result | None:
        """The last time that blood was taken and dated, usable or not."""
        return self.newer_unusable or self.newest


class _Sorted:
    """The piles on which a patient's Observations are put, and the flags met on the way."""

    def __init__(self) -> None:
        self.usable: list[Result] = []
        self.unusable: list[Result] = []
        self.undated: dict[str, tuple[ObservationFact, Reading]] = {}
        self.pending: list[tuple[Result, bool | None]] = []
        self.flags: set[str] = set()


def results(view: PatientView, clock: Clock) -> Results:
    """The HbA1c results of a patient; use it through `view.derive`."""
    piles = _Sorted()
    for fact in view.of(ObservationFact):
        if fact.reading is not None and _is_used(fact.reading, view.parameters):
            _sort(fact, fact.reading, piles, view, clock)
    newest = _newest(piles.usable, clock)
    pending, still_open = _newest_pending(piles, newest)
    unusable = sorted(piles.unusable, key=_newest_first)
    if newest is not None and unusable and is_newer(unusable[0], newest):
        piles.flags.add("newer_unusable_result")
    undated = tuple(piles.undated[name] for name in sorted(piles.undated))
    return Results(newest, tuple(unusable), undated, pending, still_open, tuple(sorted(piles.flags)))


def is_newer(one: Result, other: Result | None) -> bool:
    """Is `one` surely newer than `other`, or is there no other?"""
    return other is None or is_later(one.span, other.span)


def _is_used(reading: Reading, parameters: Parameters) -> bool:
    """Japanese percent and the glucose management indicator count only where the practice wants them."""
    if reading.family == "jds":
        return parameters.a1c_accept_jds
    return parameters.a1c_accept_gmi if reading.family == "gmi" else True


def _sort(fact: ObservationFact, reading: Reading, piles: _Sorted, view: PatientView, clock: Clock) -> None:
    if fact.status not in _USABLE and fact.status not in _PENDING:
        return
    when, flags = _date_of(fact, view)
    if when is None:
        if reading.measured or fact.status in _PENDING:
            piles.undated[fact.id] = fact, reading
            piles.flags.update(("undated", *fact.flags))
    elif clock.is_future(when):
        piles.flags.add("future_date")
    else:
        result = Result(fact, reading, when, clock.span(when))
        if clock.within_months(result.span, WINDOW_MONTHS) is not False:
            _pile(result, flags, piles, clock)


def _pile(result: Result, flags: Iterable[str], piles: _Sorted, clock: Clock) -> None:
    if result.fact.status in _PENDING:
        still_open = clock.within_days(result.span, PENDING_DAYS)
        if still_open is not False:  # afterwards it is as if it did not exist
            piles.pending.append((result, still_open))
            piles.flags.update(flags)
        return
    piles.flags.update((*flags, *result.fact.flags))
    if result.reading.percent is not None:
        piles.usable.append(result)
    elif result.reading.measured:
        piles.unusable.append(result)
        piles.flags.update((result.reading.why,) if result.reading.why else ())


def _date_of(fact: ObservationFact, view: PatientView) -> tuple[When | None, tuple[str, ...]]:
    """When the blood was taken, as near as the record tells."""
    if fact.effective is not None:
        return fact.effective, date_flags(fact.effective)
    when = _collected(fact.specimen, view) or fact.issued
    return when, ("dq_effective_missing", *date_flags(when))


def _collected(reference: str | None, view: PatientView) -> When | None:
    if reference is None:
        return None
    wanted = reference.removeprefix("Specimen/")
    return next((one.collected for one in view.of(SpecimenFact) if one.id == wanted), None)


def _order(span: Span) -> tuple[dt.date, int]:
    """FHIR days, months and years are nested, so this is the order of rules.md 0.2: a later
    interval is newer, and of two that overlap the more precise one, which begins no earlier."""
    return span.low, min(span.precision, Precision.DAY)


def _newest_first(result: Result) -> tuple[int, int, float, str]:
    low, precision = _order(result.span)
    return (-low.toordinal(), -precision, -(result.span.instant or _NO_INSTANT).timestamp(), result.fact.id)


def _newest(usable: list[Result], clock: Clock) -> Result | None:
    """The latest day; on it the latest instant if all have one, else the most corrected one."""
    if not usable:
        return None
    latest = max(_order(one.span) for one in usable)
    of_day = [one for one in usable if _order(one.span) == latest]
    instants = [one.span.instant for one in of_day if one.span.instant is not None]
    if len(instants) < len(of_day):
        return min(of_day, key=lambda one: _rank(one, clock))
    of_instant = [one for one in of_day if one.span.instant == max(instants)]
    best = min(of_instant, key=lambda one: _rank(one, clock))
    twins = [one for one in of_instant if best.reading.converted and _is_native_twin(one, best)]
    return min(twins, key=lambda one: _rank(one, clock), default=best)


def _rank(result: Result, clock: Clock) -> tuple[int, float, Decimal, str]:
    issued = result.fact.issued
    at = instant_of(issued, clock.zone) if issued is not None else _NO_INSTANT
    percent = result.reading.percent or Decimal(0)
    return _USABLE[result.fact.status], -at.timestamp(), percent, result.fact.id


def _is_native_twin(one: Result, best: Result) -> bool:
    """The same blood reported in both units: one result, and the native percent speaks."""
    mine, other = one.reading, best.reading
    if mine.converted or mine.comparator != other.comparator or mine.percent is None or other.percent is None:
        return False
    return abs(mine.percent - other.percent) <= _DUAL_REPORTING


def _newest_pending(piles: _Sorted, newest: Result | None) -> tuple[Result | None, bool | None]:
    newer = [pair for pair in piles.pending if is_newer(pair[0], newest)]
    if not newer:
        return None, False
    piles.flags.add("pending_newer_result")
    # Any one of them that surely is young enough holds the reminder back.
    return min(newer, key=lambda pair: (pair[1] is None, _newest_first(pair[0])))
