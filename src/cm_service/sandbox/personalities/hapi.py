"""HAPI FHIR, JPA server: the whole of R4 as its operator left it on [4a, undated, read November 2026].

What is marked [FOREIGN] was seen on a server that nobody here wrote: the same tests hold both to it.

- A stale If-Match is a 409; an update that changes nothing keeps the version; an unknown search
  parameter is a 400 whatever handling is preferred; ids of digits only cannot be chosen [FOREIGN].
- It parses and does not validate; a reference that leads nowhere makes an empty resource where it leads;
  a delete has a body and no precondition; If-Match on what never was is ignored; what is not JSON or
  not done is a 400; an update has a Content-Location and no Location; searches filter by _lastUpdated,
  and /metadata does not say so [FOREIGN].
- Parallel conditional creates can make two (issues 3141, 4597): here only a stale index does that.
- The result of a search is used again for 60 seconds unless `Cache-Control: no-cache` is sent; some
  servers stop at 10,000 results without a next link (issue 3599); links of pages expire (issue 7220).
- A Group's export since a moment shows nothing of patients whose Patient did not change (issue 4387).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import MappingProxyType

from cm_service.sandbox.declared import PATCH, Bulk, Declared, Interaction, Paging, Unknown
from cm_service.sandbox.house_rules import no_new_numbers, subscribes
from cm_service.sandbox.manners import Manners
from cm_service.sandbox.parameters import PARAMETERS
from cm_service.sandbox.personalities.generous import GENEROUS
from cm_service.sandbox.personalities.parts import frozen

_SOME_PREFIXES = ("eq", "gt", "ge", "lt", "le")


def _everything(kind: str) -> Declared:
    known = PARAMETERS[kind]
    updated = known["_lastUpdated"]._replace(prefixes=_SOME_PREFIXES)
    return Declared(
        interactions=frozenset(Interaction) | {PATCH},
        parameters=MappingProxyType({**known, "_lastUpdated": updated}),
        update_create=True,
        conditional_create=True,
        rules=(subscribes,),
        update_rules=(no_new_numbers,),
        untold=frozenset({"_lastUpdated"}),
    )


def _number(id_: str) -> str:
    """What it gives itself is a number."""
    return str(int(hashlib.sha256(id_.encode()).hexdigest()[:12], 16))


HAPI = replace(
    GENEROUS,
    name="hapi",
    types=frozen({kind: _everything(kind) for kind in PARAMETERS}),
    bulk=Bulk(since_hides=True, deleted=False),
    default_count=20,
    paging=Paging(parameter="_getpages", stops_at=10_000, reuse_seconds=60),
    unknown=Unknown.REFUSED,
    conflict_status=409,
    keeps_version=True,
    id_of=_number,
    manners=Manners(
        media_status=400,
        method_status=400,
        lax=True,
        guards_new=False,
        guards_delete=False,
        delete_status=200,
        blank_condition=True,
        placeholders=True,
        subsets=True,
        content_location=True,
        terse_entries=True,
    ),
)
