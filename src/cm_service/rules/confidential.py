"""Which resources not everybody may see: labels in `meta.security`.

HL7 v3 Confidentiality R (restricted) and V (very restricted), and ActCode 42CFRPart2 (records of substance
use treatment under 42 CFR Part 2). Every rule reads everything; the labels only say who is shown what.
"""

from __future__ import annotations

from collections.abc import Iterable

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
RESTRICTED, VERY_RESTRICTED, PART_2 = "R", "V", "42CFRPart2"
LABELS = {
    f"{CONFIDENTIALITY}|{RESTRICTED}": RESTRICTED,
    f"{CONFIDENTIALITY}|{VERY_RESTRICTED}": VERY_RESTRICTED,
    f"{ACT_CODE}|{PART_2}": PART_2,
}
CODES = frozenset(LABELS.values())
_OPEN = frozenset({"U", "L", "M", "N"})
_OID = "2.16.840.1.113883.5.25"


def restrictions(security: Iterable[str]) -> frozenset[str]:
    """The codes of LABELS among `system|code` texts. A confidentiality that is not known is the highest:
    what nobody can read protects, too. Of the other labels only Part 2 restricts."""
    return frozenset(code for code in map(_restriction, security) if code)


def _restriction(label: str) -> str:
    system, _, code = label.rpartition("|")
    if code == PART_2:
        return PART_2
    if not _is_confidentiality(system) and not (system == "" and code in CODES):
        return ""
    return "" if code in _OPEN else code if code in CODES else VERY_RESTRICTED


def _is_confidentiality(system: str) -> bool:
    """Older names of the code system count as well (STU3: http://hl7.org/fhir/v3/Confidentiality)."""
    return system.rstrip("/").endswith("Confidentiality") or system.endswith(_OID)
