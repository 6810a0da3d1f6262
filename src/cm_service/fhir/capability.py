"""What an EMR says about itself at /metadata, as far as we ask for it.

A declaration only: servers promise what they do not do and do what they do not promise.
"""

from __future__ import annotations

from typing import Any

import msgspec


class TypeCapability(msgspec.Struct, frozen=True, kw_only=True):
    """`versioning` is no-version, versioned, versioned-update, or "" where nothing is said."""

    interactions: frozenset[str] = frozenset()
    search_params: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()  # without the $
    conditional_create: bool = False
    update_create: bool = False
    versioning: str = ""


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """The default is an EMR that says nothing."""

    fhir_version: str = ""
    software: str = ""
    interactions: frozenset[str] = frozenset()  # of the whole system: transaction, batch
    types: dict[str, TypeCapability] = {}

    def of(self, type_: str) -> TypeCapability:
        return self.types.get(type_, TypeCapability())

    def conditional_create(self, type_: str) -> bool:
        return self.of(type_).conditional_create


def read_capability(statement: dict[str, Any]) -> Capability:
    """From the JSON of a CapabilityStatement; whatever has another shape than R4 says is left out."""
    rests = _dicts(statement.get("rest"))
    rest = next((part for part in rests if part.get("mode") == "server"), {})
    everywhere = _words(rest.get("searchParam"), "name")
    software = statement.get("software")
    return Capability(
        fhir_version=_text(statement.get("fhirVersion")),
        software=_text(software.get("name")) if isinstance(software, dict) else "",
        interactions=_words(rest.get("interaction"), "code"),
        types={_text(item.get("type")): _type(item, everywhere) for item in _dicts(rest.get("resource"))},
    )


def _type(item: dict[str, Any], everywhere: frozenset[str]) -> TypeCapability:
    return TypeCapability(
        interactions=_words(item.get("interaction"), "code"),
        search_params=_words(item.get("searchParam"), "name") | everywhere,
        operations=frozenset(word.removeprefix("$") for word in _words(item.get("operation"), "name")),
        conditional_create=item.get("conditionalCreate") is True,
        update_create=item.get("updateCreate") is True,
        versioning=_text(item.get("versioning")),
    )


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _words(value: Any, key: str) -> frozenset[str]:
    return frozenset(word for item in _dicts(value) if (word := _text(item.get(key))))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
