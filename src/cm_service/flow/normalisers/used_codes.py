"""The value sets that make an Observation, a Procedure or a ServiceRequest worth keeping.

Everything else of these types is left in the landing files: a record holds only what rules can
use. Words are those of `rules/data/*.json`; a rule that reads a new set is entered here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from cm_service.rules.facts import Concept
from cm_service.rules.value_sets import ICD10CM, codes_of, load, sets_of

HBA1C_SETS = {  # word of the set -> Reading.family, the one that decides first
    "hba1c_percent": "percent",
    "hba1c_fraction": "fraction",
    "hba1c_ifcc": "ifcc",
    "hba1c_jds": "jds",
    "hba1c_gmi": "gmi",
}
RESULT_SETS = frozenset({*HBA1C_SETS, "hospice", "hospice_mds", "palliative", "nursing_home_residence"})
ORDER_SETS = frozenset(
    {*HBA1C_SETS, "hospice", "palliative", "frailty", "dialysis", "kidney_transplant", "transfusion"}
)
# A letter, digit, dot or hyphen that a careful writer escaped begins so: whoever reads a line that
# holds this will see its codes. (Within the expression it would cost as much as all codes together.)
ESCAPE = "\\u00"
Code = tuple[str, str]
ConceptMap = Mapping[Code, tuple[Code, ...]]


def is_of(wanted: frozenset[str], concept: Concept) -> bool:
    """Does any coding stand in one of the sets?"""
    for coding in concept.codings:  # noqa: SIM110 - any() is slower, and this runs for every result
        if not wanted.isdisjoint(sets_of(coding.system, coding.code)):
            return True
    return False


def pattern_of_death(concept_map: ConceptMap) -> str:
    """The same for codes by which an Encounter says that the patient died."""
    codes = {row["code"] for row in load("discharge_disposition").rows if row["class"] == "expired"}
    local = {code for (_, code), targets in concept_map.items() if any(to in codes for _, to in targets)}
    return _quoted({*map(re.escape, codes), *map(_spelled, local)})


def pattern(words: Iterable[str], concept_map: ConceptMap) -> str:
    """A regular expression (RE2) that finds every line that may hold a code of these sets, in
    quotation marks as JSON writes it; local codes that the practice maps into them, too. Lines that
    hold ESCAPE may hold one unseen."""
    wanted = frozenset(words)
    codes = {_escaped(system, code) for word in wanted for system, code in codes_of(word)}
    for (_, local), targets in concept_map.items():
        if any(not wanted.isdisjoint(sets_of(system, code)) for system, code in targets):
            codes.add(_spelled(local.strip()))
    return _quoted(codes)


def _quoted(codes: Iterable[str]) -> str:
    return '"\\s*(?:' + "|".join(sorted(codes)) + ')\\s*"'


def _spelled(local: str) -> str:
    """A local code as JSON may write it: `/` and letters beyond ASCII plain or escaped."""
    return "".join(map(_character, local))


def _character(char: str) -> str:
    escaped = "\\/" if char == "/" else json.dumps(char)[1:-1]
    return re.escape(char) if escaped == char else f"(?:{re.escape(char)}|(?i:{re.escape(escaped)}))"


def _escaped(system: str, code: str) -> str:
    """ICD-10-CM is matched by prefix, in any case and with or without its dot."""
    if system != ICD10CM:
        return re.escape(code)
    return f"(?i:{re.escape(code[:3])}\\.?{re.escape(code[3:])}[0-9A-Z.]*)"
