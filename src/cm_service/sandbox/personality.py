"""The personalities that there are, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from cm_service.errors import BadInput
from cm_service.sandbox.declared import Declared, Interaction, Personality
from cm_service.sandbox.personalities.athena import ATHENA
from cm_service.sandbox.personalities.canvas import CANVAS
from cm_service.sandbox.personalities.ecw import ECW
from cm_service.sandbox.personalities.epic import EPIC
from cm_service.sandbox.personalities.generous import GENEROUS
from cm_service.sandbox.personalities.hapi import HAPI
from cm_service.sandbox.personalities.meditech import MEDITECH
from cm_service.sandbox.personalities.medplum import MEDPLUM
from cm_service.sandbox.personalities.nextgen import NEXTGEN
from cm_service.sandbox.personalities.oracle import ORACLE
from cm_service.sandbox.wire import Resource

__all__ = [
    "GENEROUS",
    "PERSONALITIES",
    "Declared",
    "Interaction",
    "Personality",
    "adapted",
    "personality_named",
]

PERSONALITIES: Mapping[str, Personality] = MappingProxyType(
    {
        known.name: known
        for known in (GENEROUS, HAPI, MEDPLUM, EPIC, ORACLE, ATHENA, ECW, MEDITECH, NEXTGEN, CANVAS)
    }
)


def personality_named(name: str) -> Personality:
    """Raises BadInput, with the names that exist, for an unknown one."""
    if name not in PERSONALITIES:
        raise BadInput(f"no sandbox personality of that name; there are: {', '.join(sorted(PERSONALITIES))}")
    return PERSONALITIES[name]


def adapted(resources: Iterable[Resource], personality: Personality) -> Iterator[Resource]:
    """The same resources as this EMR would hold them: its ids, its local codes. Others are not changed."""
    for resource in resources:
        for change in personality.adapt:
            resource = change(resource)
        yield resource
