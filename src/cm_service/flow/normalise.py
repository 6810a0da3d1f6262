"""The one normaliser: a raw FHIR resource becomes a typed fact, or a reject with its reason.

It looks at one resource at a time and knows neither `as_of` nor a time zone, so the nightly sieve,
`evaluate`, a chart opening and a CDS Hooks call all read alike. Unknown stays unknown: what cannot
be read becomes a hole in the patient's record, never a silent negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cm_service.fhir import values
from cm_service.fhir.rawjson import dumps
from cm_service.fhir.resource_types import RESOURCE_TYPES
from cm_service.flow.normalisers import care, people, plans, results
from cm_service.flow.normalisers.context import Context, Kind
from cm_service.flow.normalisers.used_codes import ConceptMap
from cm_service.rules.facts import AnyFact

OWNED: dict[str, Kind] = {**people.KINDS, **care.KINDS, **results.KINDS, **plans.KINDS}
KINDS: dict[str, Kind] = {**OWNED, **plans.PLACES}
_HEAD = msgspec.json.Decoder(values.Resource)


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """A resource or line that could not be used, and why, in a word and in a sentence without PHI.

    A hole makes the run partial. `patient_id` is the patient whose record has the hole, None if
    nobody can tell; `types` the FHIR types that it may miss. `file` and `line` (from 1; in a Bundle
    the entry's number) say where it stands, empty where there is no file.
    """

    type: str
    reason: str
    sentence: str
    id: str | None = None
    patient_id: str | None = None
    is_hole: bool = True
    types: frozenset[str] = frozenset()
    file: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        return f"{self.file} line {self.line}" if self.line else self.file


class Normalised(msgspec.Struct, frozen=True, kw_only=True):
    """A fact with its owner. `patient_id` is None for places, which patients share. `holes` are the
    references of the resource that lead to other servers: the fact stands without them."""

    key: str
    fact: AnyFact
    patient_id: str | None
    holes: tuple[Reject, ...] = ()


class Normaliser:
    """Reads resources of one EMR. `context.findings` counts what was odd and yet could be read."""

    def __init__(self, references: values.References, concept_map: ConceptMap | None = None) -> None:
        self.context = Context(references, concept_map)

    def read(
        self, resource: bytes | str | Mapping[str, Any], *, kind: str | None = None
    ) -> Normalised | Reject | None:
        """A fact, a reject, or None for what no rule can use.

        `resource` is the JSON text (decimals keep their digits) or what it was parsed into; `kind`
        its resourceType if the caller knows it."""
        text = dumps(resource) if isinstance(resource, Mapping) else resource
        try:
            kind = kind or _HEAD.decode(text).resource_type
            reader = KINDS.get(kind)
            if reader is None:
                return None if kind in RESOURCE_TYPES else _wrong_type()
            raw = reader.decoder.decode(text)
            return self._normalise(raw, kind, reader)
        except (ValueError, RecursionError) as error:
            return _unreadable(kind or "", error)

    def _normalise(self, raw: Any, kind: str, reader: Kind) -> Normalised | Reject | None:
        context = self.context
        owner = reader.owner(raw)
        patient_id = context.references.patient(owner) if owner else None
        if raw.resource_type != kind:
            return _twice(kind, raw.id, patient_id)
        if not values.is_id(raw.id):
            return _no_id(kind, patient_id)
        if patient_id is None and kind in OWNED:
            return self._no_owner(kind, raw.id, owner)
        context.elsewhere.clear()
        fact = reader.build(raw, context)
        if fact is None:
            return None
        holes = tuple(_elsewhere(kind, raw.id, patient_id, path) for path in context.elsewhere)
        return Normalised(key=f"{kind}/{raw.id}", fact=fact, patient_id=patient_id, holes=holes)

    def _no_owner(self, kind: str, name: str, owner: str | None) -> Reject:
        if self.context.references.is_elsewhere(owner):
            return _elsewhere(kind, name, None, "the subject")
        other = (self.context.references.key(owner) or "").partition("/")[0]
        if other in RESOURCE_TYPES and other != "Patient":
            sentence = f"the {kind} is about a {other}, not about a patient"
            return Reject(type=kind, id=name, reason="not_a_patient", sentence=sentence, is_hole=False)
        sentence = f"the {kind} does not say whose it is (no readable subject)"
        return Reject(type=kind, id=name, reason="no_subject", sentence=sentence, types=frozenset({kind}))


def _wrong_type() -> Reject:
    sentence = "the resourceType is missing or none of FHIR R4"
    return Reject(type="", reason="wrong_type", sentence=sentence)


def _unreadable(kind: str, error: Exception) -> Reject:
    """msgspec names places and types in its errors, never values."""
    if isinstance(error, msgspec.ValidationError):
        sentence = f"the {kind or 'resource'} is no FHIR R4 ({error})"
        return Reject(type=kind, reason="not_fhir", sentence=sentence, types=_types(kind))
    why = "nested too deeply" if isinstance(error, RecursionError) else "cut or damaged"
    return Reject(type=kind, reason="malformed_json", sentence=f"no JSON: {why}", types=_types(kind))


def _types(kind: str) -> frozenset[str]:
    return frozenset({kind}) if kind else frozenset()


def _twice(kind: str, name: str | None, patient_id: str | None) -> Reject:
    sentence = "an element occurs twice, so the resource means two things"
    return Reject(
        type=kind,
        id=name,
        patient_id=patient_id,
        reason="duplicate_key",
        sentence=sentence,
        types=_types(kind),
    )


def _no_id(kind: str, patient_id: str | None) -> Reject:
    sentence = f"the {kind} has no id (or one of more than {values.MAX_ID} characters)"
    return Reject(
        type=kind, patient_id=patient_id, reason="no_id", sentence=sentence, types=frozenset({kind})
    )


def _elsewhere(kind: str, name: str, patient_id: str | None, path: str) -> Reject:
    sentence = f"{path} of the {kind} points to another server"
    return Reject(
        type=kind,
        id=name,
        patient_id=patient_id,
        reason="foreign_reference",
        sentence=sentence,
        types=frozenset({kind}),
    )
