"""What a campaign counts afterwards, from the EMR's side alone: copies, lost edits, deletions, returns.

One client is assumed: what the EMR has shown, it has shown to the one that writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from cm_service.sandbox.store import Store
from cm_service.sandbox.versions import Version
from cm_service.sandbox.wire import Resource

_SERVERS = frozenset({"meta", "id", "resourceType"})


class LostUpdate(NamedTuple):
    """A clinician's edit (version `edit`) that a client's write (version `write`) took away.

    `element` is "*" where the client deleted what it had not seen.
    """

    key: str
    edit: int
    write: int
    element: str


def copies(store: Store, *, system: str | None = None) -> dict[tuple[str, str], list[str]]:
    """(system, value) -> `Type/id` of all living resources, of any type, that carry this identifier or
    were sent with it."""
    carriers = {i: keys for i, keys in store.carriers().items() if system in (None, i[0])}
    living = {i: [key for key in keys if store.exists(key)] for i, keys in carriers.items()}
    return {i: keys for i, keys in living.items() if keys}


def duplicates(store: Store, *, system: str | None = None) -> dict[tuple[str, str], list[str]]:
    """Those of `copies` that are more than one."""
    return {known: keys for known, keys in copies(store, system=system).items() if len(keys) > 1}


def deletions(store: Store, *, by: str | None = None) -> list[Version]:
    """The history of deletes, in order."""
    return [v for v in store.journal if v.resource is None and by in (None, v.by)]


def lost_updates(store: Store) -> list[LostUpdate]:
    """Edits by clinicians that a client overwrote without having been shown them, or undid.

    Another value over an edit that the client had seen is its decision and not counted; that the element
    went back to what it was before, or that something added to a list is gone, is counted all the same.
    """
    return [lost for chain in store.histories() for lost in _lost_in(chain)]


def _lost_in(chain: list[Version]) -> Iterator[LostUpdate]:
    base: Version | None = None
    edit: Version | None = None
    for version in chain:
        if version.by == "clinician":
            edit = version
            continue
        if version.by == "client" and edit is not None and edit.resource is not None:
            for element in _elements_lost(base, edit, version):
                yield LostUpdate(version.key, edit.number, version.number, element)
        base, edit = version, None


def _elements_lost(base: Version | None, edit: Version, write: Version) -> Iterator[str]:
    before: Resource = (base.resource if base else None) or {}
    theirs, unseen = edit.resource or {}, write.knew < edit.number
    if write.resource is None:
        if unseen:
            yield "*"
        return
    for name in sorted((before.keys() | theirs.keys()) - _SERVERS):
        was, edited, now = (resource.get(name) for resource in (before, theirs, write.resource))
        if was != edited != now and _is_lost(was, edited, now, unseen=unseen):
            yield name


def _is_lost(before: Any, theirs: Any, ours: Any, *, unseen: bool) -> bool:
    if isinstance(theirs, list):
        had, have = before or [], ours if isinstance(ours, list) else []
        if any(item not in had for item in theirs):
            return any(item not in have for item in theirs if item not in had)
    return unseen or bool(ours == before)


def brought_back(store: Store) -> list[str]:
    """`Type/id` of what a client wrote again after a clinician had deleted it: under its old id, or
    anew with an identifier of it."""
    died = {v.key: v.position for v in deletions(store, by="clinician")}
    again = {v.key for v in store.written() if v.resource and died.get(v.key, v.position) < v.position}
    born = {chain[0].key: chain[0].position for chain in store.histories() if chain[0].by == "client"}
    for keys in store.carriers().values():
        end = min((died[key] for key in keys if key in died), default=None)
        again |= {key for key in keys if end is not None and born.get(key, -1) > end}
    return sorted(again)
