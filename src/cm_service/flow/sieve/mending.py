"""One resource under more than one patient: it belongs where its newest version says (rules.md 0.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from cm_service.flow.normalise import Normalised, Normaliser, Unused
from cm_service.flow.sieve.gather import Gathered, Row
from cm_service.flow.sieve.versions import newest
from cm_service.rules.facts import AnyFact

_UNORDERED = "duplicate_version"


class Mended(NamedTuple):
    """The version that speaks, and whose it is."""

    owner: str | None
    fact: AnyFact | Unused


def mend(
    torn: Container[str], rows: Iterable[Row], normaliser: Normaliser, *, of_one_server: bool = False
) -> dict[str, Mended]:
    """By `Type/id`. `rows` hold at least every version of what is `torn`, in the order of their lines. Who
    of its patients died is not asked, so every result is read."""
    normaliser.context.every_result = True
    versions: dict[str, list[Normalised]] = {}
    for row in rows:
        found = None if row.twice else normaliser.read(row.line, kind=row.type)
        if isinstance(found, Normalised) and found.key in torn:
            versions.setdefault(found.key, []).append(found)
    return {key: _speaks(held, of_one_server) for key, held in versions.items()}


def _speaks(versions: Sequence[Normalised], of_one_server: bool) -> Mended:
    """A fact does not hold its patient, so versions that differ in nothing else are equal facts."""
    best = newest([version.fact for version in versions], of_one_server=of_one_server)
    same = [version for version in versions if _is_version(version.fact, best)]
    if len({version.patient_id for version in same}) > 1 and _UNORDERED not in best.flags:
        best = msgspec.structs.replace(best, flags=(*best.flags, _UNORDERED))
    return Mended(same[-1].patient_id, best)


def _is_version(fact: AnyFact | Unused, best: AnyFact | Unused) -> bool:
    return msgspec.structs.replace(best, flags=fact.flags) == fact


def torn_among(gathered: Iterable[Gathered]) -> frozenset[str]:
    """`Type/id` of what came under more than one patient."""
    held = Counter(key for found in gathered for key in (*found.facts, *found.unused))
    return frozenset(key for key, count in held.items() if count > 1)


def settle(facts: dict[str, AnyFact], patient_id: str, mended: Mapping[str, Mended]) -> None:
    """Keep of one patient's facts what belongs there."""
    for key in mended.keys() & facts.keys():
        owner, fact = mended[key]
        del facts[key]
        if owner == patient_id and not isinstance(fact, Unused):
            facts[key] = fact
