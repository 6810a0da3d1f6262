"""Which absolute references of a folder or Bundle are its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator

import msgspec

from cm_service.fhir import values
from cm_service.fhir.values import References, base_of
from cm_service.flow.normalisers import people
from cm_service.flow.sieve.gather import Row

ABSOLUTE = r'"reference"\s*:\s*"(https?:[^"\\]+)"'  # for DuckDB as well
_ABSOLUTE = re.compile(ABSOLUTE)
_HEAD = msgspec.json.Decoder(values.Resource)
_PATIENT = people.KINDS["Patient"].decoder

Counted = Iterable[tuple[str, int]]


def own_base(
    references: Counted, named: Counter[str], patients: Container[str | None], others: Counted = ()
) -> str | None:
    """The one base that occurs there (rules.md 0.6), None if there is none.

    `references` are those to patients with how often they occur, `named` the bases of full URLs,
    `patients` the ids that the folder holds: a reference to somebody who is not there says nothing
    about whose it is. Only where nothing of all this names a base, `others` are asked: references to
    what else the folder holds. Of several bases the one that prevails; where none does, all are
    rejected, since a wrong patient would be the worst of errors.
    """
    bases, elsewhere = Counter(named), set()
    for reference, count in references:
        base = base_of(reference)
        if base and References(base).patient(reference) in patients:
            bases[base] += count
        elif base:
            elsewhere.add(base)
    return _prevailing(bases or _of_others(others, elsewhere))


def _of_others(others: Counted, elsewhere: Container[str]) -> Counter[str]:
    """Ids of two servers may be equal by chance: a base whose patients are not here is another server's."""
    bases: Counter[str] = Counter()
    for reference, count in others:
        base = base_of(reference)
        if base and base not in elsewhere:
            bases[base] += count
    return bases


def _prevailing(bases: Counter[str]) -> str | None:
    ranked = bases.most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def survivors(lines: Iterable[str | bytes]) -> Iterator[tuple[str, int]]:
    """References of Patients to those who replace them. Nobody replaces himself: that is a copy on
    another server."""
    for line in lines:
        try:
            raw = _PATIENT.decode(line)
        except (ValueError, RecursionError):
            continue  # the normaliser will say so
        reference = people.survivor(raw)
        if reference and References(base_of(reference)).patient(reference) != raw.id:
            yield reference, 1


def leading_here(
    rows: Iterable[Row], held: Callable[[set[str]], Container[str]]
) -> Iterator[tuple[str, int]]:
    """Absolute references in these rows to what is there; those to patients have been asked before.
    `held`: which of these `Type/id` are there."""
    found = Counter(reference for row in rows for reference in _ABSOLUTE.findall(_text(row)))
    keys = {reference: References(base_of(reference)).key(reference) or "" for reference in found}
    others = {reference: key for reference, key in keys.items() if key and not key.startswith("Patient/")}
    here = held(set(others.values())) if others else ()
    yield from ((reference, found[reference]) for reference, key in others.items() if key in here)


def keys_of(rows: Iterable[Row]) -> set[str]:
    """The `Type/id` of these rows."""
    keys = set()
    for row in rows:
        try:
            keys.add(f"{row.type}/{_HEAD.decode(row.line).id}")
        except (ValueError, RecursionError):
            continue  # the normaliser will say so
    return keys


def _text(row: Row) -> str:
    return row.line if isinstance(row.line, str) else row.line.decode(errors="replace")
