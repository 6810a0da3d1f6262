"""What every normaliser needs: concepts with the practice's mappings, dates, local references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Required, TypedDict

import msgspec

from cm_service.fhir import values
from cm_service.fhir.values import is_given
from cm_service.flow.normalisers.used_codes import ConceptMap
from cm_service.rules.dates import When, parse_when
from cm_service.rules.facts import AnyFact, Coding, Concept

_CONCEPT = msgspec.json.Decoder(values.CodeableConcept)
_CONCEPTS = msgspec.json.Decoder(list[values.CodeableConcept])
_CODING = msgspec.json.Decoder(values.Coding)
_CACHED = 50_000  # CodeableConcepts repeat; those that do not must not fill the memory
_EMPTY = (b"", b"null")


class Head(TypedDict, total=False):
    """Keyword arguments that every fact takes."""

    id: Required[str]
    version: str | None
    updated: When | None
    security: tuple[str, ...]


class Kind(NamedTuple):
    """How to read one FHIR type. `build` returns None for what no rule can use; `owner` gives the
    reference to the Patient (the Patient itself: its own)."""

    decoder: msgspec.json.Decoder[Any]
    build: Callable[[Any, Context], AnyFact | None]
    owner: Callable[[Any], str | None]


class Note(NamedTuple):
    """Something in a resource that could not be used, although the resource could."""

    reason: str
    sentence: str
    is_hole: bool = False


class Context:
    """One run's or one request's settings for reading. `findings` counts what was odd but readable and
    `bare` resources without version, date and labels; `notes` collects what could not be used, for
    the resource at hand."""

    def __init__(self, references: values.References, concept_map: ConceptMap | None = None) -> None:
        self.references = references
        self.concept_map = concept_map or {}
        self.findings: Counter[str] = Counter()
        self.bare = 0
        self.notes: list[Note] = []
        self.every_result = False  # keep Observations of any code: they may contradict a death
        self.kinds: dict[bytes, frozenset[str]] = {}  # of HbA1c, by the JSON text of a concept
        self._concepts: dict[bytes, tuple[Concept, ...]] = {}
        self._dates: dict[str, When] = {}  # onset, recordedDate and encounter often coincide

    # --- codes

    def concept(self, raw: msgspec.Raw) -> Concept:
        """A CodeableConcept; an empty one where the element is missing."""
        text = bytes(raw)
        found = self._concepts.get(text)
        return found[0] if found else self._keep(text, self._one_concept(text))[0]

    def given(self, raw: msgspec.Raw) -> Concept | None:
        """A CodeableConcept, None where the element is missing."""
        return self.concept(raw) if is_given(raw) else None

    def concepts(self, raw: msgspec.Raw) -> tuple[Concept, ...]:
        """A list of CodeableConcepts."""
        if not is_given(raw):
            return ()
        text = bytes(raw)
        found = self._concepts.get(text)
        return found if found is not None else self._keep(text, self._many_concepts(text))

    def coding(self, raw: msgspec.Raw) -> tuple[Coding, ...]:
        """A single Coding, followed by what the concept map makes of it."""
        if not is_given(raw):
            return ()
        key = b"c" + bytes(raw)
        return (self._concepts.get(key) or self._keep(key, self._lone_coding(key[1:])))[0].codings

    def coded(self, concept: Concept) -> Concept:
        """The concept that a rule will match by its code; text alone goes to the unmapped report."""
        if not concept.codings:
            self.findings["unmapped_code"] += 1
        return concept

    def _keep(self, text: bytes, read: tuple[Concept, ...]) -> tuple[Concept, ...]:
        if len(self._concepts) > _CACHED:
            self._concepts.clear()
            self.kinds.clear()
        self._concepts[text] = read
        return read

    def _one_concept(self, text: bytes) -> tuple[Concept, ...]:
        return (Concept() if text in _EMPTY else self._mapped(_CONCEPT.decode(text)),)

    def _many_concepts(self, text: bytes) -> tuple[Concept, ...]:
        return tuple(self._mapped(one) for one in _CONCEPTS.decode(text))

    def _lone_coding(self, text: bytes) -> tuple[Concept, ...]:
        return (self._mapped(values.CodeableConcept([_CODING.decode(text)])),)

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
        found = self._dates.get(raw)
        return found if found is not None else self._parsed(raw)

    def _parsed(self, raw: str) -> When | None:
        try:
            found = parse_when(raw)
        except ValueError:
            self.notes.append(Note("bad_date", "a date is none that FHIR knows"))
            return None
        if found.is_partial:
            self.findings["partial_date"] += 1
        else:
            if len(self._dates) > _CACHED:
                self._dates.clear()
            self._dates[raw] = found
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
            self.notes.append(Note("foreign_reference", f"{path} points to another server", is_hole=True))
        return found

    def found(self) -> Counter[str]:
        """What was odd but readable since this was asked last."""
        findings, self.findings = self.findings, Counter()
        if self.bare:
            findings["no_meta"], self.bare = self.bare, 0
        return findings

    # --- what every resource has

    def head(self, resource: values.Resource) -> Head:
        meta = resource.meta
        if meta is None or (meta.last_updated is None and meta.version_id is None and not meta.security):
            self.bare += 1
            return {"id": resource.id or ""}
        labels = tuple(f"{label.system or ''}|{label.code or ''}" for label in meta.security or ())
        updated = self.when(meta.last_updated)
        return {"id": resource.id or "", "version": meta.version_id, "updated": updated, "security": labels}


def tokens(identifiers: Iterable[values.Identifier] | None) -> tuple[str, ...]:
    """Identifiers as "system|value"."""
    return tuple(token(one) for one in identifiers or () if one.value)


def token(identifier: values.Identifier) -> str:
    return f"{identifier.system or ''}|{identifier.value}"


def subject(resource: Any) -> str | None:
    """The usual owner of a resource."""
    return resource.subject.reference if resource.subject else None
