"""Facts -> one record per patient in the store, and at once the judgement of whoever changed.

A type that was read to its last page replaces what was held of it (`vanished.py`); any other type
only adds and updates. Record, decisions and intents of a patient go into one transaction.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from cm_service.db import approvals, care, ledger, sync, worklist
from cm_service.db.engine import Database
from cm_service.db.sync import Held
from cm_service.flow import record
from cm_service.flow.judge import Group, Judge, Night, Verdict
from cm_service.flow.normalise import OWNED
from cm_service.flow.people import Facts, replaced_by, survivor_of
from cm_service.flow.places import store_places
from cm_service.flow.reader import Read, Reader
from cm_service.flow.sieve import Reading
from cm_service.flow.vanished import Vanished

BATCH = 150  # patients per transaction: short enough to block nobody, long enough to be quick
Item = TypeVar("Item")


class Stored(NamedTuple):
    """`held_back` says of which types so many were missing that nothing was removed; `counts` adds up who
    was judged at once; `last_stay` is the newest day of a stay that was read; `departed` are the patients
    whom the EMR has deleted since."""

    changed: int
    removed: int
    held_back: Mapping[str, int]
    counts: Counter[str]
    last_stay: str
    departed: frozenset[str] = frozenset()


class Entry(NamedTuple):
    """One patient of a batch: the facts that the record is to hold, and its bytes."""

    patient_id: str
    facts: Facts
    encoded: bytes
    digest: str
    whole: bool  # nothing is held that was not read
    verdict: Verdict | None = None


class Store:
    """Takes one reading into the store. `replaces` are the types whose absence means deletion, for the
    patients in `whole_for` where a type stands there; `deleted` are `Type/id` gone by the EMR's own word,
    `entangled` the patient ids that a merge joins: they are judged when all have been read. With `only`,
    nothing is taken for any other patient."""

    def __init__(
        self,
        db: Database,
        night: Night,
        *,
        replaces: frozenset[str],
        holes: Mapping[str, frozenset[str]],
        whole_for: Mapping[str, frozenset[str]] | None = None,
        deleted: frozenset[str] = frozenset(),
        entangled: frozenset[str] = frozenset(),
        only: frozenset[str] | None = None,
    ) -> None:
        self.db, self.night, self.emr = db, night, night.emr
        self.holes = holes
        with db.read() as connection:
            held = sync.held_records(connection, self.emr)
            before = sync.count_by_type(connection, self.emr)
            approved = approvals.of_emr(connection, self.emr)
            self.losers = set(sync.owners(connection, self.emr, deleted).values())
        self.only = only
        self.held = {who: each for who, each in held.items() if only is None or who in only}
        self.vanished = Vanished(replaces, before, whole_for or {}, approved, deleted)
        merged = {who for who, held in self.held.items() if held.survivor != who}
        self.entangled = entangled | merged | {self.held[who].survivor for who in merged}
        self.links: dict[str, str | None] = {}
        self.changed: set[str] = set()
        self.departed: set[str] = set()
        self.last_stay = ""
        self.by = night.evaluated_by

    def take(self, reading: Reading) -> Stored:
        """Everything read, in batches of one short transaction each."""
        known = store_places(self.db, self.emr, reading.places, replaces=self.vanished.replaces)
        judge = Judge(self.night, known)
        waits = self.entangled | self.held.keys()
        today = self.night.as_of.astimezone(self.night.zone).date()
        if_kept = judge if self.night.store else None
        reader = Reader(reading, if_kept, today=today, holes=self.holes, waits=waits)
        for batch in _batches(self._usable(reader.patients()), BATCH):
            self._save(batch, judge)
        self._note_holes()
        self._remove()
        self._merge()
        found = self.vanished
        return Stored(
            len(self.changed),
            found.removed,
            found.held_back,
            judge.counts,
            self.last_stay,
            frozenset(self.departed),
        )

    def _usable(self, patients: Iterable[Read]) -> Iterator[Read]:
        """Whoever has facts and is meant."""
        for read in patients:
            if read.facts and (self.only is None or read.patient_id in self.only):
                yield read

    def _save(self, batch: list[Read], judge: Judge) -> None:
        """Add and update; what was held and not read is only noted here."""
        with self.db.write() as connection:
            entries = self._entries(connection, batch)
            good = self._judge(connection, entries, judge)
            sync.save_records(connection, [self._row(entry, good) for entry in entries])
        self.night.progress(f"{len(self.vanished.visited)} patients read")

    def _entries(self, connection: sa.Connection, batch: list[Read]) -> list[Entry]:
        """The batch's records that differ from what is held."""
        changed = [read for read in batch if not self._is_held(read.patient_id, read.digest)]
        held = [read.patient_id for read in changed if read.patient_id in self.held]
        olds = sync.load_facts(connection, self.emr, held)
        entries, owned = [], list[tuple[str, str]]()
        for read in batch:
            self.vanished.saw(read.patient_id, read.facts)
            self.links[read.patient_id] = read.replaced_by
            self.last_stay = max(self.last_stay, read.last_stay)
        for read in changed:
            who = read.patient_id
            old = record.decode(olds[who]) if who in olds else {}
            owned.extend((key, who) for key in read.facts if key not in old)
            entry = self._entry(read, old)
            if not self._is_held(who, entry.digest):
                entries.append(entry)
        self._move(connection, owned)
        return entries

    def _entry(self, read: Read, old: Facts) -> Entry:
        """As read, with what is held and was not read."""
        who, verdict = read.patient_id, read.verdict if read.holes == self._holes(read.patient_id) else None
        kept = self.vanished.kept(who, old, read.facts) if old else {}
        later = self.vanished.newer(who, old, read.facts) if old else {}
        if not kept and not later:
            return Entry(who, read.facts, read.encoded, read.digest, True, verdict)
        facts = {**kept, **read.facts, **later}
        return Entry(who, facts, *_encoded(facts), False)

    def _is_held(self, who: str, digest: str) -> bool:
        held = self.held.get(who)
        return held is not None and (held.digest, held.holes) == (digest, self._holes(who))

    def _holes(self, who: str) -> tuple[str, ...]:
        return tuple(sorted(self.holes.get(who, ())))

    def _judge(
        self, connection: sa.Connection, entries: list[Entry], judge: Judge
    ) -> dict[str, dt.datetime | None]:
        """Decisions in the same transaction, for those who stand alone and are fully known by now."""
        if not self.night.store:
            return {}
        ready = [e for e in entries if e.whole and e.patient_id not in self.entangled]
        groups = [
            Group(e.patient_id, {e.patient_id: e.facts}, {e.patient_id: self._holes(e.patient_id)}, e.verdict)
            for e in ready
        ]
        return judge.judge(connection, groups) if groups else {}

    def _row(self, entry: Entry, good: Mapping[str, dt.datetime | None]) -> dict[str, Any]:
        who, holes = entry.patient_id, self._holes(entry.patient_id)
        self.changed.add(who)
        survivor = self.held[who].survivor if who in self.held else who
        self.held[who] = Held(survivor, entry.digest, holes)
        return {
            "emr": self.emr,
            "patient_id": who,
            "survivor": survivor,
            "facts": entry.encoded,
            "digest": entry.digest,
            "holes": list(holes),
            "due": who not in good,
            "stable_until": good.get(who),
            "evaluated_by": self.by if who in good else "",
        }

    def _move(self, connection: sa.Connection, owned: list[tuple[str, str]]) -> None:
        """A resource that came under another patient before leaves that record."""
        if self.vanished.before:
            now = dict(owned)
            for key, before in sync.owners(connection, self.emr, now).items():
                if before != now[key]:
                    self.vanished.moved(before, key)
        sync.own(connection, self.emr, owned)
        came = [who for key, who in owned if key == f"Patient/{who}"]
        ledger.unpark_of(connection, self.emr, came, now=self.night.as_of)

    def _note_holes(self) -> None:
        """Whose record was not read anew may still lack what could not be read of it."""
        changed = {
            who: self._holes(who)
            for who, held in self.held.items()
            if who not in self.vanished.visited and held.holes != self._holes(who)
        }
        for who, holes in changed.items():
            self.held[who] = self.held[who]._replace(holes=holes)
        with self.db.write() as connection:
            sync.set_holes(connection, self.emr, changed)

    def _remove(self) -> None:
        """Take what was not read any more out of its records."""
        unread = sorted(
            who
            for who in self.held.keys() - self.vanished.visited
            if self.vanished.replaces & OWNED.keys() or self.held[who].survivor != who or who in self.losers
        )
        for part in sync.chunks(unread):
            with self.db.read() as connection:
                found = sync.load_facts(connection, self.emr, part)
            for who, encoded in found.items():
                facts = record.decode(encoded)
                self.links[who] = replaced_by(who, facts)
                self.vanished.kept(who, facts, {})
        for who, keys in self.vanished.going():
            self._take_out(who, keys)
        with self.db.write() as connection:
            approvals.used(connection, self.emr, self.vanished.replaces)

    def _take_out(self, who: str, keys: set[str]) -> None:
        with self.db.write() as connection:
            old = record.decode(sync.load_facts(connection, self.emr, [who])[who])
            left = {key: fact for key, fact in old.items() if key not in keys}
            sync.disown(connection, self.emr, keys - self.vanished.seen)
            if f"Patient/{who}" not in left:
                self._let_go(connection, who, had=f"Patient/{who}" in old)
            if left:
                sync.save_records(connection, [self._row(Entry(who, left, *_encoded(left), True), {})])
            else:
                sync.drop_records(connection, self.emr, [who])
                self.held.pop(who)
        self.links[who] = replaced_by(who, left)

    def _let_go(self, connection: sa.Connection, who: str, *, had: bool) -> None:
        """Without a Patient nobody is judged. What we wrote stays as it is: whether it was a merge, a
        mistake or a duplicate only a person can say."""
        care.drop_decisions(connection, self.emr, [who])
        worklist.drop(connection, self.emr, [who])
        ledger.park_of(connection, self.emr, who, now=self.night.as_of)
        if had:
            self.departed.add(who)

    def _merge(self) -> None:
        """Point every record at its survivor, and make both old and new groups due."""
        moved = {
            who: survivor
            for who, held in self.held.items()
            if (survivor := survivor_of(who, self.links)) != held.survivor
        }
        touched = set(moved.values()) | {self.held[who].survivor for who in moved}
        touched |= {survivor_of(who, self.links) for who in self.changed & self.entangled}
        with self.db.write() as connection:
            sync.set_survivors(connection, self.emr, moved)
            care.mark_due(connection, self.emr, touched)


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def _encoded(facts: Facts) -> tuple[bytes, str]:
    encoded = record.encode(facts)
    return encoded, record.digest_of(encoded)
