"""What a pull asks for: the types that rules read, and the codes where only some are of use.

Codes go without their system: EMRs write one system under several names, and a wider question
is never wrong here, since the sieve looks again.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from cm_service.fhir.capability import Capability
from cm_service.flow.normalisers.used_codes import ORDER_SETS, RESULT_SETS, ConceptMap
from cm_service.rules.value_sets import ICD10CM, codes_of, sets_of

WHOLE = (
    "Patient",
    "Encounter",
    "Condition",
    "Consent",
    "Goal",
    "CareTeam",
    "Appointment",
    "CarePlan",
    "Task",
)
CODED = {"Observation": RESULT_SETS, "Procedure": ORDER_SETS, "ServiceRequest": ORDER_SETS}
# Read by id, where what was read refers to them.
REFERENCED = {"Specimen": "Observation", "Location": "Encounter", "Organization": "Encounter"}


class Query(NamedTuple):
    """A search for any of `values` in `parameter`, or for the whole type where it is empty."""

    parameter: str = ""
    values: tuple[str, ...] = ()


WHOLE_TYPE = Query()


def queries(type_: str, capability: Capability, concept_map: ConceptMap) -> list[list[Query]]:
    """Ways to read a type, each one wider than the one before it: the next is taken when the EMR
    refuses or drops a parameter.

    `combo-code` finds codes of components too, a plain `code` does not (seen on HAPI)."""
    if type_ not in CODED:
        return [[WHOLE_TYPE]]
    sets = CODED[type_]
    codes = tuple(sorted(_codes(sets) | _local_codes(sets, concept_map)))
    declared = capability.of(type_).search_params
    return [*([Query(name, codes) for name in way] for way in _parameters(type_, declared)), [WHOLE_TYPE]]


def _parameters(type_: str, declared: frozenset[str]) -> list[list[str]]:
    if type_ != "Observation":
        return [["code"]]
    both = ["code", "component-code"]
    return [["combo-code"], both] if "combo-code" in declared else [both]


@cache
def _codes(sets: frozenset[str]) -> frozenset[str]:
    """ICD-10-CM is left out: its codes are prefixes here, and no code for what was done."""
    return frozenset(code for name in sets for system, code in codes_of(name) if system != ICD10CM)


def _local_codes(sets: frozenset[str], concept_map: ConceptMap) -> frozenset[str]:
    """Codes of the practice's own that mean one of these sets."""
    return frozenset(
        code
        for (_, code), targets in concept_map.items()
        if any(sets_of(*target).intersection(sets) for target in targets)
    )
