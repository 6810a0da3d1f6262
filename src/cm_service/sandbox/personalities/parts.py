"""Shorthand for declarations."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cm_service.sandbox.declared import Declared, Interaction
from cm_service.sandbox.parameters import EVERY, SearchParameter

READ = frozenset({Interaction.READ, Interaction.SEARCH})
CREATE = frozenset({Interaction.CREATE})
UPDATE = frozenset({Interaction.UPDATE})

PATIENT_OR_ID = (frozenset({"patient"}), frozenset({"_id"}))


def declare(
    kind: str,
    names: str,
    *more: SearchParameter,
    also: frozenset[str] = frozenset(),
    does: frozenset[str] = READ,
    **switches: Any,
) -> Declared:
    """`names` of search parameters, apart by spaces; `also` what it does beside reading."""
    known = {name: EVERY[kind][name] for name in names.split()} | {p.name: p for p in more}
    return Declared(interactions=does | also, parameters=MappingProxyType(known), **switches)


def clinical(
    kind: str,
    names: str,
    *more: SearchParameter,
    needs: tuple[frozenset[str], ...] = PATIENT_OR_ID,
    **switches: Any,
) -> Declared:
    """Something in a chart: searched by patient or id, and by `names` beside them."""
    return declare(kind, f"_id patient {names}", *more, needs=needs, **switches)


def frozen(types: dict[str, Declared]) -> Mapping[str, Declared]:
    return MappingProxyType(dict(sorted(types.items())))


def registers(names: Mapping[str, str]) -> dict[str, Declared]:
    """People and places: read-only, listed without a patient."""
    return {kind: declare(kind, parameters) for kind, parameters in names.items()}
