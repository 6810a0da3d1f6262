"""Cases in tables: a sentence, a patient's resources, and what one rule must say about them.

A table is evaluated in one run, as one untidy population: each case's patient `p1` and everything
that hangs on them get ids of their own. That is faster than a run per case, and it shows that no
patient's facts reach another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.cases.harness import RULES, ByRule, Json, evaluate


class Case(NamedTuple):
    """`reasons` must be among the decision's; `flags`, unless None, are all of them; `without` names
    words that may be neither; `facts` must be there with these values."""

    resources: tuple[Json, ...]
    rule: str
    outcome: str
    reasons: frozenset[str]
    flags: frozenset[str] | None
    without: frozenset[str]
    facts: dict[str, Any]


def case(
    rule: str,
    outcome: str,
    *resources: Json,
    reasons: str = "",
    flags: str | None = None,
    without: str = "",
    **facts: Any,
) -> Case:
    """Words are given as one string with blanks; a fact's name is a keyword."""
    exact = None if flags is None else frozenset(flags.split())
    return Case(
        resources, rule, outcome, frozenset(reasons.split()), exact, frozenset(without.split()), facts
    )


def decide_together(table: Mapping[str, Case], **options: Any) -> dict[str, ByRule]:
    """Sentence -> rule -> decision for a whole table in one run without holes."""
    people = {f"k{number}": sentence for number, sentence in enumerate(table)}
    resources = [r for who, sentence in people.items() for r in as_own(table[sentence].resources, who)]
    answer = evaluate(resources, **options)
    assert answer.code == 0, answer.said
    decided = {sentence: answer.patients[f"{who}-p1"] for who, sentence in people.items()}
    assert all(decisions.keys() == RULES for decisions in decided.values())
    return decided


def check(decision: Json, expected: Case) -> None:
    """Compares everything at once, so that a failure shows the whole decision."""
    words = set(decision["reasons"]) | set(decision["flags"])
    seen = {
        "outcome": decision["outcome"],
        "missing reasons": sorted(expected.reasons - set(decision["reasons"])),
        "flags": set(decision["flags"]) if expected.flags is not None else None,
        "unwanted": sorted(words & expected.without),
        "facts": {name: decision["facts"].get(name) for name in expected.facts},
    }
    wanted = {
        "outcome": expected.outcome,
        "missing reasons": [],
        "flags": set(expected.flags) if expected.flags is not None else None,
        "unwanted": [],
        "facts": expected.facts,
    }
    assert seen == wanted, decision


def as_own(resources: tuple[Json, ...], who: str) -> list[Json]:
    names = {f"{r['resourceType']}/{r['id']}": f"{r['resourceType']}/{who}-{r['id']}" for r in resources}
    return [_renamed(resource, names) | {"id": f"{who}-{resource['id']}"} for resource in resources]


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """References to the case's own resources under their new names, with history parts and bases."""
    if isinstance(node, dict):
        return {k: _reference(v, names) if k == "reference" else _renamed(v, names) for k, v in node.items()}
    return [_renamed(item, names) for item in node] if isinstance(node, list) else node


def _reference(text: Any, names: Mapping[str, str]) -> Any:
    parts = str(text).split("/")
    for place in range(len(parts) - 1):
        new = names.get("/".join(parts[place : place + 2]))
        if new is not None:
            return "/".join([*parts[:place], new, *parts[place + 2 :]])
    return text
