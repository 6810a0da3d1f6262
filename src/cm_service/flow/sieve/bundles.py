"""Bundles (searchset, collection, transaction, batch) as lines: one compact resource each."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

import msgspec

from cm_service.fhir.values import NOTHING, base_of, is_given
from cm_service.flow.sieve.faults import Fault, patients_in

_URN = re.compile(rb'("reference"\s*:\s*")(urn:[^"]+)(")')
_BOM = b"\xef\xbb\xbf"


class _Request(msgspec.Struct):
    method: str | None = None


class _Entry(msgspec.Struct, rename="camel"):
    full_url: str | None = None
    resource: msgspec.Raw = NOTHING  # not optional: a union with None takes nothing but null
    request: _Request | None = None


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str | None = None
    entry: list[_Entry] | None = None


class _Issue(msgspec.Struct):
    severity: str | None = None


class _Head(msgspec.Struct, rename="camel"):
    resource_type: str | None = None
    id: str | None = None
    issue: list[_Issue] | None = None


class Entries(NamedTuple):
    """`lines`: (number of the entry from 1, JSON text); `bases`: how often full URLs name a base."""

    lines: list[tuple[int, bytes]]
    faults: list[Fault]
    bases: Counter[str]


_BUNDLE = msgspec.json.Decoder(_Bundle)
_HEADS = msgspec.json.Decoder(_Head)


def read_entries(text: bytes, *, file: str = "") -> Entries:
    """The resources of a Bundle, or the one resource that the text is. Deletions and warnings of the
    server are no resources; references to `urn:uuid:` entries become `Type/id`."""
    try:
        bundle = _BUNDLE.decode(text.removeprefix(_BOM))
    except (msgspec.DecodeError, RecursionError):
        return Entries([], _broken(text, file), Counter())
    if bundle.resource_type is None:
        return Entries([], [Fault("not_a_bundle", file, 1)], Counter())
    if bundle.resource_type != "Bundle":
        return Entries([(1, _compact(text.removeprefix(_BOM)))], [], Counter())
    return _entries(bundle.entry or [], file)


def _broken(text: bytes, file: str) -> list[Fault]:
    """Everyone who is named in a damaged Bundle may miss anything."""
    patients = sorted(patients_in(text))
    if not patients:
        return [Fault("malformed_json", file, 1, text=text)]
    return [
        Fault("malformed_json", file, 1, text=b'"subject":{"reference":"%b"}' % who.encode())
        for who in patients
    ]


def _entries(entries: list[_Entry], file: str) -> Entries:
    found = Entries([], [], Counter())
    names: dict[bytes, bytes] = {}
    for number, entry in enumerate(entries, start=1):
        fault = _take(number, entry, found, names)
        if fault:
            found.faults.append(fault._replace(file=file, line=number))
    lines = [(number, _URN.sub(lambda m: _named(m, names), line)) for number, line in found.lines]
    return found._replace(lines=lines)


def _take(number: int, entry: _Entry, found: Entries, names: dict[bytes, bytes]) -> Fault | None:
    """One entry into `found`; the fault if it has one."""
    if not is_given(entry.resource):
        deleted = entry.request is not None and entry.request.method == "DELETE"
        return None if deleted else Fault("no_resource")
    raw = bytes(entry.resource)
    try:
        head = _HEADS.decode(raw)
    except msgspec.DecodeError:
        return Fault("malformed_json", text=raw)
    if head.resource_type == "OperationOutcome":
        bad = any(issue.severity in ("error", "fatal") for issue in head.issue or ())
        return Fault("outcome_error") if bad else None
    url = entry.full_url or ""
    line, name = _identified(_compact(raw), head, url)
    found.lines.append((number, line))
    if url.startswith("urn:") and head.resource_type and name:
        names[url.encode()] = f"{head.resource_type}/{name}".encode()
    base = base_of(url)
    if base:
        found.bases[base] += 1
    return None


def _identified(line: bytes, head: _Head, url: str) -> tuple[bytes, str | None]:
    """In a transaction a new resource has no id yet; its `urn:uuid:` stands for it."""
    if head.id is None and url.startswith("urn:uuid:"):
        name = url.removeprefix("urn:uuid:")
        return b'{"id":%b,' % msgspec.json.encode(name) + line[1:], name
    return line, head.id


def _named(match: re.Match[bytes], names: dict[bytes, bytes]) -> bytes:
    return match[1] + names.get(match[2], match[2]) + match[3]


def _compact(text: bytes) -> bytes:
    """On one line, with every digit of its numbers."""
    return msgspec.json.format(text, indent=-1)
