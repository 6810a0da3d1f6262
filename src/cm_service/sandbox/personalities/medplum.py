"""Medplum: create, read, update, delete and patch of every R4 type, If-Match, transactions [4a, undated,
read November 2026].

- An unknown search parameter is not refused and not ignored: it finds nothing (`?bogus=1` answers 200
  with total 0).
- Versions are named by UUIDs and not counted (chosen, as its store makes them): nobody may order by them.
- Two identical conditional creates in one transaction both succeed (PR 6102): not imitated, the sandbox
  refuses such a Bundle.
- Exports do not tell of what was deleted (issue 10479).
"""

from __future__ import annotations

import uuid
from dataclasses import replace

from cm_service.sandbox.declared import PATCH, Bulk, Declared, Interaction, Unknown
from cm_service.sandbox.house_rules import subscribes
from cm_service.sandbox.parameters import PARAMETERS
from cm_service.sandbox.personalities.generous import GENEROUS
from cm_service.sandbox.personalities.parts import frozen
from cm_service.sandbox.versions import Version

_VERSIONS = uuid.UUID("6f9c1a52-0d0e-4c7e-9a3b-6f1d2b7c8e90")


def _version_name(version: Version) -> str:
    return str(uuid.uuid5(_VERSIONS, f"{version.key}/{version.number}"))


def _everything(kind: str) -> Declared:
    return Declared(
        interactions=frozenset(Interaction) | {PATCH},
        parameters=PARAMETERS[kind],
        update_create=True,
        conditional_create=True,
        rules=(subscribes,),
    )


MEDPLUM = replace(
    GENEROUS,
    name="medplum",
    types=frozen({kind: _everything(kind) for kind in PARAMETERS}),
    bulk=Bulk(deleted=False),
    default_count=20,
    unknown=Unknown.MATCHES_NOTHING,
    version_name=_version_name,
)
