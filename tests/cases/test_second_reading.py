"""Two readings of one specification agree on random untidy people: the service, and plain loops over
raw JSON that somebody else wrote."""

from __future__ import annotations

from random import Random

import pytest

from tests.cases import second_reading_a1c, second_reading_chronic
from tests.cases.harness import YES, evaluate
from tests.cases.population import with_conditions, with_results
from tests.cases.tables import as_own

PEOPLE = 600


@pytest.mark.parametrize("seed", [1, 2])
def test_two_readings_agree_on_results_in_every_state(seed: int) -> None:
    rng = Random(seed)
    worlds = {f"k{n}": with_results(rng) for n in range(PEOPLE)}
    answer = evaluate(r for who, world in worlds.items() for r in as_own(tuple(world), who))
    wanted = {who: second_reading_a1c.answers(world) for who, world in worlds.items()}
    seen = {
        who: {rule: answer.patients[f"{who}-p1"][rule]["outcome"] for rule in rules}
        for who, rules in wanted.items()
    }
    assert {who: seen[who] for who in seen if seen[who] != wanted[who]} == {}
    assert {rule for rules in wanted.values() for rule, outcome in rules.items() if outcome == YES} == {
        "A1C-OUT",
        "A1C-OVERDUE",
        "A1C-NODX",
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_two_readings_agree_on_conditions_in_every_state(seed: int) -> None:
    rng = Random(seed)
    worlds = {f"k{n}": with_conditions(rng) for n in range(PEOPLE)}
    answer = evaluate(r for who, world in worlds.items() for r in as_own(tuple(world), who))
    wanted = {who: second_reading_chronic.answer(world) for who, world in worlds.items()}
    seen = {who: answer.patients[f"{who}-p1"]["CHR-MULTI"] for who in worlds}
    told = {who: (d["outcome"], d["facts"]["groups"], d["facts"]["possible"]) for who, d in seen.items()}
    assert {who: told[who] for who in told if told[who] != wanted[who]} == {}
