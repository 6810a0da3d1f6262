"""The landing folder of one run: `<Type>.ndjson`, the bytes as the EMR sent them, and a manifest.

Everything in it is PHI: folders 0700, files 0600. Without a manifest the run did not end, and
nothing in its folder may count as read.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

MANIFEST = "manifest.json"
_TAKEN = ".taken"


class TypeReport(msgspec.Struct, kw_only=True):
    """How reading one type went. `status`: reading, complete (to the last page), refused (with
    `http_status`), absent (refused, and not promised either) or failed; `reason` is the sentence for the
    operator, `notes` what else he should know. `resources` counts landed lines, without repetitions.
    `patients` are those for whom it was read to the end, None where it was not read patient by patient
    (`wants_patient`: because it was refused otherwise); `failed` those for whom it was not, and why;
    `changes_of` those of whom only what changed was read ("": everybody). `dropped_filters` counts searches
    by `_lastUpdated` that the EMR did not filter. `history` says what the EMR's history of the type is worth
    where it was asked, `history_status` how it was answered, `tombstones` how many it says are deleted.
    `expected` is how many the EMR counts in the searches begun so far, `whom` how many patients are asked
    about."""

    type: str
    status: str = "reading"
    http_status: int | None = None
    reason: str = ""
    notes: list[str] = []
    pages: int = 0
    resources: int = 0
    patients: list[str] | None = None
    failed: dict[str, str] = {}
    wants_patient: bool = False
    changes_of: list[str] = []
    dropped_filters: int = 0
    history: str = ""
    history_status: int | None = None
    tombstones: int = 0
    expected: int = 0
    whom: int = 0

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes = [*self.notes, text]


class Point(msgspec.Struct, kw_only=True):
    """What one search gives for the next one of its kind: `cursor`, None where it must be read whole
    again. `full`: it was read whole this time. `query` is "_id" for what was read by id. `as_of`: of an
    earlier moment than the reading itself, where an EMR took its time over an export, or where a run that
    was killed has read some of it."""

    type: str
    query: str = ""
    patient: str = ""
    cursor: dt.datetime | None = None
    full: bool = True
    as_of: dt.datetime | None = None


class RosterReport(msgspec.Struct, kw_only=True):
    """Whom the searches within patients were about: see `pull.roster`. `ids` None: nobody was asked about
    that way, or only those who were read anyway."""

    origin: str = ""
    size: int = 0
    reason: str = ""
    ids: list[str] | None = None


class PullReport(msgspec.Struct, kw_only=True):
    """What the manifest holds. `deleted` are `Type/id` that the EMR itself says are gone."""

    emr: str
    types: dict[str, TypeReport]
    notes: list[str] = []
    points: list[Point] = []
    deleted: list[str] = []
    roster: RosterReport = msgspec.field(default_factory=RosterReport)

    def of_status(self, status: str) -> frozenset[str]:
        return frozenset(name for name, report in self.types.items() if report.status == status)

    @property
    def complete(self) -> bool:
        whole = self.of_status("complete") | self.of_status("absent")
        return whole == self.types.keys() and not any(said.failed for said in self.types.values())


class TypeFile:
    """One NDJSON file, written page by page; a type without any resource has an empty one.

    A line that came before is not written again: pages that shift and searches that begin anew
    bring the same resource twice. `end` is how much of an earlier file of this name counts."""

    def __init__(self, folder: Path, type_: str, *, end: int = 0) -> None:
        path = folder / f"{type_}.ndjson"
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        self.kept = [line.rstrip(b"\n") for line in self._file.read(end).splitlines(keepends=True)]
        self.size = self._file.tell()
        self._file.truncate(self.size)
        self._written = set(map(digest, self.kept))

    def __enter__(self) -> TypeFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def add(self, lines: Sequence[bytes]) -> list[int]:
        """Append what is new; returns which of the lines that were."""
        fresh = []
        for place, line in enumerate(lines):
            if (key := digest(line)) not in self._written:
                self._written.add(key)
                self.size += self._file.write(line + b"\n")
                fresh.append(place)
        self._file.flush()
        return fresh


def digest(line: bytes) -> bytes:
    return blake2b(line, digest_size=16).digest()


def run_folder(data_dir: Path, emr: str, run: str) -> Path:
    return data_dir / "landing" / emr / run


def make_private(folder: Path) -> None:
    """Make the folder and its missing parents, for nobody but us. An old run is not written into."""
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir(mode=0o700)
    folder.mkdir(mode=0o700)


def save_manifest(folder: Path, report: PullReport) -> None:
    """At once or not at all, after everything that it speaks of."""
    text = msgspec.json.format(msgspec.json.encode(report))
    draft = folder / f".{MANIFEST}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / MANIFEST)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def forget(data_dir: Path, emr: str) -> None:
    """Delete every run of one EMR."""
    folder = run_folder(data_dir, emr, "")
    if folder.is_dir():
        shutil.rmtree(folder)


def mark_taken(folder: Path) -> None:
    """Everything in it is in the store: no run goes on with it."""
    (folder / _TAKEN).touch(mode=0o600)


def left_behind(emr_folder: Path) -> Path | None:
    """The newest run, if it ended before the store had taken it in."""
    runs = sorted(run for run in emr_folder.iterdir() if run.is_dir()) if emr_folder.is_dir() else []
    return runs[-1] if runs and not (runs[-1] / _TAKEN).exists() else None


def prune(emr_folder: Path, *, keep: int) -> int:
    """Delete all but the newest runs of one EMR; returns how many went."""
    if not emr_folder.is_dir():
        return 0
    runs = sorted(
        (run for run in emr_folder.iterdir() if run.is_dir()), key=lambda run: run.stat().st_mtime_ns
    )
    for run in runs[:-keep]:
        shutil.rmtree(run)
    return len(runs[:-keep])
