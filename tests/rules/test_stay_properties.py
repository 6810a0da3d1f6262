"""What must hold for any encounters on any day: order is nothing, and `stable_until` is kept."""

import datetime as dt

from hypothesis import given, settings
from hypothesis import strategies as st

from cm_service.rules.clock import Clock
from cm_service.rules.facts import Coding, Concept
from cm_service.rules.programs import dis_ama, dis_readmit, dis_snf, dis_tcm, ed_fu, ed_overuse
from tests.rules.builders import ACT_CODE, DISPOSITION, ZONE, concept, encounter, observation, view

RULES = [module.RULE for module in (dis_tcm, dis_ama, dis_snf, dis_readmit, ed_fu, ed_overuse)]
BEGIN = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
DAY = dt.timedelta(days=1)
CODES = [None, "home", "snf", "other-hcf", "aadvice", "exp", "hosp", "oth", "long"]


def written(moment: dt.datetime, precision: str) -> str:
    """The instant as an EMR may write it: with offset, in UTC, or cut to day, month or year."""
    local = moment.astimezone(ZONE)
    texts = {"day": local.date().isoformat(), "month": f"{local:%Y-%m}", "year": f"{local:%Y}"}
    return texts.get(precision, moment.isoformat() if precision == "utc" else local.isoformat())


@st.composite
def encounters(draw, number):
    start = BEGIN + draw(st.integers(0, 80 * 24)) * dt.timedelta(hours=1)
    end = start + draw(st.integers(0, 12 * 24)) * dt.timedelta(hours=1)
    ended = draw(st.sampled_from(["local", "utc", "day", "month", None]))
    code, above = draw(st.sampled_from(CODES)), draw(st.integers(0, 4))
    return encounter(
        id=f"e{number}",
        classes=(Coding(ACT_CODE, draw(st.sampled_from(["IMP", "EMER", "OBSENC", "NONAC", "AMB", "?"]))),),
        status=draw(st.sampled_from(["finished", "finished", "finished", "in-progress", "cancelled"])),
        start=written(start, draw(st.sampled_from(["local", "local", "utc", "day", "month"]))),
        end=written(end, ended) if ended else None,
        disposition=Concept((Coding(DISPOSITION, code),)) if code else None,
        types=draw(st.sampled_from([(), (), (concept("449411000124106"),), (concept("8715000"),)])),
        part_of=f"Encounter/e{above}" if draw(st.integers(0, 5)) == 0 else None,
    )


@st.composite
def records(draw):
    count = draw(st.integers(1, 6))
    facts = [draw(encounters(number)) for number in range(count)]
    if draw(st.booleans()):
        seen = BEGIN + draw(st.integers(0, 90)) * DAY
        facts.append(observation("4548-4", effective=written(seen, draw(st.sampled_from(["day", "local"])))))
    return facts


moments = st.integers(0, 120 * 24 * 60).map(lambda minutes: BEGIN + dt.timedelta(minutes=minutes))


def answers(facts, as_of):
    """Every rule's answer with the instant until which it holds."""
    patient, told = view(*facts, dis_observation_readmit=True), []
    for rule in RULES:
        clock = Clock(as_of, ZONE)
        found = rule.evaluate(patient, clock)
        told.append(((found.outcome, found.reasons, found.flags, found.facts, found.evidence), clock.until))
    return told


@settings(max_examples=150, deadline=None)
@given(records(), moments, st.randoms(use_true_random=False))
def test_the_order_of_encounters_does_not_matter(facts, as_of, random):
    shuffled = list(facts)
    random.shuffle(shuffled)
    assert answers(shuffled, as_of) == answers(facts, as_of)


@settings(max_examples=300, deadline=None)
@given(records(), moments, st.floats(0, 1))
def test_until_stable_until_time_alone_changes_nothing(facts, as_of, share):
    for index, (answer, until) in enumerate(answers(facts, as_of)):
        last = until - dt.timedelta(microseconds=1) if until else as_of + 400 * DAY
        between = as_of + (last - as_of) * share
        for later in (between, last, max(as_of, last - SECOND)):
            assert answers(facts, later)[index][0] == answer


@settings(max_examples=100, deadline=None)
@given(records(), moments)
def test_an_insufficient_or_negative_answer_never_carries_a_priority(facts, as_of):
    for (outcome, _, _, found, _), _ in answers(facts, as_of):
        assert ("priority" in found) <= (outcome == "eligible")
