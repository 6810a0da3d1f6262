"""One patient's lines become that patient's facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from cm_service.flow.normalise import Normalised, Normaliser, Reject, Unused, hole, missing_types
from cm_service.flow.sieve.versions import newest
from cm_service.rules import encounters
from cm_service.rules.facts import AnyFact, EncounterFact


class Row(NamedTuple):
    """One line to read. `place` is the number of its file, or of its entry in a Bundle; `twice`: an
    element occurs twice at its top level."""

    place: int
    type: str
    line: str | bytes
    twice: bool


class Failed(NamedTuple):
    """A line, or a part of it, that the normaliser rejected."""

    reject: Reject
    row: Row


class Gathered(NamedTuple):
    """By `Type/id` what each resource says; `unused` are those whose newest version says nothing."""

    facts: dict[str, AnyFact]
    unused: frozenset[str]
    failed: list[Failed]
    findings: Counter[str]  # what was odd and yet could be read


def gather(
    rows: Iterable[Row],
    normaliser: Normaliser,
    *,
    owner: str | None,
    of_one_server: bool = False,
    every_result: bool = False,
) -> Gathered:
    """Facts by `Type/id` of lines that all belong to `owner` (None: to nobody). Results must come last:
    which of them count depends on whether somebody wrote that the patient died; with `every_result` all
    do, because that may stand under another id of the same person."""
    versions: dict[str, list[AnyFact | Unused]] = {}
    failed: list[Failed] = []
    normaliser.context.every_result = every_result
    for row in rows:
        found = _twice(row) if row.twice else normaliser.read(row.line, kind=row.type)
        if isinstance(found, Normalised) and found.patient_id != owner:
            found = _twice(row)  # the first and the last of two equal elements name different patients
        if isinstance(found, Reject):
            failed.append(Failed(_owned(found, owner), row))
        elif found is not None:
            versions.setdefault(found.key, []).append(found.fact)
            if found.rejects:
                failed.extend(Failed(reject, row) for reject in found.rejects)
            if says_died(found.fact):
                normaliser.context.every_result = True
    facts: dict[str, AnyFact] = {}
    for key, held in versions.items():
        fact = held[0] if len(held) == 1 else newest(held, of_one_server=of_one_server)
        if not isinstance(fact, Unused):
            facts[key] = fact
    return Gathered(facts, frozenset(versions.keys() - facts.keys()), failed, normaliser.context.found())


def add_holes(holes: dict[str, frozenset[str]], rejects: Iterable[Reject]) -> None:
    """Note which types each patient's record may miss some of."""
    for reject in rejects:
        if reject.is_hole and reject.patient_id is not None:
            holes[reject.patient_id] = holes.get(reject.patient_id, frozenset()) | reject.types


def _owned(reject: Reject, owner: str | None) -> Reject:
    return reject if owner is None else msgspec.structs.replace(reject, patient_id=owner)


def _twice(row: Row) -> Reject:
    """Two readers of such a line may see two different resources."""
    note = hole("duplicate_key")
    return Reject(
        type=row.type,
        reason=note.reason,
        sentence=note.sentence,
        types=missing_types(row.type),
    )


def says_died(fact: AnyFact | Unused) -> bool:
    if not isinstance(fact, EncounterFact) or fact.disposition is None:
        return False
    return encounters.disposition(fact).kind == "expired"
