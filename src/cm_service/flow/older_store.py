"""Did a store that was lost write to this EMR before this one?

Asked before something is sent that the EMR can neither be searched for nor refuse a second time. What
can be searched about a patient (forms, notes, messages) tells: a thing of ours there that this ledger
does not know is an older store's. Before this store has sent anything in an earlier night, all patients
of whom it wants something are looked at, since one of them may have a care gap and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cm_service.db import ledger
from cm_service.flow.book import Book
from cm_service.flow.rungs.limited import Limited


class OlderStore:
    """For one run of deliveries; what was found is kept with the EMR's connection."""

    def __init__(self, book: Book) -> None:
        self._book, self._began = book, book.pace.clock()
        self._clean: set[str] = set()

    async def wrote(self, row: Any) -> bool:
        with self._book.db.read() as connection:
            if ledger.has_adopted(connection, row.emr):
                return True
        for who in self._whom(row):
            if await self._shows(who):
                with self._book.db.write() as connection:
                    ledger.note_older_store(connection, row.emr, now=self._book.now)
                return True
            self._clean.add(who)
        return False

    def _whom(self, row: Any) -> Iterator[str]:
        yield from {row.patient_id} - self._clean
        with self._book.db.read() as connection:
            rows = ledger.outline(connection, row.emr)
        if not any(each.sent_at is not None and each.sent_at < self._began for each in rows):
            yield from sorted({each.patient_id for each in rows} - self._clean - {row.patient_id})

    async def _shows(self, patient_id: str) -> bool:
        found: set[str] = set()
        for rung in self._book.rungs:
            if isinstance(rung, Limited):
                found |= await rung.values_about(patient_id) or set()
        with self._book.db.read() as connection:
            known = ledger.by_value(connection, self._book.emr, found)
        return bool(found - {row.value for row in known.values() if row.sent_at is not None})
