"""Which chronic categories the codes of a Condition name (rules.md 0.6, 3.2, 3.5, 3.6)."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from cm_service.rules.facts import Coding, ConditionFact
from cm_service.rules.value_sets import ICD10CM, SNOMED, load, normal, prefixes

LISTED = frozenset({"problem-list-item", "health-concern"})
# One code that names several diseases; every other code with several rows counts once.
_COMBINED = ("I110", "I12", "I130", "I131", "I132", "E082", "E092", "E102", "E112", "E132")
_COMBINED_SNOMED = "127013003"
_CACHED_CODES = 1 << 16


class Match(NamedTuple):
    """A category that a code names. `counts` is Y (yes) or C (conditional), `months` the
    reference period for encounter diagnoses."""

    category: str
    group: str
    counts: str
    months: int


class Named(NamedTuple):
    """What one code names: categories that may count, and categories that it speaks against (N)."""

    matches: tuple[Match, ...] = ()
    never: frozenset[str] = frozenset()


class Coded(NamedTuple):
    """What the codings of one Condition name together. `withheld` are matches beside an N row of
    the same category: listed as possible. `conflict`: codings disagree. `remission`: one of them
    says type 2 diabetes in remission (E11.A)."""

    matches: tuple[Match, ...] = ()
    withheld: tuple[Match, ...] = ()
    conflict: bool = False
    remission: bool = False


class _Row(NamedTuple):
    order: int
    match: Match


_NOTHING = Named()
UNCODED = Coded()


@cache
def _index() -> dict[tuple[str, str], tuple[_Row, ...]]:
    rows: dict[tuple[str, str], list[_Row]] = {}
    for order, row in enumerate(load("chronic").rows):
        match = Match(row["category"], row["counting_group"], row["count_default"], int(row["years"]) * 12)
        rows.setdefault(normal(row["system"], row["code"]), []).append(_Row(order, match))
    return {code: tuple(held) for code, held in rows.items()}


@lru_cache(maxsize=_CACHED_CODES)
def chronic(system: str, code: str) -> Named:
    """The chronic categories of one code; per category the longest matching prefix decides.
    A trap (`_never`) names nothing at all."""
    index, (system, code) = _index(), normal(system, code)
    best: dict[str, _Row] = {}
    for part in prefixes(code) if system == ICD10CM else [code]:
        for row in index.get((system, part), ()):
            best.setdefault(row.match.category, row)  # prefixes come longest first
    if not best or "_never" in best:
        return _NOTHING
    counting = [row.match for row in sorted(best.values()) if row.match.counts != "N"]
    never = frozenset(row.match.category for row in best.values() if row.match.counts == "N")
    return Named(tuple(counting if _combined(system, code) else counting[:1]), never)


def _combined(system: str, code: str) -> bool:
    if system == ICD10CM:
        return code.startswith(_COMBINED)
    return system == SNOMED and code == _COMBINED_SNOMED


def coded(condition: ConditionFact, extensions: frozenset[str] = frozenset()) -> Coded:
    """What a Condition names; the very object UNCODED if nothing, as for most of the Conditions that
    EMRs hold. Extension categories (`ext_...`) are unknown words unless switched on."""
    for coding in condition.code.codings:
        if chronic(coding.system, coding.code) is not _NOTHING:
            preferred = SNOMED if LISTED.intersection(condition.categories) else ICD10CM
            return _together(condition.code.codings, preferred, extensions)
    return UNCODED


@lru_cache(maxsize=_CACHED_CODES)
def _together(codings: tuple[Coding, ...], preferred: str, extensions: frozenset[str]) -> Coded:
    found = [(coding, _switched(chronic(coding.system, coding.code), extensions)) for coding in codings]
    remission = any(_says_remission(coding) for coding in codings)
    naming = [pair for pair in found if pair[1].matches]
    if not naming:
        return Coded(remission=True) if remission else UNCODED
    matches, conflict = _agree(naming, preferred)
    never = frozenset().union(*(named.never for _, named in found))
    withheld = tuple(match for match in matches if match.category in never)
    kept = tuple(match for match in matches if match.category not in never)
    return Coded(kept, withheld, conflict or bool(withheld), remission)


def _switched(named: Named, extensions: frozenset[str]) -> Named:
    if not any(match.category.startswith("ext_") for match in named.matches):
        return named
    on = tuple(m for m in named.matches if not m.category.startswith("ext_") or m.category in extensions)
    return Named(on, named.never)


def _agree(found: list[tuple[Coding, Named]], preferred: str) -> tuple[tuple[Match, ...], bool]:
    """The union where one coding refines all others, else the coding that has the say."""
    union: dict[str, Match] = {}
    for _, named in found:
        for match in named.matches:
            if match.category not in union or match.counts == "Y":
                union[match.category] = match
    if max(len(named.matches) for _, named in found) == len(union):
        return tuple(union.values()), False
    return _decisive(found, preferred).matches, True


def _decisive(found: list[tuple[Coding, Named]], preferred: str) -> Named:
    for wanted in (_is_selected, lambda coding: normal(coding.system, coding.code)[0] == preferred):
        for coding, named in found:
            if wanted(coding):
                return named
    return found[0][1]


def _is_selected(coding: Coding) -> bool:
    return coding.selected


def _says_remission(coding: Coding) -> bool:
    system, code = normal(coding.system, coding.code)
    return system == ICD10CM and code.startswith("E11A")
