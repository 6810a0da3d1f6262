"""Facts -> one record per patient in the store: replaced resource by resource, deletions seen, and a
guard against the mass deletion that is really a lost scope or a failed search.

A type that was read to its last page replaces what was held of it; any other type only adds and
updates. A resource that changed its subject leaves the old record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from cm_service.db import care, sync
from cm_service.db.engine import Database
from cm_service.db.sync import Held
from cm_service.flow import record
from cm_service.flow.people import Facts, replaced_by, survivor_of
from cm_service.rules.facts import AnyFact, PlaceFact

BATCH = 50
GUARD_COUNT, GUARD_SHARE = 20, 0.05
PLACES = frozenset({"Location", "Organization"})


class Stored(NamedTuple):
    """`held_back` are types of which so much was missing that nothing was removed."""

    changed: int
    removed: int
    held_back: frozenset[str]


class Store:
    """Takes one reading into the store. `replaces` are the types whose absence means deletion."""

    def __init__(
        self,
        db: Database,
        emr: str,
        *,
        replaces: frozenset[str],
        holes: Mapping[str, Iterable[str]],
        progress: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.db, self.emr, self.replaces = db, emr, replaces
        self.holes, self.progress = holes, progress
        with db.read() as connection:
            self.held = sync.held_records(connection, emr)
            self.before = sync.count_by_type(connection, emr)
        self.seen: set[str] = set()  # resource keys, to tell a move from a deletion
        self.visited: set[str] = set()
        self.missing: dict[str, set[str]] = {}  # patient -> keys that were held and not read
        self.links: dict[str, str | None] = {}
        self.changed: set[str] = set()

    def take(self, patients: Iterable[tuple[str, Facts]], places: Mapping[str, PlaceFact]) -> Stored:
        """Everything read, in batches of one short transaction each."""
        self._places(places)
        batch: list[tuple[str, Facts]] = []
        for item in patients:
            batch.append(item)
            if len(batch) == BATCH:
                self._save(batch)
                batch = []
        self._save(batch)
        held_back = self._remove()
        self._merge()
        return Stored(len(self.changed), self._removed, held_back)

    def _save(self, batch: list[tuple[str, Facts]]) -> None:
        """Add and update; what was held and not read is only noted here."""
        known = [who for who, _ in batch if who in self.held]
        with self.db.write() as connection:
            olds = sync.load_facts(connection, self.emr, self._to_compare(known, batch))
            rows: list[dict[str, Any]] = []
            owned: list[tuple[str, str]] = []
            for who, facts in batch:
                self.visited.add(who)
                self.seen.update(facts)
                merged = facts
                if who in olds:
                    old = record.decode(olds[who])
                    gone = old.keys() - facts.keys()
                    if gone:
                        self.missing[who] = {key for key in gone if self._replaced(key)}
                        merged = {**{key: old[key] for key in gone}, **facts}
                    owned.extend((key, who) for key in facts.keys() - old.keys())
                elif who not in self.held:
                    owned.extend((key, who) for key in facts)
                self._row(rows, who, merged)
            self._take_from_others(connection, owned)
            sync.save_records(connection, rows)
            sync.own(connection, self.emr, owned)
        self.progress(f"{len(self.visited)} patients")

    def _to_compare(self, known: list[str], batch: list[tuple[str, Facts]]) -> list[str]:
        """Whose stored facts must be decoded: those whose record is not byte for byte the same."""
        facts_of = dict(batch)
        return [who for who in known if record.digest(facts_of[who]) != self.held[who].digest]

    def _row(self, rows: list[dict[str, Any]], who: str, facts: Facts) -> None:
        holes = tuple(sorted(self.holes.get(who, ())))
        own = record.digest(facts)
        link = replaced_by(who, facts)
        self.links[who] = link
        held = self.held.get(who)
        if held is not None and held.digest == own and held.holes == holes:
            return
        self.changed.add(who)
        survivor = link or who
        self.held[who] = Held(held.survivor if held else survivor, own, holes)
        rows.append(
            {
                "emr": self.emr,
                "patient_id": who,
                "survivor": survivor,
                "facts": record.encode(facts),
                "digest": own,
                "holes": list(holes),
                "due": True,
                "stable_until": None,
                "evaluated_by": "",
            }
        )

    def _take_from_others(self, connection: sa.Connection, owned: list[tuple[str, str]]) -> None:
        """A resource that came under another patient before leaves that record at once."""
        if not self.before:
            return
        now = dict(owned)
        for key, before in sync.owners(connection, self.emr, now).items():
            if before != now[key]:
                self.missing.setdefault(before, set()).add(key)

    def _replaced(self, key: str) -> bool:
        return key.partition("/")[0] in self.replaces

    # --- what is gone ---------------------------------------------------------------------------

    _removed = 0

    def _remove(self) -> frozenset[str]:
        """Take what was not read any more out of its records, unless too much of a type is missing."""
        for who in self.held.keys() - self.visited:
            self._note_absent(who)
        lost = Counter(
            key.partition("/")[0] for keys in self.missing.values() for key in keys if key not in self.seen
        )
        held_back = frozenset(
            kind for kind, count in lost.items() if count > max(GUARD_COUNT, GUARD_SHARE * self.before[kind])
        )
        for who, keys in sorted(self.missing.items()):
            going = {k for k in keys if k in self.seen or k.partition("/")[0] not in held_back}
            if going:
                self._take_out(who, going)
        return held_back

    def _note_absent(self, who: str) -> None:
        with self.db.read() as connection:
            facts = record.decode(sync.load_facts(connection, self.emr, [who])[who])
        self.links[who] = replaced_by(who, facts)
        gone = {key for key in facts if self._replaced(key)}
        if gone:
            self.missing.setdefault(who, set()).update(gone)

    def _take_out(self, who: str, keys: set[str]) -> None:
        with self.db.write() as connection:
            old = record.decode(sync.load_facts(connection, self.emr, [who])[who])
            left = {key: fact for key, fact in old.items() if key not in keys}
            sync.disown(connection, self.emr, keys - self.seen)
            if not left:
                sync.drop_records(connection, self.emr, [who])
                care.drop_decisions(connection, self.emr, [who])
                self.held.pop(who), self.links.pop(who, None)
            else:
                rows: list[dict[str, Any]] = []
                self._row(rows, who, left)
                sync.save_records(connection, rows)
        self._removed += len(keys - self.seen)

    # --- merges and places ----------------------------------------------------------------------

    def _merge(self) -> None:
        """Point every record at its survivor, and make both old and new groups due."""
        moved: dict[str, str] = {}
        for who in self.held:
            survivor = survivor_of(who, self.links)
            if self.links.get(who) is not None or survivor != self.held[who].survivor:
                moved[who] = survivor
        with self.db.write() as connection:
            touched = set(moved.values()) | {self.held[who].survivor for who in moved}
            unchanged = all(self.held[who].survivor == survivor for who, survivor in moved.items())
            sync.set_survivors(connection, self.emr, moved)
            groups = {survivor_of(who, self.links) for who in self.changed if who in self.held}
            care.mark_due(connection, self.emr, groups if unchanged else groups | touched)

    def _places(self, places: Mapping[str, PlaceFact]) -> None:
        """Shared resources: a change marks the patients whose facts point to them."""
        fresh: dict[str, AnyFact] = dict(places)
        encoded = {key: record.encode_one(fact) for key, fact in fresh.items()}
        with self.db.write() as connection:
            held = sync.held_places(connection, self.emr)
            changed = {key for key, fact in encoded.items() if held.get(key) != fact}
            gone = {key for key in held.keys() - encoded.keys() if self._replaced(key)}
            sync.save_places(connection, self.emr, [(key, encoded[key]) for key in changed])
            guarded = len(gone) > max(GUARD_COUNT, GUARD_SHARE * len(held))
            if not guarded:
                sync.drop_places(connection, self.emr, gone)
            touched = changed if guarded else changed | gone
            if touched and self.held:
                users = sync.users_of_places(connection, self.emr, touched)
                care.mark_due(connection, self.emr, users)
