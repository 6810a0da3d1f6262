"""FHIR R4 datatypes as they stand in JSON, decoded only as far as anybody reads them.

Unknown elements are skipped. `msgspec.Raw` keeps the JSON text itself: a decimal keeps its digits
(7.0 stays 7.0, 1e400 is no error), and what repeats thousands of times is decoded once by its text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

UCUM = "http://unitsofmeasure.org"
MAX_ID = 128  # Epic's ids have 88 characters where FHIR allows 64
NOTHING = msgspec.Raw(b"")
_CACHED = 50_000  # references to patients, places and encounters repeat

_NAME = rf"[^\s/?#|]{{1,{MAX_ID}}}"
_ID = re.compile(_NAME)
_RELATIVE = re.compile(rf"([A-Z][A-Za-z]+/{_NAME})(?:/_history/[^/?#]+)?")
_ABSOLUTE = re.compile(rf"(https?://[^?#]+)/([A-Z][A-Za-z]+/{_NAME})(?:/_history/[^/?#]+)?")
_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]+\?.+")


class Coding(msgspec.Struct, rename="camel", gc=False):
    system: str | None = None
    code: str | None = None
    display: str | None = None
    user_selected: bool | None = None


class CodeableConcept(msgspec.Struct, gc=False):
    coding: list[Coding] | None = None
    text: str | None = None


class Identifier(msgspec.Struct, gc=False):
    system: str | None = None
    value: str | None = None


class Reference(msgspec.Struct, gc=False):
    reference: str | None = None
    display: str | None = None


class Period(msgspec.Struct, gc=False):
    start: str | None = None
    end: str | None = None


class Timing(msgspec.Struct, gc=False):
    event: list[str] | None = None


class Quantity(msgspec.Struct, gc=False):
    value: msgspec.Raw = NOTHING
    comparator: str | None = None
    unit: str | None = None
    system: str | None = None
    code: str | None = None


class Meta(msgspec.Struct, rename="camel", gc=False):
    version_id: str | None = None
    last_updated: str | None = None
    security: list[Coding] | None = None


class Resource(msgspec.Struct, rename="camel", gc=False):
    """What every resource has."""

    resource_type: str = ""
    id: str | None = None
    meta: Meta | None = None


def is_given(raw: msgspec.Raw) -> bool:
    """Is the element there, and not null?"""
    return raw is not NOTHING and bytes(raw) not in (b"", b"null")


def is_id(text: str | None) -> bool:
    """Can this be the id of a resource? EMRs use more characters than FHIR allows; we read them."""
    return text is not None and _ID.fullmatch(text) is not None


def base_of(reference: str) -> str | None:
    """The base of an absolute reference, None if it is none."""
    found = _ABSOLUTE.fullmatch(reference)
    return found.group(1).rstrip("/") if found else None


class References:
    """Which references lead to resources of this EMR, and to which.

    `base_url` is the EMR's own base. `conditional` resolves conditional references
    (`Location?identifier=system|value`), which a server does only inside a transaction.
    """

    def __init__(self, base_url: str | None = None, conditional: Mapping[str, str] | None = None) -> None:
        self.base_url = base_url.rstrip("/") if base_url else None
        self.conditional = conditional or {}
        self._keys: dict[str, str | None] = {}
        self._patients: dict[str, str | None] = {}

    def key(self, reference: str | None) -> str | None:
        """`Type/id`. A conditional reference that nothing resolves stays as it is; None for contained,
        logical and unreadable references and for those to other servers."""
        if not reference:
            return None
        found = self._keys.get(reference, "")
        if found == "":
            if len(self._keys) > _CACHED:
                self._keys.clear()
            found = self._keys[reference] = self._key(reference)
        return found

    def _key(self, reference: str) -> str | None:
        if "?" in reference:
            known = self.conditional.get(reference)
            return known or (reference if _CONDITIONAL.fullmatch(reference) else None)
        found = _RELATIVE.fullmatch(reference)
        return found[1] if found is not None else self._under_base(reference)

    def _under_base(self, reference: str) -> str | None:
        found = _ABSOLUTE.fullmatch(reference)
        return found[2] if found is not None and found[1].rstrip("/") == self.base_url else None

    def is_elsewhere(self, reference: str | None) -> bool:
        """Does it lead to another server?"""
        return bool(reference) and "://" in str(reference).partition("?")[0] and self.key(reference) is None

    def patient(self, reference: str | None) -> str | None:
        """The id of the Patient that is meant, None if no Patient of this EMR is."""
        if not reference:
            return None
        found = self._patients.get(reference, "")
        if found == "":
            kind, _, name = (self.key(reference) or "").partition("/")
            if len(self._patients) > _CACHED:
                self._patients.clear()
            found = self._patients[reference] = name if kind == "Patient" and name else None
        return found
