"""The sandbox's own: every type and verb that it knows, by the book of FHIR R4. No EMR is like this."""

from __future__ import annotations

from types import MappingProxyType

from cm_service.sandbox.declared import Bulk, Declared, Interaction, Personality
from cm_service.sandbox.house_rules import subscribes
from cm_service.sandbox.parameters import PARAMETERS


def _everything(kind: str) -> Declared:
    return Declared(
        interactions=frozenset(Interaction),
        parameters=PARAMETERS[kind],
        update_create=True,
        conditional_create=True,
        rules=(subscribes,),
    )


GENEROUS = Personality(
    name="generous",
    types=MappingProxyType({kind: _everything(kind) for kind in sorted(PARAMETERS)}),
    bulk=Bulk(),
    system=frozenset({"transaction", "batch"}),
)
