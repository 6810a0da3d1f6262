"""What one kind of EMR declares. The router, the search and /metadata all read the same declaration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from cm_service.errors import BadInput
from cm_service.sandbox.parameters import PARAMETERS, SearchParameter


class Interaction(StrEnum):
    """Codes of CapabilityStatement.rest.resource.interaction."""

    READ = "read"
    VREAD = "vread"
    UPDATE = "update"
    DELETE = "delete"
    HISTORY = "history-instance"
    CREATE = "create"
    SEARCH = "search-type"


@dataclass(frozen=True)
class Declared:
    """One resource type: its interactions and search parameters, and two things about writes."""

    interactions: frozenset[Interaction]
    parameters: Mapping[str, SearchParameter]
    update_create: bool = False
    conditional_create: bool = False

    def allows(self, interaction: Interaction) -> bool:
        return interaction in self.interactions


@dataclass(frozen=True)
class Personality:
    """A whole EMR. `system` holds codes of CapabilityStatement.rest.interaction."""

    name: str
    types: Mapping[str, Declared]
    system: frozenset[str] = frozenset()
    default_count: int = 50
    max_count: int = 1000


def _everything(kind: str) -> Declared:
    return Declared(
        interactions=frozenset(Interaction),
        parameters=PARAMETERS[kind],
        update_create=True,
        conditional_create=True,
    )


GENEROUS = Personality(
    name="generous",
    types=MappingProxyType({kind: _everything(kind) for kind in sorted(PARAMETERS)}),
    system=frozenset({"transaction", "batch"}),
)

PERSONALITIES: Mapping[str, Personality] = MappingProxyType({GENEROUS.name: GENEROUS})


def personality_named(name: str) -> Personality:
    """Raises BadInput, with the names that exist, for an unknown one."""
    if name not in PERSONALITIES:
        raise BadInput(f"no sandbox personality of that name; there are: {', '.join(sorted(PERSONALITIES))}")
    return PERSONALITIES[name]
