"""How tests read raw FHIR: a folder of lines, or one resource, by the same code as the night."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cm_service.fhir.values import References
from cm_service.flow.normalise import Normalised, Normaliser, Reject, Unused
from cm_service.flow.sieve import Reading, read_bundle, read_folder
from cm_service.rules.facts import AnyFact

Json = dict[str, Any]
Line = str | bytes | Json
Layout = Callable[[Path, list[Json]], Any]  # resources are read in some form: facts by patient
LIMIT = 20_000_000


class Read(NamedTuple):
    """A folder read to its end."""

    reading: Reading
    patients: dict[str, dict[str, AnyFact]]

    @property
    def reasons(self) -> list[tuple[str, int, str]]:
        return [(reject.file, reject.line, reject.reason) for reject in self.reading.rejects]


def text_of(line: Line) -> bytes:
    return line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()


def put(folder: Path, name: str, lines: Iterable[Line], end: bytes = b"\n") -> Path:
    """Write lines, each ended by `end`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(b"".join(text_of(line) + end for line in lines))
    return path


def read(source: Path, *, limit: int = LIMIT, **settings: Any) -> Read:
    settings = {"base_url": None, "concept_map": {}, **settings}
    reading = read_folder(source, max_line_bytes=limit, **settings)
    return Read(reading, dict(reading.patients()))


def one_file(folder: Path, lines: list[Json]) -> Any:
    put(folder, "all.ndjson", lines)
    return read(folder).patients


def by_type(folder: Path, lines: list[Json]) -> Any:
    for kind in {line["resourceType"] for line in lines}:
        put(folder, f"{kind}.ndjson", [line for line in lines if line["resourceType"] == kind])
    return read(folder).patients


def in_a_bundle(folder: Path, lines: list[Json]) -> Any:
    entries = [{"resource": line} for line in lines]
    return read_bundle({"resourceType": "Bundle", "type": "collection", "entry": entries}).patients


def one(resource: Json | bytes, *, concept_map: Mapping[Any, Any] | None = None) -> Any:
    """What the normaliser makes of one resource: its fact, its reject, or None."""
    normaliser = Normaliser(References("https://emr.example/fhir"), dict(concept_map or {}))
    found = normaliser.read(resource)
    if not isinstance(found, Normalised):
        return found
    return None if isinstance(found.fact, Unused) else found.fact


def rejected(resource: Json | bytes) -> Reject:
    found = one(resource)
    assert isinstance(found, Reject), found
    return found
