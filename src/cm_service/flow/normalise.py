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
from cm_service.flow.normalisers.context import Context, Kind, Note
from cm_service.flow.normalisers.used_codes import ConceptMap
from cm_service.rules.dates import When, parse_when
from cm_service.rules.facts import AnyFact

OWNED: dict[str, Kind] = {**people.KINDS, **care.KINDS, **results.KINDS, **plans.KINDS}
PLACES: dict[str, Kind] = plans.PLACES  # shared between patients
KINDS: dict[str, Kind] = {**OWNED, **PLACES}
_HEAD = msgspec.json.Decoder(values.Resource)

SENTENCES = {
    "malformed_json": "no JSON: cut or damaged, or nested too deeply",
    "not_utf8": "the line is no UTF-8",
    "line_too_long": "the line is longer than the limit",
    "gzip_broken": "the gzip file is cut or damaged: what stood behind this line is not known",
    "wrong_type": "the resourceType is missing, none of FHIR R4, or not the one that the file name promises",
    "no_id": f"the resource has no id (or one of more than {values.MAX_ID} characters)",
    "no_subject": "the resource does not say whose it is (no readable subject)",
    "duplicate_key": "an element occurs twice, so the resource means two things",
    "not_a_bundle": "the file holds neither a resource nor a Bundle",
    "no_resource": "the entry of the Bundle holds no resource",
    "outcome_error": "the server put an error in place of a resource",
}


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


class Unused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """In place of a fact where no rule can use any: as the newest version of its resource it silences
    the older ones (rules.md 0.2), and then it is dropped."""

    version: str | None = None
    updated: When | None = None
    flags: tuple[str, ...] = ()


class Normalised(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact with its owner. `patient_id` is None for places, which patients share. `rejects` are parts
    of the resource that could not be used: the fact stands without them."""

    key: str
    fact: AnyFact | Unused
    patient_id: str | None
    rejects: tuple[Reject, ...] = ()


class Normaliser:
    """Reads resources of one EMR. `context.findings` counts what was odd and yet could be read."""

    def __init__(self, references: values.References, concept_map: ConceptMap | None = None) -> None:
        self.context = Context(references, concept_map)

    def read(
        self, resource: bytes | str | Mapping[str, Any], *, kind: str | None = None
    ) -> Normalised | Reject | None:
        """A fact, `Unused` or a reject; None for a type that no rule reads.

        `resource` is the JSON text (decimals keep their digits) or what it was parsed into; `kind`
        its resourceType if the caller knows it."""
        text = dumps(resource) if isinstance(resource, Mapping) else resource
        try:
            kind = kind or _HEAD.decode(text).resource_type
            reader = KINDS.get(kind)
            if reader is None:
                return None if kind in RESOURCE_TYPES else _reject("", None, None, hole("wrong_type"))
            raw = reader.decoder.decode(text)
            return self._normalise(raw, kind, reader)
        except (ValueError, RecursionError) as error:
            return _unreadable(kind or "", error)

    @staticmethod
    def kind_of(text: bytes | str) -> str:
        """The resourceType, "" where it cannot be told."""
        try:
            return _HEAD.decode(text).resource_type
        except (ValueError, RecursionError):
            return ""

    @staticmethod
    def owner_of(text: bytes | str, kind: str) -> str | None:
        """The reference to the patient as written, None where there is none."""
        reader = OWNED.get(kind)
        try:
            return reader.owner(reader.decoder.decode(text)) if reader else None
        except (ValueError, RecursionError):
            return None

    def _normalise(self, raw: Any, kind: str, reader: Kind) -> Normalised | Reject:
        context = self.context
        owner = reader.owner(raw)
        patient_id = context.references.patient(owner) if owner else None
        if raw.resource_type != kind:
            return _reject(kind, raw.id, patient_id, hole("duplicate_key"))
        if not values.is_id(raw.id):
            return _reject(kind, None, patient_id, hole("no_id"))
        if patient_id is None and kind in OWNED:
            return self._no_owner(kind, raw.id, owner)
        context.notes.clear()
        fact = reader.build(raw, context) or _unused(raw.meta)
        notes = context.notes
        rejects = tuple(_reject(kind, raw.id, patient_id, note) for note in notes) if notes else ()
        return Normalised(key=f"{kind}/{raw.id}", fact=fact, patient_id=patient_id, rejects=rejects)

    def _no_owner(self, kind: str, name: str, owner: str | None) -> Reject:
        references = self.context.references
        if references.is_elsewhere(owner):
            note = Note("foreign_reference", f"the subject of the {kind} is on another server", is_hole=True)
            return _reject(kind, name, None, note)
        other = (references.key(owner) or "").partition("/")[0]
        if other in RESOURCE_TYPES and other != "Patient":
            return _reject(kind, name, None, Note("not_a_patient", f"the {kind} is about a {other}"))
        return _reject(kind, name, None, hole("no_subject"))


def hole(reason: str) -> Note:
    """One of the reasons for which a whole line is lost."""
    return Note(reason, SENTENCES[reason], is_hole=True)


def _unused(meta: values.Meta | None) -> Unused:
    """What is odd in it is not worth a word."""
    if meta is None:
        return Unused()
    try:
        updated = parse_when(meta.last_updated) if meta.last_updated else None
    except ValueError:
        updated = None
    return Unused(version=meta.version_id, updated=updated)


def _unreadable(kind: str, error: Exception) -> Reject:
    """msgspec names places and types in its errors, never values."""
    if isinstance(error, msgspec.ValidationError):
        return _reject(kind, None, None, Note("not_fhir", f"no FHIR R4 {kind} ({error})", is_hole=True))
    return _reject(kind, None, None, hole("malformed_json"))


def _reject(kind: str, name: str | None, patient_id: str | None, note: Note) -> Reject:
    return Reject(
        type=kind,
        id=name,
        patient_id=patient_id,
        reason=note.reason,
        sentence=note.sentence,
        is_hole=note.is_hole,
        types=missing_types(kind) if note.is_hole else frozenset(),
    )


def missing_types(*named: str) -> frozenset[str]:
    """What a record may lack when a line of these types ("" for unknown) is lost."""
    known = frozenset(name for name in named if name)
    return known & KINDS.keys() if known else frozenset(OWNED)
