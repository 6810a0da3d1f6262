"""One Bundle in memory: what a chart opening and CDS Hooks have in hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from cm_service.fhir.rawjson import dumps
from cm_service.fhir.resource_types import RESOURCE_TYPES
from cm_service.fhir.values import References
from cm_service.flow.normalise import OWNED, Normaliser, Reject
from cm_service.flow.normalisers import plans
from cm_service.flow.normalisers.used_codes import ConceptMap
from cm_service.flow.sieve.bases import keys_of, leading_here, own_base, survivors
from cm_service.flow.sieve.bundles import read_entries
from cm_service.flow.sieve.faults import HEAD, owner_in
from cm_service.flow.sieve.gather import Failed, Gathered, Row, add_holes, gather, says_died
from cm_service.flow.sieve.mending import mend, settle, torn_among
from cm_service.rules.facts import AnyFact, PatientFact, PlaceFact


class BundleReading(NamedTuple):
    """Facts by patient and `Type/id`. `line` of a reject is the number of its entry."""

    patients: dict[str, dict[str, AnyFact]]
    places: dict[str, PlaceFact]
    rejects: list[Reject]
    holes: dict[str, frozenset[str]]


def read_bundle(
    bundle: bytes | Mapping[str, Any], *, base_url: str | None = None, concept_map: ConceptMap | None = None
) -> BundleReading:
    """A Bundle (or one resource) as text or parsed. Without `base_url` the base that prevails in it is
    its own."""
    entries = read_entries(bundle if isinstance(bundle, bytes) else dumps(bundle))
    rows = [Row(number, Normaliser.kind_of(line), line, False) for number, line in entries.lines]
    owners = [_owner(line, row.type) for (_, line), row in zip(entries.lines, rows, strict=True)]
    base = base_url or _own_base(rows, owners, entries.bases)
    normaliser = Normaliser(References(base, _conditional(rows)), concept_map)
    references = normaliser.context.references
    rejects = [fault.reject(references) for fault in entries.faults]
    patients: dict[str, dict[str, AnyFact]] = {}
    places: dict[str, PlaceFact] = {}
    gathered = _gathered(_by_owner(rows, owners, references), normaliser)
    for owner, found in gathered.items():
        rejects.extend(map(_numbered, found.failed))
        if owner is None:
            places.update((key, fact) for key, fact in found.facts.items() if isinstance(fact, PlaceFact))
        else:
            patients[owner] = found.facts
    if torn := torn_among(gathered.values()):
        mended = mend(torn, rows, normaliser)
        for who, facts in patients.items():
            settle(facts, who, mended)
    holes: dict[str, frozenset[str]] = {}
    add_holes(holes, rejects)
    return BundleReading(patients, places, rejects, holes)


def _owner(line: bytes, kind: str) -> str | None:
    """As written; of a damaged resource as far as the damage lets us tell."""
    owner = Normaliser.owner_of(line, kind)
    if owner is None and (kind in OWNED or kind not in RESOURCE_TYPES):
        return owner_in(line[:HEAD], kind)
    return owner


def _own_base(rows: list[Row], owners: list[str | None], named: Counter[str]) -> str | None:
    references = [(owner, 1) for owner in owners if owner]
    references += survivors(row.line for row in rows if row.type == "Patient")
    known = {
        References().patient(owner) for row, owner in zip(rows, owners, strict=True) if row.type == "Patient"
    }
    return own_base(references, named, known, leading_here(rows, lambda _: keys_of(rows)))


def _gathered(lines: Mapping[str | None, list[Row]], normaliser: Normaliser) -> dict[str | None, Gathered]:
    """Where somebody died and somebody was replaced, it may be one person: then every result counts."""
    found = {owner: gather(rows, normaliser, owner=owner) for owner, rows in lines.items()}
    facts = [fact for gathered in found.values() for fact in gathered.facts.values()]
    replaced = any(isinstance(fact, PatientFact) and fact.replaced_by for fact in facts)
    if not replaced or not any(map(says_died, facts)):
        return found
    return {owner: gather(rows, normaliser, owner=owner, every_result=True) for owner, rows in lines.items()}


def _conditional(rows: Iterable[Row]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows:
        if row.type in plans.PLACES:
            found.update(plans.conditional(row.line))
    return found


def _by_owner(
    rows: list[Row], owners: list[str | None], references: References
) -> dict[str | None, list[Row]]:
    """Lines by patient, results last; None holds those that nobody owns."""
    sorted_rows: dict[str | None, list[Row]] = {}
    for row, owner in sorted(zip(rows, owners, strict=True), key=lambda pair: pair[0].type == "Observation"):
        sorted_rows.setdefault(references.patient(owner), []).append(row)
    return sorted_rows


def _numbered(failed: Failed) -> Reject:
    return msgspec.structs.replace(failed.reject, line=failed.row.place)
