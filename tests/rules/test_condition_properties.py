"""What must hold for any record: order and duplicates do not matter, answers stay till they say."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cm_service.rules.decision import Decision
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.facts import AnyFact
from cm_service.rules.programs import chr_multi
from tests.rules.builders import (
    AS_OF,
    ZONE,
    concept,
    condition,
    consent,
    encounter,
    observation,
    order,
    patient,
    view,
)

CODES = ["E11.9", "E11.22", "E11.A", "I10", "I13.2", "44054006", "84114007", "D50.9", "J40", "J44.9"]
CODES += ["I21.4", "I25.10", "G30.9", "F02.80", "C61", "Z85.46", "F43.21", "F32.5", "170935008", "Z56.0"]
LATEST = 900  # days after the first day of the years in which everything happens
FIRST = dt.date(2025, 1, 1)


@st.composite
def dates(draw: st.DrawFn) -> str | None:
    """Nothing, a year, a month, a day, an instant or a wall-clock time, in two and a half years."""
    day = FIRST + dt.timedelta(days=draw(st.integers(0, LATEST)))
    shape = draw(st.sampled_from(["%Y-%m-%d", "%Y-%m-%d", "%Y-%m", "%Y", "Z", "local", ""]))
    if shape in ("Z", "local"):
        hour = draw(st.integers(0, 23))
        return f"{day}T{hour:02}:30:00{'Z' if shape == 'Z' else ''}"
    return day.strftime(shape) or None


def conditions() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "clinical": st.sampled_from(["active", "active", "", "remission", "resolved", "unknown"]),
            "verification": st.sampled_from(["confirmed", "confirmed", "", "provisional", "refuted"]),
            "categories": st.sampled_from(
                [("problem-list-item",), ("encounter-diagnosis",), (), ("health-concern",), ("other",)]
            ),
            "onset": dates(),
            "recorded": dates(),
            "abatement": st.one_of(st.none(), dates()),
            "encounter": st.sampled_from([None, "Encounter/e0", "Encounter/e1"]),
        }
    )


@st.composite
def records(draw: st.DrawFn) -> list[AnyFact]:
    facts: list[AnyFact] = []
    for number in range(draw(st.integers(0, 7))):
        codes = draw(st.lists(st.sampled_from(CODES), min_size=1, max_size=2))
        facts.append(condition(*codes, id=f"c{number}", **draw(conditions())))
    for number in range(draw(st.integers(0, 2))):
        word = draw(st.sampled_from(["IMP", "AMB", "EMER", "OBSENC", "HH"]))
        kind = draw(st.sampled_from(["305336008", "185347001"]))
        left = draw(st.sampled_from(["home", "hosp", "exp", None]))
        status = draw(st.sampled_from(["finished", "finished", "in-progress"]))
        period = {"start": draw(dates()), "end": draw(dates())}
        facts.append(encounter(word, id=f"e{number}", type=kind, disposition=left, status=status, **period))
    if draw(st.booleans()):
        status = draw(st.sampled_from(["active", "revoked", "draft"]))
        facts.append(order("385763009", authored=draw(dates()), status=status))
    if draw(st.booleans()):
        facts.append(observation("45755-6", effective=draw(dates()), value=concept("373066001")))
    for number in range(draw(st.integers(0, 2))):
        spoken = draw(st.sampled_from(["deny", "permit"]))
        facts.append(consent(id=f"y{number}", date=draw(dates()), provision=spoken))
    return facts


@st.composite
def people(draw: st.DrawFn) -> AnyFact:
    return patient(
        birth=draw(st.sampled_from(["1976-03-01", "2008-02-29", "2008", "2008-06", None])),
        deceased_at=draw(st.one_of(st.none(), st.none(), dates())),
    )


def decide(person: AnyFact, facts: list[AnyFact], as_of: dt.datetime = AS_OF) -> Decision:
    rules = [chr_multi.RULE]
    return evaluate_patient(view(*facts, person=person), as_of=as_of, zone=ZONE, rules=rules)[0]


def shown(decision: Decision) -> tuple[Any, ...]:
    return decision.outcome, decision.reasons, decision.flags, decision.facts


@settings(max_examples=150, deadline=None)
@given(people(), records(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(person: AnyFact, facts: list[AnyFact], random: Any):
    shuffled = random.sample(facts, len(facts))
    assert decide(person, shuffled) == decide(person, facts)


@settings(max_examples=150, deadline=None)
@given(people(), records())
def test_the_same_resource_twice_does_not_matter(person: AnyFact, facts: list[AnyFact]):
    assert decide(person, facts + facts) == decide(person, facts)


@settings(max_examples=400, deadline=None)
@given(people(), records(), st.integers(0, LATEST * 24), st.floats(0, 1))
def test_a_decision_stays_until_it_says_so(person: AnyFact, facts: list[AnyFact], hours: int, part: float):
    start = dt.datetime(FIRST.year, 1, 1, tzinfo=ZONE).astimezone(dt.UTC) + dt.timedelta(hours=hours)
    first = decide(person, facts, start)
    until = first.stable_until or start + dt.timedelta(days=20 * 365)
    assert until > start
    for later in (start + (until - start) * part * 0.999, until - dt.timedelta(microseconds=1)):
        again = decide(person, facts, later)
        assert shown(again) == shown(first)
        assert again.stable_until == first.stable_until
