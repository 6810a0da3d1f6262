"""`_typeFilter` of an export: of types that hold much of no use, only what carries a code of use.

An EMR that ignores it (protocols allow that) sends more, and nothing is lost by it; one that refuses it is
asked without. What several filters of one type name is joined by OR.
"""

from __future__ import annotations

from collections.abc import Collection

from cm_service.fhir.capability import Capability
from cm_service.flow.landing import digest
from cm_service.flow.normalisers.used_codes import ConceptMap
from cm_service.flow.pull.reader import LONGEST_QUERY
from cm_service.flow.wanted import CODED, queries

QUERY = "$export"
_SEPARATOR = 5  # characters that a code costs beside its own: the comma, encoded twice


def filters(types: Collection[str], capability: Capability, concept_map: ConceptMap) -> str:
    """Of those types of which a URL can hold the codes; commas part filters, one inside a filter is %2C."""
    found = []
    for name in sorted(CODED.keys() & set(types)):
        way = queries(name, capability, concept_map)[0]
        if all(sum(len(code) + _SEPARATOR for code in query.values) <= LONGEST_QUERY for query in way):
            found += [f"{name}?{query.parameter}={'%2C'.join(query.values)}" for query in way]
    return ",".join(found)


def query_of(asked: str) -> str:
    """The name of its cursors. Other codes in a filter are another query: what they would have brought
    before is not there."""
    return f"{QUERY}:{digest(asked.encode()).hex()[:16]}" if asked else QUERY
