"""Of whom every result is kept: any later one disbelieves a death (rules.md 2.4).

Too many lines do no harm, since who is meant is found out later. So ids are compared, whatever stands
before `Patient/` and behind the id, and everybody whom a link joins to somebody dying is dying, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cm_service.flow.sieve.sql import list_of

_ODD = "contains(subject, '/_history/') OR NOT starts_with(subject, 'Patient/')"


class Dying(NamedTuple):
    """Patient ids. `joined` are those of `ids` that a link joins to another."""

    ids: frozenset[str] = frozenset()
    joined: frozenset[str] = frozenset()


def with_joined(references: Iterable[str], links: Iterable[Iterable[str]]) -> Dying:
    """Who died by these references, and everybody whom one of `links` puts together with them: the
    references of those whom one Patient joins."""
    found, joined = _names(references), set[str]()
    left = [_names(link) for link in links]
    while touching := [link for link in left if not found.isdisjoint(link)]:
        left = [link for link in left if found.isdisjoint(link)]
        joined.update(*touching)
        found |= joined
    return Dying(frozenset(found), frozenset(joined))


def _names(references: Iterable[str]) -> set[str]:
    """The ids in references to patients: nothing else is looked at."""
    parts = (reference.rpartition("Patient/") for reference in references)
    return {name.partition("/")[0] for _, patient, name in parts if patient}


def is_theirs(patients: Iterable[str]) -> str:
    """Is the line a result of one of these patients, however it names him? Nearly every reference is
    `Patient/id`, so only others are taken apart."""
    ids = sorted(patients)
    plain = f"subject IN {list_of(f'Patient/{who}' for who in ids)}"
    taken_apart = f"split_part(split_part(subject, 'Patient/', -1), '/', 1) IN {list_of(ids)}"
    return f"""CASE WHEN type IS DISTINCT FROM 'Observation' OR subject IS NULL THEN false
        WHEN {plain} THEN true WHEN {_ODD} THEN {taken_apart} ELSE false END"""
