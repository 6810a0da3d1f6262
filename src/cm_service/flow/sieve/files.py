"""A folder of FHIR files made ready for the scan: plain lines of bearable length.

Most files are read where they lie. Gzip (told by its bytes, whatever the name says), files with
overlong lines and Bundles are rewritten into a working folder, line for line, so that line
numbers stay true.
"""

from __future__ import annotations

import gzip
import mmap
import re
import zlib
from collections import Counter
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from cm_service.errors import BadInput, NothingToRead
from cm_service.fhir.resource_types import RESOURCE_TYPES
from cm_service.flow.sieve.bundles import Entries, read_entries
from cm_service.flow.sieve.faults import HEAD, Fault, lines_of

_GZIP = b"\x1f\x8b"
_DAMAGE = (OSError, EOFError, zlib.error)  # what reading a cut or damaged gzip file raises
_NOT_FHIR = frozenset({"manifest.json"})  # beside our own landing files and those of bulk exports
_WORDS = re.compile(r"[A-Za-z]+")
_LINES, _BUNDLES = (".ndjson", ".jsonl"), (".json",)


class LineFile(NamedTuple):
    """A file to scan. `name` is what people know it by; `promised` the type that its name promises, ""
    for none; `entries` says of each line which (file, entry) of a Bundle it was."""

    path: Path
    name: str
    promised: str = ""
    entries: tuple[tuple[str, int], ...] = ()

    def place(self, line: int) -> tuple[str, int]:
        return self.entries[line - 1] if self.entries and line else (self.name, line)


class Prepared(NamedTuple):
    """`broken` are the types of whose files nobody knows what the rest held."""

    files: list[LineFile]
    faults: list[Fault]
    broken: set[str]
    bases: Counter[str]


def prepare(source: Path, *, work: Path, limit: int) -> Prepared:
    """Every `*.ndjson`, `*.jsonl` and `*.json` of a folder (plain or gzip), or one such file. `work` is
    an empty folder; `limit` the bytes of a line. Raises NothingToRead and BadInput."""
    prepared = Prepared([], [], set(), Counter())
    places: list[tuple[str, int]] = []
    for number, path in enumerate(_inputs(source)):
        if path.name.removesuffix(".gz").endswith(_BUNDLES):
            with (work / "bundles.ndjson").open("ab") as out:
                places.extend(_bundle(path, out, prepared, limit))
        else:
            _lines(path, work / f"{number:06}.ndjson", prepared, limit)
    if places:
        prepared.files.append(LineFile(work / "bundles.ndjson", "", "", tuple(places)))
    return prepared


def _inputs(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    found = sorted(path for path in source.iterdir() if path.is_file()) if source.is_dir() else []
    wanted = [path for path in found if _is_input(path.name)]
    if any(path.name.encode(errors="replace").decode() != path.name for path in wanted):
        raise BadInput(f"{source.name} holds a file whose name is no UTF-8 text: nobody could say its place")
    if not wanted:
        raise NothingToRead(f"{source} holds no .ndjson, .ndjson.gz or .json file, or is not there")
    return wanted


def _is_input(name: str) -> bool:
    known = name.removesuffix(".gz").endswith((*_LINES, *_BUNDLES))
    return known and not name.startswith(".") and name not in _NOT_FHIR


def promised_type(name: str) -> str:
    """The FHIR type that a file name speaks of (`Patient.ndjson`, `1.Condition.ndjson.gz`), "" for none.
    A name with other words (`Patient-p1-everything.ndjson`) promises nothing."""
    words = _WORDS.findall(name.removesuffix(".gz").rpartition(".")[0])
    return words[0] if len(words) == 1 and words[0] in RESOURCE_TYPES else ""


def open_lines(path: Path) -> BinaryIO:
    """A file's bytes, gunzipped if it is gzip."""
    if _is_gzip(path):
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def _lines(path: Path, target: Path, prepared: Prepared, limit: int) -> None:
    promised = promised_type(path.name)
    if _is_gzip(path) or _has_long_line(path, limit):
        _rewrite(path, target, promised, prepared, limit)
        path, name = target, path.name
    else:
        name = path.name
    prepared.files.append(LineFile(path, name, promised))


def _has_long_line(path: Path, limit: int) -> bool:
    """Looks for one newline in every window of `limit` bytes: next to nothing of the file is read."""
    size = path.stat().st_size
    if size <= limit:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        start = 0
        while size - start > limit:
            end = whole.rfind(b"\n", start, start + limit + 1)
            if end < 0:
                return True
            start = end + 1
    return False


def _rewrite(path: Path, target: Path, promised: str, prepared: Prepared, limit: int) -> None:
    """Copy the lines; an overlong one becomes an empty one and a fault."""
    number = 0
    with open_lines(path) as file, target.open("wb") as out:
        try:
            for number, text, too_long in lines_of(file, limit):
                if too_long:
                    prepared.faults.append(Fault("line_too_long", path.name, number, promised, text[:HEAD]))
                out.write(b"\n" if too_long else text + b"\n")
        except _DAMAGE:
            prepared.faults.append(Fault("gzip_broken", path.name, number, promised))
            prepared.broken.add(promised)


def _bundle(path: Path, out: BinaryIO, prepared: Prepared, limit: int) -> list[tuple[str, int]]:
    """The entries of one Bundle file, and where each stood."""
    entries = _read(path)
    prepared.faults.extend(entries.faults)
    prepared.bases.update(entries.bases)
    places = []
    for number, line in entries.lines:
        if len(line) > limit:
            prepared.faults.append(Fault("line_too_long", path.name, number, text=line[:HEAD]))
        else:
            out.write(line + b"\n")
            places.append((path.name, number))
    return places


def _read(path: Path) -> Entries:
    try:
        with open_lines(path) as file:
            return read_entries(file.read(), file=path.name)
    except _DAMAGE:
        return Entries([], [Fault("gzip_broken", path.name)], Counter())
