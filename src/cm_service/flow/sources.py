"""Where a night's facts come from: a pull of the EMR, or a folder that somebody dropped. From here
on both are the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cm_service.flow import departed, landing, pull, sieve
from cm_service.flow.connection import ConceptMap
from cm_service.flow.holes import Holes
from cm_service.flow.landing import PullReport
from cm_service.flow.normalise import KINDS, PLACES, Reject
from cm_service.flow.ours import KINDS as OUR_KINDS
from cm_service.flow.ours import Json
from cm_service.flow.people import Facts
from cm_service.rules.facts import PlaceFact

ALL_TYPES = frozenset(KINDS)


class Source(NamedTuple):
    """One night's reading. `types` says per FHIR type how it was read; `replaces` are the types whose
    absence means deletion, `unread` those not read to their end, `refused` those the EMR denies.
    `of_whom` says of the types that were read patient by patient for whom they were, `whole_for` for whom
    not only what changed; `problems` what went wrong beside that. `deleted` are `Type/id` that the EMR says
    are gone, `roster` the patients whom a complete roster names (None: there was none)."""

    reading: sieve.Reading
    pulled: bool
    types: dict[str, Any]
    replaces: frozenset[str]
    unread: frozenset[str]
    refused: frozenset[str]
    of_whom: Mapping[str, frozenset[str]] = {}
    whole_for: Mapping[str, frozenset[str]] = {}
    problems: tuple[str, ...] = ()
    points: tuple[landing.Point, ...] = ()
    asked: pull.Source | None = None
    folder: Path | None = None
    deleted: frozenset[str] = frozenset()
    roster: frozenset[str] | None = None

    def patients(self) -> Iterator[tuple[str, Facts]]:
        return self.reading.patients()

    @property
    def read(self) -> frozenset[str]:
        """Types read to their end, all of them or what changed."""
        return frozenset(self.types) - self.unread - self.refused

    @property
    def places(self) -> Mapping[str, PlaceFact]:
        return self.reading.places

    @property
    def holes(self) -> Mapping[str, frozenset[str]]:
        return Holes(self.reading.holes, self.of_whom)

    @property
    def rejects(self) -> list[Reject]:
        return self.reading.rejects

    def entangled(self) -> frozenset[str]:
        """Patient ids that a replaced-by link joins, on either side of it."""
        ids: set[str] = set()
        for patient in self.reading.containing("replaced-by", ["Patient"]):
            others = [(link.get("other") or {}).get("reference", "") for link in patient.get("link", [])]
            ids.update((patient["id"], *(str(other).rpartition("/")[2] for other in others)))
        return frozenset(ids)

    def ours(self, identifier_base: str) -> Iterator[Json]:
        """Raw CarePlan, Goal and Task resources that may carry an identifier of ours: those that hold the
        longest part of our base (its slashes may be escaped in JSON)."""
        return self.reading.containing(max(identifier_base.split("/"), key=len), OUR_KINDS)


def from_folder(
    folder: Path, *, base_url: str | None, concept_map: ConceptMap, max_line_bytes: int, full: bool
) -> Source:
    """A folder (or one file) of NDJSON or Bundles: adds and updates, and removes only when `full`."""
    reading = sieve.read_folder(
        folder, base_url=base_url, concept_map=concept_map, max_line_bytes=max_line_bytes
    )
    types = {kind: {"status": "complete", "resources": n} for kind, n in sorted(reading.counts.items())}
    for kind in reading.unread:
        types[kind] = {"status": "failed", "reason": "part of its files could not be read"}
    replaces = ALL_TYPES - reading.unread if full else frozenset()
    return Source(reading, False, types, replaces, reading.unread, frozenset())


def from_pull(
    report: PullReport, folder: Path, asked: pull.Source, *, base_url: str, max_line_bytes: int
) -> Source:
    """What a pull has landed in `folder`."""
    reading = sieve.read_folder(
        folder,
        base_url=base_url,
        concept_map=asked.concept_map,
        max_line_bytes=max_line_bytes,
        of_one_server=True,
    )
    complete = report.of_status("complete") - reading.unread
    refused = report.of_status("refused") | report.of_status("absent")
    of_whom = {
        kind: frozenset(said.patients)
        for kind, said in report.types.items()
        if kind in complete and said.patients is not None
    }
    whole_for = {kind: whom - set(report.types[kind].changes_of) for kind, whom in of_whom.items()}
    replaces = {k for k in complete if k in of_whom or k in PLACES or not report.types[k].changes_of}
    problems = (report.roster.reason,) if report.roster.reason else ()
    types = {kind: _said(item) for kind, item in sorted(report.types.items())}
    unread = (report.types.keys() - complete - refused) | reading.unread
    return Source(
        reading=reading,
        pulled=True,
        types=types,
        replaces=frozenset(replaces),
        unread=frozenset(unread),
        refused=refused,
        of_whom=of_whom,
        whole_for=whole_for,
        problems=problems,
        points=tuple(report.points),
        asked=asked,
        folder=folder,
        deleted=frozenset(key for key in report.deleted if key.partition("/")[0] in complete),
        roster=departed.named(report),
    )


def _said(item: landing.TypeReport) -> dict[str, Any]:
    """Counts and sentences, and nobody's name."""
    said: dict[str, Any] = {"status": item.status, "pages": item.pages, "resources": item.resources}
    optional = {
        "http_status": item.http_status,
        "reason": item.reason,
        "notes": item.notes,
        "changes_only": bool(item.changes_of),
        "dropped_filters": item.dropped_filters,
        "history": item.history,
        "tombstones": item.tombstones,
        "patients": len(item.patients or ()),
        "failed_patients": len(item.failed),
        "first_failure": next(iter(item.failed.values()), ""),
    }
    return said | {name: value for name, value in optional.items() if value}
