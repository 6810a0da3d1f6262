"""Code sets as data: is this concept in that set?

A match needs system and code of any one coding; text alone never matches. ICD-10-CM is
upper-cased, freed of its dot and matched by prefix, every other system exactly. The words for
sets are the concept words of `data/*.json`, and the unions below.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from cm_service.rules.facts import Concept

ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
_HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
# Names under which EMRs send the same code systems: OIDs come from C-CDA converters and payers.
_ALIASES = {
    "urn:oid:2.16.840.1.113883.6.96": SNOMED,
    "urn:oid:2.16.840.1.113883.6.1": LOINC,
    "urn:oid:2.16.840.1.113883.6.90": ICD10CM,
    "urn:oid:2.16.840.1.113883.6.12": "http://www.ama-assn.org/go/cpt",
    "urn:oid:2.16.840.1.113883.6.4": "http://www.cms.gov/Medicare/Coding/ICD10",
    "urn:oid:2.16.840.1.113883.6.285": _HCPCS,
    "http://www.nlm.nih.gov/research/umls/hcpcs": _HCPCS,
}
_SET_FILES = ("hba1c", "context", "registry")
_UNIONS = {
    "hba1c": ("hba1c_percent", "hba1c_ifcc", "hba1c_fraction"),
    "hospice": ("hospice_encounter", "hospice_service", "hospice_diagnosis"),
    "palliative": ("palliative_encounter", "palliative_intervention", "palliative_diagnosis"),
    "frailty": ("frailty_diagnosis", "frailty_symptom", "frailty_encounter"),
}
_CACHED_CODES = 1 << 16
Code = tuple[str, str]


class CodeFile(NamedTuple):
    """One file of `data`: where it comes from, and its rows by column name."""

    source: str
    version: str
    licence_notice: str
    rows: tuple[dict[str, str], ...]


@cache
def load(name: str) -> CodeFile:
    """The code file `name`: hba1c, context, registry or chronic."""
    raw: dict[str, Any] = json.loads(_text(name))
    columns, sources = raw["columns"], raw["sources"]
    rows = (dict(zip(columns, [*row[:-1], sources[row[-1]]], strict=True)) for row in raw["rows"])
    return CodeFile(raw["source"], raw["version"], raw["licence_notice"], tuple(rows))


def _text(name: str) -> str:
    return (files("cm_service.rules") / "data" / f"{name}.json").read_text(encoding="utf-8")


def _version() -> str:
    folder = files("cm_service.rules") / "data"
    held = sorted(file.name for file in folder.iterdir() if file.name.endswith(".json"))
    digest = hashlib.sha256("".join(_text(name.removesuffix(".json")) for name in held).encode()).hexdigest()
    return f"{max(load(name).version for name in (*_SET_FILES, 'chronic'))}+{digest[:8]}"


VERSION = _version()  # the date of the newest value set, and a hash over every code file


def normal(system: str, code: str) -> Code:
    """System and code as the sets hold them."""
    system, code = _ALIASES.get(system, system), code.strip()
    return (system, code.upper().replace(".", "") if system == ICD10CM else code)


def prefixes(code: str) -> list[str]:
    """Every prefix of an ICD-10-CM code that can be a code itself, longest first."""
    return [code[:length] for length in range(len(code), 2, -1)]


@cache
def _index() -> dict[Code, frozenset[str]]:
    names: dict[Code, set[str]] = {}
    for file in _SET_FILES:
        for row in load(file).rows:
            names.setdefault(normal(row["system"], row["code"]), set()).add(row["concept"])
    for held in names.values():
        held.update(union for union, parts in _UNIONS.items() if not held.isdisjoint(parts))
    return {code: frozenset(held) for code, held in names.items()}


@lru_cache(maxsize=_CACHED_CODES)
def sets_of(system: str, code: str) -> frozenset[str]:
    """The words of all sets that hold this code."""
    index, (system, code) = _index(), normal(system, code)
    if system != ICD10CM:
        return index.get((system, code), frozenset())
    return frozenset().union(*(index.get((system, part), frozenset()) for part in prefixes(code)))


def in_set(name: str, concept: Concept | None) -> bool:
    """Is any coding of the concept in the set?"""
    if concept is not None:
        for coding in concept.codings:  # no any(): this runs for every code of every patient
            if name in sets_of(coding.system, coding.code):
                return True
    return False


@cache
def codes_of(name: str) -> frozenset[Code]:
    """(system, code) of a set, in the form that `normal` gives: ICD-10-CM without dots, to be read
    as prefixes. `chronic` names all codes of the chronic conditions. Raises KeyError for a word
    that names no set: a typing error must not become an empty filter."""
    if name == "chronic":
        return frozenset(normal(row["system"], row["code"]) for row in load("chronic").rows)
    found = frozenset(code for code, held in _index().items() if name in held)
    if not found:
        raise KeyError(name)
    return found
