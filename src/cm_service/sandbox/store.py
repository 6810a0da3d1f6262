"""The sandbox EMR's memory: every version of every resource, with the two indexes that matter.

Tests use it directly, as the EMR's own staff would: `load` what was there before, `clinician_edit`
and `clinician_delete` what people change on the other side, and count what was written.
"""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from cm_service.sandbox.index import SearchIndex
from cm_service.sandbox.versions import Identifier, Version, ever_carried, identifiers, patients
from cm_service.sandbox.wire import Resource, decode, encode, instant


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Store:
    """Thread-safe. `clock` gives an aware instant, `new_id` the ids that the server assigns.

    `clock` may be that of another node at every call (`nodes.py`); then `time` is what time it really is.
    `lateness` says for how many seconds searches do not show what is written, though it is stamped.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], dt.datetime] = _utc_now,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        time: Callable[[], dt.datetime] | None = None,
        lateness: Callable[[], float] | None = None,
    ) -> None:
        self.clock = clock
        self.time = time or (lambda: self.clock())
        self.lateness = lateness
        self.new_id = new_id
        self.journal: list[Version] = []
        self.lives = 0
        self.index = SearchIndex()
        self.shown: dict[tuple[str, str], int] = {}
        self._lock = threading.RLock()
        self._versions: dict[tuple[str, str], list[Version]] = {}
        self._of_type: dict[str, list[Version]] = {}
        self._live: dict[str, dict[str, Version]] = {}
        self._by_patient: dict[tuple[str, str], dict[str, None]] = {}
        self._by_identifier: dict[tuple[str, str], dict[str, None]] = {}
        self._carried: dict[Identifier, dict[tuple[str, str], int]] = {}

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All that is written inside stands, or none of it; nobody else reads or writes meanwhile."""
        with self._lock:
            mark = len(self.journal)
            try:
                yield
            except BaseException:
                while len(self.journal) > mark:
                    self._undo(self.journal.pop())
                raise

    # What was there before, and what people do in the EMR

    def load(self, resources: Iterable[Resource]) -> int:
        """Take resources as they are, ids included, without any check. Returns how many."""
        count = 0
        with self._lock:
            for count, resource in enumerate(resources, 1):  # noqa: B007 - the count is the result
                self.put(resource, type_=resource["resourceType"], id_=resource["id"], by="load")
        return count

    def clear(self) -> None:
        """An empty EMR again: a server costs a test more than a store."""
        with self._lock:
            self.lives += 1  # its minute begins anew: many tests share one clock that stands still
            self.index = SearchIndex()
            for indexed in (self._versions, self._of_type, self._live, self._by_patient):
                indexed.clear()
            self._by_identifier.clear()
            self._carried.clear()
            self.journal.clear()
            self.shown.clear()

    def clinician_edit(self, type_: str, id_: str, change: Callable[[Resource], object]) -> Version:
        """Somebody changes a resource in the EMR's own screens; `change` alters the copy it is given."""
        with self._lock:
            current = self._live[type_][id_]
            resource: Resource = decode(current.body)
            change(resource)
            return self.put(resource, type_=type_, id_=id_, by="clinician")

    def clinician_delete(self, type_: str, id_: str) -> Version:
        return self.delete(type_, id_, by="clinician")

    def release(self, type_: str, id_: str) -> None:
        """Somebody reconciles what a client filed: from now on searches find it."""
        with self._lock:
            self.index.release(type_, id_)

    def hold_index(self, *, requests: int | None = None, until: dt.datetime | None = None) -> None:
        """Searches find nothing newer than this for so many requests, or until a moment."""
        with self._lock:
            self.index.freeze(len(self.journal), requests=requests, until=until)

    # Writing

    def put(
        self,
        resource: Resource,
        *,
        type_: str,
        id_: str,
        method: str = "PUT",
        by: str = "client",
        sent: Resource | None = None,
    ) -> Version:
        """A new version, the first or the next; meta.versionId and meta.lastUpdated are ours."""
        with self._lock:
            number = len(self._versions.get((type_, id_), ())) + 1
            now = self.clock().astimezone(dt.UTC)
            meta = {**resource.get("meta", {}), "versionId": str(number), "lastUpdated": instant(now)}
            kept = {k: v for k, v in resource.items() if k not in ("resourceType", "id", "meta")}
            stamped = {"resourceType": type_, "id": id_, "meta": meta, **kept}
            body, place = encode(stamped), len(self.journal)
            knew = self.shown.get((type_, id_), 0)
            version = Version(type_, id_, number, now, method, by, stamped, body, sent, place, knew)
            self._append(version)
            return version

    def delete(self, type_: str, id_: str, *, by: str = "client") -> Version:
        """Raises KeyError for what is not there (any more)."""
        with self._lock:
            number = self._live[type_][id_].number + 1
            now = self.clock().astimezone(dt.UTC)
            place, knew = len(self.journal), self.shown.get((type_, id_), 0)
            version = Version(type_, id_, number, now, "DELETE", by, None, b"", None, place, knew)
            self._append(version)
            return version

    # Reading

    def current(self, type_: str, id_: str) -> Version | None:
        """The newest version, which may be a deletion; None for what never was."""
        with self._lock:
            chain = self._versions.get((type_, id_))
            return chain[-1] if chain else None

    def exists(self, key: str) -> bool:
        """Is `Type/id` here and not deleted?"""
        type_, _, id_ = key.partition("/")
        with self._lock:
            return id_ in self._live.get(type_, {})

    def history(self, type_: str, id_: str) -> list[Version]:
        """Oldest first; empty for what never was."""
        with self._lock:
            return list(self._versions.get((type_, id_), []))

    def histories(self) -> list[list[Version]]:
        """Every resource's versions, oldest first."""
        with self._lock:
            return [list(chain) for chain in self._versions.values()]

    def changes(self, type_: str, *, since: dt.datetime | None) -> list[Version]:
        """All versions of one type that are stamped so late, deletions too, the newest first; without what
        searches do not show yet."""
        with self._lock:
            now = self.time()
            return [
                version
                for version in reversed(self._of_type.get(type_, ()))
                if (since is None or version.updated >= since) and self.index.is_out(version, now=now)
            ]

    def live(self, type_: str) -> list[Version]:
        """Everything of one type, in the order in which it first came."""
        with self._lock:
            return list(self._live.get(type_, {}).values())

    def of_patient(self, type_: str, patient: str) -> list[Version]:
        """What points to `Patient/id` as its subject."""
        return self._indexed(self._by_patient, type_, patient)

    def with_identifier(self, type_: str, value: str, *, system: str | None = None) -> list[Version]:
        """What carries this identifier now (any system if None)."""
        found = self._indexed(self._by_identifier, type_, value)
        return [v for v in found if system is None or (system, value) in identifiers(v)]

    def count_identifier(self, type_: str, system: str, value: str, *, ever: bool = False) -> int:
        """How many resources carry this identifier; `ever`: or carried it once, deleted ones too."""
        if not ever:
            return len(self.with_identifier(type_, value, system=system))
        with self._lock:
            return sum(kind == type_ for kind, _ in self._carried.get((system, value), ()))

    def seen(self, version: Version, *, held: bool = False, lag_seconds: float = 0.0) -> Version | None:
        """The version that a search finds for a resource, which may be an older one, or none yet."""
        before = self.clock() - dt.timedelta(seconds=lag_seconds) if lag_seconds else None
        chain = self._versions[(version.type, version.id)]
        return self.index.seen(chain, now=self.time(), held=held, before=before)

    def carriers(self) -> dict[tuple[str, str], list[str]]:
        """Identifier -> `Type/id` of all, dead ones too, that ever carried it or were sent with it.

        What the EMR strips or drops counts, so that two copies are two whatever they look like.
        """
        with self._lock:
            known = self._carried.items()
            return {
                (i[0] or "", i[1]): [f"{type_}/{id_}" for type_, id_ in keys] for i, keys in known if keys
            }

    def show(self, versions: Iterable[Version]) -> None:
        """A client has received these: from now on it cannot say that it did not know."""
        with self._lock:
            for version in versions:
                key = (version.type, version.id)
                self.shown[key] = max(version.number, self.shown.get(key, 0))

    def written(self, *, by: str = "client") -> list[Version]:
        """Every version that came from outside, in order: what the EMR has seen of its clients."""
        with self._lock:
            return [version for version in self.journal if version.by == by]

    # Bookkeeping: the journal is also the undo log of `atomic`

    def _append(self, version: Version) -> None:
        chain = self._versions.setdefault((version.type, version.id), [])
        self._replace(chain[-1] if chain else None, version)
        chain.append(version)
        self._of_type.setdefault(version.type, []).append(version)
        self.journal.append(version)
        if self.lateness is not None:
            self.index.hide(version.position, self.time() + dt.timedelta(seconds=self.lateness()))
        for identifier in ever_carried(version):
            keys = self._carried.setdefault(identifier, {})
            keys[(version.type, version.id)] = keys.get((version.type, version.id), 0) + 1

    def _undo(self, version: Version) -> None:
        chain = self._versions[(version.type, version.id)]
        chain.pop()
        self._of_type[version.type].pop()
        self.index.forget(version.position)
        self._replace(version, chain[-1] if chain else None)
        for identifier in ever_carried(version):
            keys = self._carried[identifier]
            keys[(version.type, version.id)] -= 1
            if not keys[(version.type, version.id)]:
                del keys[(version.type, version.id)]
        if not chain:
            del self._versions[(version.type, version.id)]

    def _replace(self, old: Version | None, new: Version | None) -> None:
        if old is not None and old.resource is not None:
            for index, key in self._index_keys(old):
                index[key].pop(old.id, None)
            if new is None or new.resource is None:
                del self._live[old.type][old.id]
        if new is not None and new.resource is not None:
            for index, key in self._index_keys(new):
                index.setdefault(key, {})[new.id] = None
            self._live.setdefault(new.type, {})[new.id] = new

    def _index_keys(
        self, version: Version
    ) -> Iterator[tuple[dict[tuple[str, str], dict[str, None]], tuple[str, str]]]:
        for _, value in identifiers(version):
            yield self._by_identifier, (version.type, value)
        for patient in patients(version):
            yield self._by_patient, (version.type, patient)

    def _indexed(
        self, index: dict[tuple[str, str], dict[str, None]], type_: str, value: str
    ) -> list[Version]:
        with self._lock:
            return [self._live[type_][id_] for id_ in index.get((type_, value), ())]
