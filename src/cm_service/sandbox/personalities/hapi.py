"""HAPI FHIR, JPA server: the whole of R4 as its operator left it on [4a, undated, read November 2026].

- A stale If-Match is a 409; an update that changes nothing keeps the version; an unknown search
  parameter is a 400 whatever handling is preferred; ids of digits only cannot be chosen [FOREIGN].
- Parallel conditional creates can make two (issues 3141, 4597): here only a stale index does that.
- The result of a search is used again for 60 seconds unless `Cache-Control: no-cache` is sent; some
  servers stop at 10,000 results without a next link (issue 3599); links of pages expire (issue 7220).
"""

from __future__ import annotations

from dataclasses import replace

from cm_service.sandbox.declared import PATCH, Declared, Interaction, Paging, Unknown
from cm_service.sandbox.house_rules import no_new_numbers
from cm_service.sandbox.parameters import PARAMETERS
from cm_service.sandbox.personalities.generous import GENEROUS
from cm_service.sandbox.personalities.parts import frozen


def _everything(kind: str) -> Declared:
    return Declared(
        interactions=frozenset(Interaction) | {PATCH},
        parameters=PARAMETERS[kind],
        update_create=True,
        conditional_create=True,
        update_rules=(no_new_numbers,),
    )


HAPI = replace(
    GENEROUS,
    name="hapi",
    types=frozen({kind: _everything(kind) for kind in PARAMETERS}),
    default_count=20,
    paging=Paging(parameter="_getpages", stops_at=10_000, reuse_seconds=60),
    unknown=Unknown.REFUSED,
    conflict_status=409,
    keeps_version=True,
)
