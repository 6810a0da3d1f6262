"""What every normaliser needs: concepts with the practice's mappings, dates, local references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple, TypedDict

import msgspec

from cm_service.fhir import values
from cm_service.flow.normalisers.used_codes import ConceptMap
from cm_service.rules.dates import When, parse_when
from cm_service.rules.facts import AnyFact, Coding, Concept

_CONCEPT = msgspec.json.Decoder(values.CodeableConcept)
_CONCEPTS = msgspec.json.Decoder(list[values.CodeableConcept])
_CODING = msgspec.json.Decoder(values.Coding)
_CACHED = 50_000  # CodeableConcepts repeat; those that do not must not fill the memory
_EMPTY = (b"", b"null")
_parse_when = lru_cache(maxsize=8192)(parse_when)  # onset, recordedDate and encounter often coincide


class Head(TypedDict):
    """Keyword arguments that every fact takes."""

    id: str
    version: str | None
    updated: When | None
    security: tuple[str, ...]


class Kind(NamedTuple):
    """How to read one FHIR type. `build` returns None for what no rule can use; `owner` gives the
    reference to the Patient (the Patient itself: its own)."""

    decoder: msgspec.json.Decoder[Any]
    build: Callable[[Any, Context], AnyFact | None]
    owner: Callable[[Any], str | None]


class Context:
    """One run's or one request's settings for reading. `findings` counts what was odd but readable;
    `elsewhere` collects the elements of the current resource that point to other servers."""

    def __init__(self, references: values.References, concept_map: ConceptMap | None = None) -> None:
        self.references = references
        self.concept_map = concept_map or {}
        self.findings: Counter[str] = Counter()
        self.elsewhere: list[str] = []
        self.every_result = False  # keep Observations of any code: they may contradict a death
        self._concepts: dict[bytes, tuple[Concept, ...]] = {}

    # --- codes

    def concept(self, raw: msgspec.Raw) -> Concept:
        """A CodeableConcept; an empty one where the element is missing."""
        return self._read(bytes(raw), self._one_concept)[0]

    def given(self, raw: msgspec.Raw) -> Concept | None:
        """A CodeableConcept, None where the element is missing."""
        return self.concept(raw) if bytes(raw) not in _EMPTY else None

    def concepts(self, raw: msgspec.Raw) -> tuple[Concept, ...]:
        """A list of CodeableConcepts."""
        text = bytes(raw)
        return () if text in _EMPTY else self._read(text, self._many_concepts)

    def coding(self, raw: msgspec.Raw) -> tuple[Coding, ...]:
        """A single Coding, followed by what the concept map makes of it."""
        text = bytes(raw)
        return () if text in _EMPTY else self._read(b"c" + text, self._lone_coding)[0].codings

    def coded(self, concept: Concept) -> Concept:
        """The concept that a rule will match by its code; text alone goes to the unmapped report."""
        if not concept.codings:
            self.findings["unmapped_code"] += 1
        return concept

    def _read(self, text: bytes, read: Callable[[bytes], tuple[Concept, ...]]) -> tuple[Concept, ...]:
        found = self._concepts.get(text)
        if found is None:
            if len(self._concepts) > _CACHED:
                self._concepts.clear()
            found = self._concepts[text] = read(text)
        return found

    def _one_concept(self, text: bytes) -> tuple[Concept, ...]:
        return (Concept() if text in _EMPTY else self._mapped(_CONCEPT.decode(text)),)

    def _many_concepts(self, text: bytes) -> tuple[Concept, ...]:
        return tuple(self._mapped(one) for one in _CONCEPTS.decode(text))

    def _lone_coding(self, text: bytes) -> tuple[Concept, ...]:
        return (self._mapped(values.CodeableConcept([_CODING.decode(text[1:])])),)

    def _mapped(self, raw: values.CodeableConcept) -> Concept:
        codings = [
            Coding(one.system or "", one.code, one.display or "", one.user_selected is True)
            for one in raw.coding or ()
            if one.code
        ]
        added = [
            Coding(system, code)
            for one in codings
            for system, code in self.concept_map.get((one.system, one.code), ())
        ]
        return Concept((*codings, *added), raw.text or "")

    # --- dates

    def when(self, raw: str | None) -> When | None:
        """A date, dateTime or instant; None where it is missing or unreadable."""
        if raw is None:
            return None
        try:
            found = _parse_when(raw)
        except ValueError:
            self.findings["bad_date"] += 1
            return None
        if found.is_partial:
            self.findings["partial_date"] += 1
        return found

    def start(self, period: values.Period | None) -> When | None:
        return self.when(period.start) if period else None

    def end(self, period: values.Period | None) -> When | None:
        return self.when(period.end) if period else None

    # --- references

    def key(self, reference: values.Reference | None, path: str) -> str | None:
        """`Type/id` of a reference that rules follow; one to another server is noted."""
        text = reference.reference if reference else None
        if text is None:
            return None
        found = self.references.key(text)
        if found is None and self.references.is_elsewhere(text):
            self.elsewhere.append(path)
        return found

    # --- what every resource has

    def head(self, resource: values.Resource) -> Head:
        meta = resource.meta
        if meta is None or meta.last_updated is None:
            self.findings["no_last_updated"] += 1
        if meta is None:
            return Head(id=resource.id or "", version=None, updated=None, security=())
        labels = tuple(f"{label.system or ''}|{label.code or ''}" for label in meta.security or ())
        updated = self.when(meta.last_updated)
        return Head(id=resource.id or "", version=meta.version_id, updated=updated, security=labels)


def tokens(identifiers: Iterable[values.Identifier] | None) -> tuple[str, ...]:
    """Identifiers as "system|value"."""
    return tuple(f"{one.system or ''}|{one.value}" for one in identifiers or () if one.value)


def subject(resource: Any) -> str | None:
    """The usual owner of a resource."""
    return resource.subject.reference if resource.subject else None
