"""What one Encounter is: its class, setting, status and how the patient left.

One resource at a time; how encounters form stays is the stay builder's question.
Codes: `data/encounter_class.json` and `data/discharge_disposition.json` (rules.md 2.1, 2.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from cm_service.rules.facts import Coding, Concept, EncounterFact, PlaceFact
from cm_service.rules.value_sets import SNOMED, load, normal

DISPOSITION = "Encounter.hospitalization.dischargeDisposition"
OPEN = frozenset({"in-progress", "onleave", "arrived", "triaged"})
CONTACT = frozenset({"AMB", "VR", "HH", "FLD"})
ACUTE = frozenset({"IMP", "ACUTE"})
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
HL7 = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
NUBC = "https://www.nubc.org/CodeSystem/PatDischargeStatus"
# The same two-digit numbers under the names that EMRs, Synthea and claims feeds give them.
_NUBC_NAMES = frozenset(
    {
        NUBC,
        "http://www.nubc.org/patient-discharge",
        "https://bluebutton.cms.gov/resources/variables/ptnt_dschrg_stus_cd",
        "http://terminology.hl7.org/CodeSystem/v2-0112",
        "urn:oid:2.16.840.1.113883.6.301.5",
    }
)
_ALWAYS_WIN = ("expired", "hospice", "ama")
_SYSTEM_ORDER = (HL7, NUBC, SNOMED)


class Disposition(NamedTuple):
    """How the patient left: `kind` is community, ama, transfer, transfer_snf, facility_ltc, hospice,
    expired, custody, not_discharged or unknown (to be read as community, flag
    `disposition_missing`). `missing`: nothing was written at all, not even an unmapped code.
    `planned`: a code that announces a planned readmission. `raw`: "system|code" of the winner."""

    kind: str = "unknown"
    planned: bool = False
    flags: tuple[str, ...] = ()
    missing: bool = False
    raw: str = ""


_CODES = load("encounter_class").rows
_CLASSES = {row["code"]: row["class"] for row in _CODES if row["element"] == "class"}
_TYPES = {(row["system"], row["code"]): row["class"] for row in _CODES if row["element"] == "type"}
_SNF = frozenset((row["system"], row["code"]) for row in _CODES if row["element"] == "snf")
_STAYS = frozenset(row["class"] for row in _CODES if row["use"] == "stay")
_DISPOSITIONS = {
    (row["system"], row["code"]): (row["class"], row["planned"] == "planned")
    for row in load("discharge_disposition").rows
}


def is_finished(encounter: EncounterFact) -> bool:
    return encounter.status == "finished"


def is_open(encounter: EncounterFact) -> bool:
    """In progress, on leave, arrived or triaged; every other unfinished status is to be ignored."""
    return encounter.status in OPEN


def class_word(encounter: EncounterFact) -> str:
    """The v3-ActCode class (IMP, EMER, AMB ...): as written, as the practice's concept map says
    (its codings stand last), or else by Encounter.type; "" if unmapped (`dq_class_unmapped`)."""
    for coding in encounter.classes:
        if coding.system == ACT_CODE and coding.code in _CLASSES:
            return _CLASSES[coding.code]
    for concept in encounter.types:
        for coding in concept.codings:
            word = _TYPES.get(normal(coding.system, coding.code))
            if word is not None:
                return word
    return ""


def is_stay_class(word: str, *, short_stay: bool) -> bool:
    """IMP, ACUTE, NONAC and OBSENC; SS only where the practice says so (`dis.include_short_stay`)."""
    return word in _STAYS or (short_stay and word == "SS")


def setting(encounter: EncounterFact, word: str, places: Mapping[str, PlaceFact]) -> str:
    """`observation`, `snf` or `inpatient` for an encounter of stay class `word`."""
    if word == "OBSENC":
        return "observation"
    if any(_is_snf(concept.codings) for concept in encounter.types) or _at_snf(encounter, places):
        return "snf"
    return "snf" if word == "NONAC" and _is_snf(encounter.classes) else "inpatient"


def _at_snf(encounter: EncounterFact, places: Mapping[str, PlaceFact]) -> bool:
    for reference in (encounter.provider, *encounter.locations):
        place = places.get(reference) if reference else None
        if place is not None and any(_is_snf(concept.codings) for concept in place.types):
            return True
    return False


def _is_snf(codings: Iterable[Coding]) -> bool:
    return any(normal(coding.system, coding.code) in _SNF for coding in codings)


def disposition(encounter: EncounterFact) -> Disposition:
    """hospitalization.dischargeDisposition of an Encounter, whatever its class or status."""
    concept = encounter.disposition
    if concept is None or not (concept.codings or concept.text.strip()):
        return Disposition(missing=True)
    return _read(concept)


@lru_cache(maxsize=512)
def _read(concept: Concept) -> Disposition:
    found = [(key, *_DISPOSITIONS[key]) for key in map(_key, concept.codings) if key in _DISPOSITIONS]
    # "Other" says nothing, so it neither wins over a code that does nor contradicts it.
    told = [row for row in found if row[1] != "unknown"] or found
    if not told:
        return Disposition()
    (system, code), kind, _ = min(told, key=_rank)
    conflict = len({row[1] for row in told}) > 1
    flags = ("class_conflict",) if conflict else ()
    return Disposition(kind, any(row[2] for row in told), flags, raw=f"{system}|{code}")


def _key(coding: Coding) -> tuple[str, str]:
    if coding.system in _NUBC_NAMES:
        return NUBC, coding.code.strip().zfill(2)
    return normal(coding.system, coding.code)


def _rank(row: tuple[tuple[str, str], str, bool]) -> tuple[int, int]:
    (system, _), kind, _ = row
    strong = _ALWAYS_WIN.index(kind) if kind in _ALWAYS_WIN else len(_ALWAYS_WIN)
    return strong, _SYSTEM_ORDER.index(system)
