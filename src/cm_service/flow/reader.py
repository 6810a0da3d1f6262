"""One patient's lines -> the bytes of the record, and what they lead to: the part of a night that needs
no store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cm_service.flow import record
from cm_service.flow.judge import Judge, Verdict
from cm_service.flow.passport.stays import newest_stay
from cm_service.flow.people import Facts, replaced_by
from cm_service.flow.sieve import Reading
from cm_service.flow.sieve.gather import Failed, Gathered


class Read(NamedTuple):
    """One patient as read; no facts where nothing could be used. `verdict` is None where it depends on
    what the store holds."""

    patient_id: str
    facts: Facts
    encoded: bytes
    digest: str
    replaced_by: str | None
    holes: tuple[str, ...]
    last_stay: str  # the newest day of one, "" for none
    verdict: Verdict | None


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

    def patients(self) -> Iterator[Read]:
        for who, found in self.reading.gathered():
            yield self._read(who, found)

    def _read(self, who: str, found: Gathered) -> Read:
        encoded = record.encode(found.facts)
        holes = tuple(sorted(_holes(found.failed).union(self.holes.get(who, ()))))
        return Read(
            who,
            found.facts,
            encoded,
            record.digest_of(encoded),
            replaced_by(who, found.facts),
            holes,
            newest_stay(found.facts.values(), today=self.today),
            None if self.judge is None or who in self.waits else self.judge.foresee(who, found.facts, holes),
        )


def _holes(failed: list[Failed]) -> set[str]:
    return {kind for reject, _ in failed if reject.is_hole for kind in reject.types}
