"""One HbA1c number in NGSP percent: units, comparators, strings (rules.md 1.5).

Decimal arithmetic only. A native percent is never rounded; a converted one is, half-up to 0.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from cm_service.fhir.values import UCUM, Quantity, is_given
from cm_service.flow.normalisers.used_codes import HBA1C_SETS
from cm_service.rules.facts import Concept, Reading
from cm_service.rules.value_sets import sets_of

PERCENT, MMOL, FRACTION = "%", "mmol/mol", "1"
LOWEST, HIGHEST = Decimal("3.0"), Decimal("20.0")  # anything else is no living patient's HbA1c
_FRACTION_LOW, _FRACTION_HIGH = Decimal("0.03"), Decimal("0.20")
_MMOL_LOW, _MMOL_HIGH = Decimal(20), Decimal(200)
_ABSURD = Decimal(1_000_000)  # beyond this no arithmetic: 1e400 is a legal JSON number
_TENTH = Decimal("0.1")
_COMPARATORS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "≤": "<=", "≥": ">="}
_TEXT = re.compile(
    r"^\s*([<>]=?|≤|≥)?\s*(\d{1,3}(?:[.,]\d{1,2})?)\s*(%|mmol/mol)?\s*\(?(?:H|HH|L|LL|A)?\)?\s*$", re.ASCII
)
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2009\u202f"), " ")  # between number and unit in typeset text
_WORDS = frozenset(HBA1C_SETS)
_RANK = {family: rank for rank, family in enumerate(HBA1C_SETS.values())}
_ANNOTATION = re.compile(r"\{[^}]*\}")
# What laboratories write behind the unit: "% of total Hgb", "mmol/mol Hb", "% (NGSP)".
_OF_HAEMOGLOBIN = r"(?:[\s.,()]|of|total|hba1c|a1c|hb|hgb|ha?emoglobin|ngsp|dcct)*"
_PERCENT = re.compile(rf"(?:hba1c|a1c)?\s*(?:%|percent|pct){_OF_HAEMOGLOBIN}", re.IGNORECASE)
_MMOL = re.compile(rf"mmol\s*(?:/|per)\s*mol{_OF_HAEMOGLOBIN}", re.IGNORECASE)


class Value(NamedTuple):
    """A reading, and what was seen on the way to it (an unusable one says why in itself)."""

    reading: Reading
    flags: tuple[str, ...] = ()


class Written(NamedTuple):
    """A number as it stands in the resource. `unit`: "%", "mmol/mol", "1", "" where none is given,
    or another unit as written."""

    text: str
    comparator: str
    unit: str
    path: str
    raw: str


def families(concept: Concept) -> frozenset[str]:
    """The kinds of HbA1c code among the codings; empty if the concept is none."""
    words = [_WORDS & sets_of(coding.system, coding.code) for coding in concept.codings]
    return frozenset(HBA1C_SETS[word] for found in words for word in found)


def from_quantity(quantity: Quantity, kinds: Iterable[str], path: str) -> Value | None:
    """A Quantity under a code of `kinds`; None if it has no number."""
    if not is_given(quantity.value):
        return None
    text = bytes(quantity.value).decode()
    comparator = quantity.comparator or ""
    written = Written(text, comparator, _unit(quantity), path, f"{comparator}{text}")
    if comparator and comparator not in _COMPARATORS:
        return _unusable(written, "non_numeric", kinds)
    return read(written, kinds)


def from_text(text: str, kinds: Iterable[str], path: str) -> Value:
    """valueString: accepted only where it is a number and nothing else; comma is the decimal point."""
    found = _TEXT.match(text.translate(_SPACES))
    if found is None:
        return _unusable(Written("", "", "", path, text), "non_numeric", kinds)
    comparator, number, unit = found.groups()
    comparator = _COMPARATORS[comparator] if comparator else ""
    return read(Written(number.replace(",", "."), comparator, unit or "", path, text), kinds)


def unusable(why: str, kinds: Iterable[str], *, path: str, raw: str = "") -> Value:
    """A value from which no number can be taken, although blood was."""
    return _unusable(Written("", "", "", path, raw), why, kinds)


def read(written: Written, kinds: Iterable[str]) -> Value:
    """The table of rules.md 1.5 for one number."""
    held = frozenset(kinds)
    number = _number(written.text)
    if number is None:
        return _unusable(written, "non_numeric", held)
    if abs(number) > _ABSURD:
        return _unusable(written, "implausible", held, number)
    unit, flags, why = _decide(written.unit, number, held)
    if why:
        return _unusable(written, why, held, number)
    percent = _to_percent(number, unit, held)
    if not LOWEST <= percent <= HIGHEST:
        return _unusable(written, "implausible", held, number)._replace(flags=flags)
    reading = Reading(
        percent=percent,
        comparator=written.comparator,
        native=number,
        unit=unit,
        raw=written.raw,
        path=written.path,
        converted=unit == MMOL or _is_jds(held),
        family=family_of(held),
    )
    return Value(reading, flags)


def family_of(kinds: Iterable[str]) -> str:
    """The one that decides where a concept carries codes of several kinds."""
    return min(kinds, key=_RANK.__getitem__, default="")


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:  # a JSON string where a number belongs, or an exponent beyond reason
        return None
    return number if number.is_finite() else None


def _unit(quantity: Quantity) -> str:
    """The UCUM code wins over unit text; a code of another system is asked last."""
    if quantity.code and quantity.system == UCUM:
        return _recognised(quantity.code)
    return _recognised(quantity.unit or quantity.code or "")


@lru_cache(maxsize=1024)
def _recognised(text: str) -> str:
    text = text.strip()
    bare = _ANNOTATION.sub("", text).strip()
    if text and not bare:
        return FRACTION if text == "{fraction}" else text
    if _PERCENT.fullmatch(bare):
        return PERCENT
    return MMOL if _MMOL.fullmatch(bare) else bare


def _decide(unit: str, number: Decimal, kinds: frozenset[str]) -> tuple[str, tuple[str, ...], str]:
    """(unit to read the number in, flags, why it cannot be used)."""
    percent_code = not kinds.isdisjoint({"percent", "jds", "gmi"})
    if unit == PERCENT:
        ifcc_alone = kinds == {"ifcc"}
        return PERCENT, (), "unit_code_conflict" if ifcc_alone else ""
    if unit == MMOL:
        return MMOL, () if "ifcc" in kinds else ("unit_code_mismatch",), ""
    if unit in ("", FRACTION) and "fraction" in kinds and _FRACTION_LOW <= number <= _FRACTION_HIGH:
        return FRACTION, ("fraction_scaled",), ""
    if unit:
        return unit, (), "unit_wrong"
    if percent_code and LOWEST <= number <= HIGHEST:
        return PERCENT, ("unit_assumed_percent",), ""
    if "ifcc" in kinds and _MMOL_LOW <= number <= _MMOL_HIGH:
        return MMOL, ("unit_assumed_mmolmol",), ""
    return "", (), "unit_missing"


def _to_percent(number: Decimal, unit: str, kinds: frozenset[str]) -> Decimal:
    if unit == MMOL:  # IFCC network: NGSP = 0.0915 x IFCC + 2.15
        return _rounded(Decimal("0.0915") * number + Decimal("2.15"))
    if unit == FRACTION:
        return number * 100
    if _is_jds(kinds):  # IFCC = 10.79 x JDS - 18.7
        return _rounded(Decimal("0.0915") * (Decimal("10.79") * number - Decimal("18.7")) + Decimal("2.15"))
    return number


def _is_jds(kinds: frozenset[str]) -> bool:
    return family_of(kinds) == "jds"


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(_TENTH, ROUND_HALF_UP)


def _unusable(written: Written, why: str, kinds: Iterable[str], number: Decimal | None = None) -> Value:
    reading = Reading(
        comparator=written.comparator,
        native=number,
        unit=written.unit,
        raw=written.raw,
        path=written.path,
        why=why,
        family=family_of(kinds),
    )
    return Value(reading)
