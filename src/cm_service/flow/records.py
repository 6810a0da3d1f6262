"""Facts -> one record per patient in the store, and at once the judgement of whoever changed.

A type that was read to its last page replaces what was held of it (`vanished.py`); any other type
only adds and updates. Record, decisions and intents of a patient go into one transaction.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from cm_service.db import care, sync
from cm_service.db.engine import Database
from cm_service.db.sync import Held
from cm_service.flow import record
from cm_service.flow.judge import Group, Judge, Night
from cm_service.flow.people import Facts, replaced_by, survivor_of
from cm_service.flow.places import store_places
from cm_service.flow.vanished import Vanished
from cm_service.rules.facts import PlaceFact

BATCH = 150  # patients per transaction: short enough to block nobody, long enough to be quick


class Stored(NamedTuple):
    """`held_back` are types of which so much was missing that nothing was removed; `counts` adds up
    who was judged at once."""

    changed: int
    removed: int
    held_back: frozenset[str]
    counts: Counter[str]


class Entry(NamedTuple):
    """One patient of a batch: the facts that the record is to hold, and its bytes."""

    patient_id: str
    facts: Facts
    encoded: bytes
    digest: str
    whole: bool  # nothing is held that was not read


class Store:
    """Takes one reading into the store. `replaces` are the types whose absence means deletion, for the
    patients in `of_whom` where a type stands there; `entangled` the patient ids that a merge joins: they
    are judged when all have been read."""

    def __init__(
        self,
        db: Database,
        night: Night,
        *,
        replaces: frozenset[str],
        holes: Mapping[str, Iterable[str]],
        of_whom: Mapping[str, frozenset[str]] | None = None,
        entangled: frozenset[str] = frozenset(),
    ) -> None:
        self.db, self.night, self.emr = db, night, night.emr
        self.holes = holes
        with db.read() as connection:
            self.held = sync.held_records(connection, self.emr)
            before = sync.count_by_type(connection, self.emr)
        self.vanished = Vanished(replaces, before, of_whom or {})
        merged = {who for who, held in self.held.items() if held.survivor != who}
        self.entangled = entangled | merged | {self.held[who].survivor for who in merged}
        self.links: dict[str, str | None] = {}
        self.changed: set[str] = set()
        self.by = night.evaluated_by

    def take(self, patients: Iterable[tuple[str, Facts]], places: Mapping[str, PlaceFact]) -> Stored:
        """Everything read, in batches of one short transaction each."""
        known = store_places(self.db, self.emr, places, replaces=self.vanished.replaces)
        judge = Judge(self.night, known)
        batch: list[tuple[str, Facts]] = []
        for item in patients:
            batch.append(item)
            if len(batch) == BATCH:
                self._save(batch, judge)
                batch = []
        self._save(batch, judge)
        self._note_holes()
        self._remove()
        self._merge()
        found = self.vanished
        return Stored(len(self.changed), found.removed, found.held_back, judge.counts)

    def _save(self, batch: list[tuple[str, Facts]], judge: Judge) -> None:
        """Add and update; what was held and not read is only noted here."""
        with self.db.write() as connection:
            entries = self._entries(connection, batch)
            good = self._judge(connection, entries, judge)
            sync.save_records(connection, [self._row(entry, good) for entry in entries])
        self.night.progress(f"{len(self.vanished.visited)} patients read")

    def _entries(self, connection: sa.Connection, batch: list[tuple[str, Facts]]) -> list[Entry]:
        """The batch's records that differ from what is held."""
        fresh = [(who, facts, *_encoded(facts)) for who, facts in batch]
        changed = [item for item in fresh if not self._is_held(item[0], item[3])]
        olds = sync.load_facts(connection, self.emr, [who for who, *_ in changed if who in self.held])
        entries, owned = [], list[tuple[str, str]]()
        for who, facts in batch:
            self.vanished.saw(who, facts)
            self.links[who] = replaced_by(who, facts)
        for who, facts, encoded, digest in changed:
            old = record.decode(olds[who]) if who in olds else {}
            owned.extend((key, who) for key in facts.keys() - old.keys())
            kept = self.vanished.kept(who, old, facts)
            if kept:
                facts = {**kept, **facts}
                encoded, digest = _encoded(facts)
            if not self._is_held(who, digest):
                entries.append(Entry(who, facts, encoded, digest, not kept))
        self._move(connection, owned)
        return entries

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
            Group(e.patient_id, {e.patient_id: e.facts}, {e.patient_id: self._holes(e.patient_id)})
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
            if self.vanished.replaces or self.held[who].survivor != who
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

    def _take_out(self, who: str, keys: set[str]) -> None:
        with self.db.write() as connection:
            old = record.decode(sync.load_facts(connection, self.emr, [who])[who])
            left = {key: fact for key, fact in old.items() if key not in keys}
            sync.disown(connection, self.emr, keys - self.vanished.seen)
            if f"Patient/{who}" not in left:
                care.drop_decisions(connection, self.emr, [who])
            if left:
                sync.save_records(connection, [self._row(Entry(who, left, *_encoded(left), True), {})])
            else:
                sync.drop_records(connection, self.emr, [who])
                self.held.pop(who)
        self.links[who] = replaced_by(who, left)

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


def _encoded(facts: Facts) -> tuple[bytes, str]:
    encoded = record.encode(facts)
    return encoded, record.digest_of(encoded)
