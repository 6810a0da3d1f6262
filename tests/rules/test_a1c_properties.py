"""Whatever the record: order and repetition do not matter, and nothing changes before stable_until."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cm_service.rules.clock import Clock
from cm_service.rules.decision import Finding, Rule
from cm_service.rules.facts import AnyFact, PatientFact, SpecimenFact
from cm_service.rules.programs import a1c_nodx, a1c_out, a1c_overdue
from tests.rules.builders import (
    AS_OF,
    ZONE,
    a1c,
    at,
    concept,
    condition,
    diagnosis,
    encounter,
    goal,
    observation,
    order,
    patient,
    procedure,
    reading,
    target,
    view,
    when,
)

RULES = [a1c_out.RULE, a1c_overdue.RULE, a1c_nodx.RULE]
SECOND = dt.timedelta(seconds=1)
VALUES = ("6.4", "6.5", "7.0", "7.1", "7.6", "9.5", "53 mmol/mol", "48 mmol/mol", ">14.0", "<7.5", ">=7.0")
BROKEN = ("unit_wrong", "implausible", "")
STATUSES = ("final", "final", "final", "corrected", "preliminary", "registered", "entered-in-error")
CODES = ("E11.9", "E11.A", "102872000", "N18.6", "Z99.2", "Z94.0", "I50.9", "R54", "52448006", "59621000")


@st.composite
def dates(draw: st.DrawFn) -> str | None:
    """A date of the last 27 months or the next days, in any precision, or none."""
    moment = AS_OF + dt.timedelta(hours=draw(st.integers(-27 * 30 * 24, 24 * 5)))
    form = draw(
        st.sampled_from(
            ["%Y-%m-%d", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S-05:00", "%Y-%m-%dT%H:00:00", "%Y-%m", "%Y"]
        )
    )
    return draw(st.sampled_from([moment.strftime(form)] * 9 + [None]))


@st.composite
def result(draw: st.DrawFn) -> AnyFact:
    changes: dict[str, Any] = {"status": draw(st.sampled_from(STATUSES))}
    changes["issued"] = draw(st.sampled_from([None, "2026-11-12T09:00:00Z"]))
    changes["specimen"] = draw(st.sampled_from([None, "Specimen/s"]))
    return a1c(draw(st.sampled_from(VALUES + BROKEN)), draw(dates()), **changes)


@st.composite
def other(draw: st.DrawFn) -> AnyFact:
    on, code = draw(dates()), draw(st.sampled_from(CODES))
    return draw(
        st.sampled_from(
            [
                condition(code, onset=on),
                diagnosis(code, id=f"{code} {on}", recorded=on, encounter="Encounter/e"),
                condition(code, id=f"{code} until {on}", abatement=on),
                condition("102872000", id=f"due {on}", onset="2026-02-01", expected_delivery=on),
                procedure("302497006", id=f"session {on}", start=on),
                procedure("70536003", start=on),
                procedure("71493000", id=f"blood {on}", start=on),
                order("103735009", authored=on),
                encounter(type="160734000", start=on),
                observation("71802-3", id=f"home {on}", effective=on, value=concept("160734000")),
                observation("71802-3", id=f"away {on}", effective=on, value=concept("365508006")),
                SpecimenFact(id="s", collected=when(on)),
                goal("<8.0", start=on, targets=(target(quantity=reading("<8.0"), due=on),)),
                goal("7.5", status_date=on),
                goal(">8.0", start=on),
            ]
        )
    )


people = st.sampled_from(["1976-03-01", "1961-12-05", "1960-12-01", "1940-01-01", "1961", "1961-11", None])
records = st.lists(
    st.one_of(result(), result(), other()), max_size=7, unique_by=lambda fact: (type(fact), fact.id)
)


def evaluate(
    rule: Rule, facts: list[AnyFact], person: PatientFact, as_of: dt.datetime
) -> tuple[Finding, Clock]:
    clock = at(as_of)
    return rule.evaluate(view(*facts, person=person), clock), clock


def line(finding: Finding) -> tuple[Any, ...]:
    return finding.outcome, finding.reasons, finding.flags, finding.facts


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
@settings(max_examples=120, deadline=None)
@given(data=st.data(), facts=records, birth=people, diabetic=st.booleans())
def test_neither_order_nor_repetition_matters(
    rule: Rule, data: st.DataObject, facts: list[AnyFact], birth: str | None, diabetic: bool
):
    facts = [*facts, *([condition("E11.9", id="known")] if diabetic else [])]
    person = patient(birth=birth)
    first, _ = evaluate(rule, facts, person, AS_OF)
    shuffled = data.draw(st.permutations([*facts, *facts[:3]]))
    again, _ = evaluate(rule, shuffled, person, AS_OF)
    assert line(again) == line(first)
    assert again.evidence == first.evidence


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
@settings(max_examples=120, deadline=None)
@given(facts=records, birth=people, diabetic=st.booleans(), share=st.floats(0, 1))
def test_nothing_changes_before_stable_until(
    rule: Rule, facts: list[AnyFact], birth: str | None, diabetic: bool, share: float
):
    facts = [*facts, *([condition("E11.9", id="known")] if diabetic else [])]
    person, as_of = patient(birth=birth), AS_OF
    for _ in range(12):
        first, clock = evaluate(rule, facts, person, as_of)
        until = clock.until or as_of + dt.timedelta(days=3000)
        between = as_of + (until - as_of) * share
        for moment in (between, until - SECOND):
            if moment < until:
                assert line(evaluate(rule, facts, person, max(moment, as_of))[0]) == line(first)
        if clock.until is None:
            return
        assert clock.until > as_of
        as_of = clock.until.astimezone(ZONE)
