"""How burdened an older adult's health is: healthy, complex or very complex (rules.md 1.7.3).

The bands are those of the ADA's older-adult table; age itself is asked by the caller. Hospice is
not asked here: while it lasts the hospice gate stops the rule, and what has ended counts no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cm_service.rules import conditions, value_sets
from cm_service.rules.clock import Clock, Span, is_later
from cm_service.rules.condition_codes import coded
from cm_service.rules.dates import date_flags
from cm_service.rules.decision import Evidence
from cm_service.rules.facts import ConditionFact, ObservationFact, codes_text
from cm_service.rules.kidney import kidney
from cm_service.rules.statements import Statement, Statements, evidence_of, flags_of, statements
from cm_service.rules.three_valued import Maybe, all_of, any_of
from cm_service.rules.view import PatientView

_COMPLEX_GROUPS = 3
_YEAR, _TWO_YEARS = 12, 24
_USABLE = frozenset({"final", "amended", "corrected"})
_LOOKED_AT = ("palliative", "advanced_illness", "frailty")
_CHR_ONLY = frozenset({"abatement_conflict", "coding_conflict"})


class Health(NamedTuple):
    """`very`: very complex at any age from 65; `very_at_66`: only from 66 on (advanced illness with
    frailty); `burdened`: complex. `assessed` is False where the record says nothing beside diabetes."""

    very: Maybe
    very_at_66: Maybe
    burdened: Maybe
    assessed: bool
    evidence: tuple[Evidence, ...]
    flags: tuple[str, ...]


class _Home(NamedTuple):
    lives_there: Maybe = False
    newest: ObservationFact | None = None
    flags: tuple[str, ...] = ()


def health(view: PatientView, clock: Clock) -> Health:
    """The burden of disease as of today; ask through `view.derive`, for those who may be 65."""
    found, kidneys = view.derive(statements, clock), view.derive(kidney, clock)
    home = _nursing_home(view, clock)
    palliative = _inside(found.of("palliative"), _YEAR, clock)
    advanced = found.of("advanced_illness")
    frail = _inside(found.of("frailty"), _TWO_YEARS, clock)
    is_ill = any_of(one.holds for one in advanced)
    frail_now = any_of(_is_inside(one, _YEAR, clock) for one in frail)
    grouped, persisting = _groups(view, clock)
    said = (*kidneys.evidence, *palliative, *advanced, *frail)
    flags = {*kidneys.flags, *flags_of(said), *home.flags, *found.ignored(*_LOOKED_AT)}
    flags.update(view.derive(conditions.assess, clock).flags)
    if persisting and not is_ill and not frail_now:
        flags.add("persisting_encounter_diagnosis")
    return Health(
        very=any_of((home.lives_there, kidneys.failing, *(_is_inside(p, _YEAR, clock) for p in palliative))),
        very_at_66=all_of((is_ill, any_of(_is_inside(one, _TWO_YEARS, clock) for one in frail))),
        burdened=any_of((grouped, is_ill, frail_now)),
        assessed=_is_assessed(view, found, home),
        evidence=(*_evidence(home), *(evidence_of(one) for one in said)),
        flags=tuple(sorted(flags - _CHR_ONLY)),
    )


def _inside(said: Iterable[Statement], months: int, clock: Clock) -> tuple[Statement, ...]:
    """Those that are not surely too old."""
    return tuple(one for one in said if _is_inside(one, months, clock) is not False)


def _is_inside(one: Statement, months: int, clock: Clock) -> Maybe:
    return all_of((one.holds, None if one.on is None else clock.within_months(one.on, months)))


def _groups(view: PatientView, clock: Clock) -> tuple[bool, bool]:
    """(three counting groups or dementia, persisting ones included; only thanks to those)."""
    found = view.derive(conditions.assess, clock)
    counted = found.counted.keys() - {conditions.DIABETES}
    all_groups = counted | (found.persisting.keys() - {conditions.DIABETES})
    enough = [len(groups) >= _COMPLEX_GROUPS or "dementia" in groups for groups in (counted, all_groups)]
    return enough[1], enough[1] and not enough[0]


def _nursing_home(view: PatientView, clock: Clock) -> _Home:
    """The newest statement on housing within the year decides."""
    dated: list[tuple[Span, ObservationFact]] = []
    flags: set[str] = set()
    vague = False
    for fact in view.stated(ObservationFact).get("nursing_home_residence", ()):
        if fact.value is None or fact.status not in _USABLE:
            continue
        when = fact.effective or fact.issued
        if when is None:
            vague = vague or _says_home(fact)
        elif clock.is_future(when):
            flags.add("future_date")
        else:
            flags.update((*fact.flags, *date_flags(when)))
            dated.append((clock.span(when), fact))
    if not dated:
        return _Home(None if vague else False, None, tuple(flags))
    answer, newest = _newest_says(dated, clock)
    return _Home(answer, newest, tuple(flags))


def _newest_says(dated: list[tuple[Span, ObservationFact]], clock: Clock) -> tuple[Maybe, ObservationFact]:
    dated = sorted(dated, key=lambda pair: pair[1].id)
    newest = dated[0]
    for pair in dated:
        newest = pair if is_later(pair[0], newest[0]) else newest
    together = {_says_home(fact) for span, fact in dated if not is_later(newest[0], span)}
    says = None if len(together) > 1 else together.pop()
    return all_of((says, clock.within_months(newest[0], _YEAR))), newest[1]


def _says_home(fact: ObservationFact) -> bool:
    return value_sets.in_set("nursing_home_residence_value", fact.value)


def _is_assessed(view: PatientView, found: Statements, home: _Home) -> bool:
    if found.held or home.newest is not None:
        return True
    return any(not _is_diabetes_alone(condition) for condition in view.of(ConditionFact))


def _is_diabetes_alone(condition: ConditionFact) -> bool:
    named = coded(condition)
    groups = {match.group for match in named.matches}
    return groups == {conditions.DIABETES} or (not groups and named.remission)


def _evidence(home: _Home) -> tuple[Evidence, ...]:
    return () if home.newest is None else (_home_evidence(home.newest),)


def _home_evidence(fact: ObservationFact) -> Evidence:
    when = fact.effective or fact.issued
    return Evidence(
        type="Observation",
        id=fact.id,
        version=fact.version,
        path="Observation.valueCodeableConcept",
        raw=codes_text((fact.value,) if fact.value is not None else ()),
        value="nursing_home_residence" if _says_home(fact) else "other_residence",
        date=when.raw if when else "",
    )
