"""One patient's lines -> the bytes of the record, and what they lead to: the part of a night that needs
no store, so that another process can do it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from cm_service.flow import record
from cm_service.flow.judge import Judge, Verdict
from cm_service.flow.passport.stays import newest_stay
from cm_service.flow.people import Facts, replaced_by
from cm_service.flow.sieve import Reading
from cm_service.flow.sieve.gather import Failed, Gathered, Row
from cm_service.rules.facts import AnyFact


class Encoded(Mapping[str, AnyFact]):
    """Facts that are decoded when somebody looks at them, which mostly nobody does."""

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded

    @cached_property
    def _facts(self) -> dict[str, AnyFact]:
        return record.decode(self.encoded)

    def __getitem__(self, key: str) -> AnyFact:
        return self._facts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)


class Read(NamedTuple):
    """One patient as read. `keys` are the `Type/id` of the facts, none where nothing could be used;
    `found` holds what to note (its facts are in `encoded`); `verdict` is None where it depends on what
    the store holds."""

    patient_id: str
    keys: tuple[str, ...]
    encoded: bytes
    digest: str
    replaced_by: str | None
    holes: tuple[str, ...]
    last_stay: str  # the newest day of one, "" for none
    found: Gathered
    verdict: Verdict | None

    @property
    def facts(self) -> Facts:
        return Encoded(self.encoded)


class Reader:
    """Reads for a night whose `judge` (None: nobody is judged) knows everything but the patients; `holes`
    are those known before the lines are read. Whoever is in `waits` is not judged yet."""

    def __init__(
        self,
        reading: Reading,
        judge: Judge | None,
        *,
        today: dt.date,
        holes: Mapping[str, frozenset[str]],
        waits: frozenset[str],
    ) -> None:
        self.today = today
        self.reading, self.judge, self.holes, self.waits = reading, judge, holes, waits

    def read_all(self, patients: list[tuple[str, list[Row]]]) -> list[Read]:
        return [self._read(who, rows) for who, rows in patients]

    def _read(self, who: str, rows: list[Row]) -> Read:
        found = self.reading.read(who, rows)
        encoded = record.encode(found.facts)
        holes = tuple(sorted(_holes(found.failed).union(self.holes.get(who, ()))))
        return Read(
            who,
            tuple(found.facts),
            encoded,
            record.digest_of(encoded),
            replaced_by(who, found.facts),
            holes,
            newest_stay(found.facts.values(), today=self.today),
            found._replace(facts={}),
            None if self.judge is None or who in self.waits else self.judge.foresee(who, found.facts, holes),
        )


def _holes(failed: list[Failed]) -> set[str]:
    return {kind for reject, _ in failed if reject.is_hole for kind in reject.types}
