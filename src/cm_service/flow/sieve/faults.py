"""Lines that cannot be read: whose they are, as far as the damage lets us tell, and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from cm_service.fhir.resource_types import RESOURCE_TYPES
from cm_service.fhir.values import References
from cm_service.flow.normalise import SENTENCES, Reject, missing_types

HEAD = 1 << 20  # so much of a line is enough to see whose it is
_TYPE = re.compile(rb'"resourceType"\s*:\s*"([A-Za-z]+)"')
_ID = re.compile(rb'"id"\s*:\s*"([^"]+)"')
_OWNER = re.compile(rb'"(?:subject|patient|for)"\s*:\s*\{[^{}]*?"reference"\s*:\s*"([^"]+)"')
_PATIENT = re.compile(rb'"((?:https?://[^"\s]+/)?Patient/[^"/\s]+)(?:/_history/[^"]*)?"')


class Line(NamedTuple):
    """A line from 1, without its ending; of an overlong one only the beginning."""

    number: int
    text: bytes
    too_long: bool


def lines_of(file: BinaryIO, limit: int) -> Iterator[Line]:
    """The lines of a file; one of more than `limit` bytes never stands in memory whole."""
    number = 0
    while head := file.readline(limit + 2):
        number += 1
        rest = head
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(limit + 2)
        text = head.rstrip(b"\r\n")
        yield Line(number, text, len(text) > limit)


class Fault(NamedTuple):
    """A line that failed. `promised` is the type that the file's name promises; `text` (or the
    beginning of it) is asked for the type and the patient."""

    reason: str
    file: str = ""
    line: int = 0
    promised: str = ""
    text: bytes = b""

    def reject(self, references: References) -> Reject:
        """A reject without PHI: of the text only ids and the type go into it."""
        head = self.text[:HEAD]
        found = _TYPE.search(head)
        kind = found.group(1).decode() if found else ""
        kind = kind if kind in RESOURCE_TYPES and kind != "Bundle" else ""
        return Reject(
            type=self.promised or kind,
            patient_id=references.patient(owner_in(head, kind or self.promised)),
            reason=self.reason,
            sentence=SENTENCES[self.reason],
            types=missing_types(kind, self.promised),
            file=self.file,
            line=self.line,
        )


def owner_in(text: bytes, kind: str) -> str | None:
    """The reference to the patient in a damaged text; None where several could be meant."""
    if kind == "Patient":
        found = _ID.search(text)
        return f"Patient/{found.group(1).decode(errors='replace')}" if found else None
    found = _OWNER.search(text)
    if found:
        return found.group(1).decode(errors="replace")
    others = patients_in(text)
    return others.pop() if len(others) == 1 else None


def patients_in(text: bytes) -> set[str]:
    """References to patients anywhere in a text."""
    return {found.decode(errors="replace") for found in _PATIENT.findall(text)}


def key_of(text: bytes) -> int:
    """By this a line is found again: thousands of damaged lines must not fill the memory."""
    return hash(text)


def locate(file: BinaryIO, wanted: Iterable[int], limit: int) -> dict[int, list[int]]:
    """Line numbers, by `key_of` the lines as DuckDB reads them: a carriage return ends a line as
    well, a byte order mark is none of the text, and nothing behind U+0001 belongs to it."""
    keys = frozenset(wanted)
    found: dict[int, list[int]] = {}
    for line in lines_of(file, limit):
        text = line.text.removeprefix(b"\xef\xbb\xbf") if line.number == 1 else line.text
        for part in text.split(b"\r"):
            key = key_of(part.partition(b"\x01")[0])
            if key in keys:
                found.setdefault(key, []).append(line.number)
    return found


def not_utf8(file: BinaryIO, limit: int) -> Iterator[Line]:
    """The lines that are no UTF-8."""
    for line in lines_of(file, limit):
        try:
            line.text.decode()
        except UnicodeDecodeError:
            yield line
