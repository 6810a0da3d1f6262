"""What became of a write whose answer was lost? Found out by reading, never by sending again.

"Not found" is believed only where this EMR's searches were seen to show fresh writes, a quiet time
after the request, twice with a quiet time between the two, and only while the same search still shows
another thing that is known to be there: a scope that was lost finds nothing, too. The quiet time is
also what lies between the two looks, because a lag that one of them fell into is one that may take as
long as the other wait: an index that is later than the quiet time in both is not "fresh" at all.
"""

from __future__ import annotations

from typing import Any

from cm_service.db import ledger
from cm_service.errors import DeliveryStopped, EmrError, EmrRefused, EmrUnreachable
from cm_service.flow import whose
from cm_service.flow.book import Book
from cm_service.flow.ours import Json
from cm_service.flow.passport import State

GONE = frozenset({404, 410})
DELETED = "somebody deleted it in the EMR"
_AND = "; looked up: "
_NO_SEARCH = "nothing to search by here: a person must look (`ledger resolve`)"
_TANK = "this EMR hides fresh writes from searches: a person must look (`ledger resolve`)"
_UNPROVEN = "not found, but it is not proven that a search here shows fresh writes (`ledger resolve`)"
_BLIND = "not found, but neither is another one that is known to be there: was a scope lost?"
_ONCE = "not found once; it is sent again if a second look agrees"


class LookUp:
    """Resolves unknown rows of one book."""

    def __init__(self, book: Book) -> None:
        self._book = book

    async def look_up(self, intent_id: int, *, sent_tonight: bool = False) -> None:
        """Find out what became of it. Where the EMR does not let us look, it stays as it is."""
        row = self._book.row(intent_id)
        try:
            if row.reference is not None:
                await self._reread(row, sent_tonight=sent_tonight)
            elif not (found := await self.find(row, sent_tonight=sent_tonight)) and row.state == "unknown":
                await self._missed(row, can_search=found is not None)
        except EmrUnreachable as error:
            raise DeliveryStopped(str(error)) from error
        except EmrError as error:
            self._because(row, f"it could not be looked up: {error}")

    async def find(self, row: Any, *, sent_tonight: bool = False) -> bool | None:
        """Search for it. One copy: it is taken as it is. Several: a person must choose. False: there is
        none to be seen; None: this cannot be asked here."""
        found = await self._book.rung(row).find(row)
        if found is None:
            return None
        if len(found) > 1:
            self._book.move(row, state="parked", reason=_copies(found))
        elif found and self._book.take(row, found[0]) and sent_tonight:
            self._book.count(row)
        return bool(found)

    async def _missed(self, row: Any, *, can_search: bool) -> None:
        """No search shows it: it goes again only where that proves that it never arrived."""
        why = self._doubt(row, can_search=can_search)
        clock, quiet = self._book.pace.clock(), self._book.pace.quiet
        if why is None and row.sent_at is not None and clock - row.sent_at < quiet:
            return
        if why is None and not await self._sees_others(row):
            why = _BLIND
        if why is not None:
            self._because(row, why)
        elif row.missed_at is None:
            self._book.move(row, missed_at=clock, reason=_reason(row, _ONCE))
        elif clock - row.missed_at >= quiet:
            self._book.move(row, state="pending", sent_at=None, missed_at=None, reason=None)

    def _doubt(self, row: Any, *, can_search: bool) -> str | None:
        """Why "not found" says nothing in this EMR."""
        kind = self._book.rung(row).type_of(row)
        if kind in self._book.profile.holding_tank:
            return _TANK
        if not can_search:
            return _NO_SEARCH
        proven = self._book.passport.sees_fresh_writes(kind) == State.PROVEN
        return None if proven else _UNPROVEN

    async def _sees_others(self, row: Any) -> bool:
        with self._book.db.read() as connection:
            other = ledger.sighted(connection, row)
        if other is None:
            return False
        found = await self._book.rung(other).find(other)
        return any(f"{each['resourceType']}/{each.get('id')}" == other.reference for each in found or [])

    async def _reread(self, row: Any, *, sent_tonight: bool) -> None:
        """An update whose answer was lost has arrived, or goes again with the version that guards it."""
        try:
            held = await self._book.rung(row).read(row, row.reference.partition("/")[2])
        except EmrRefused as refusal:
            if refusal.status not in GONE:
                raise
            self._book.move(row, state="written", deleted=True, reason=DELETED)
            return
        arrived = self._book.take(row, held.resource)
        if arrived and sent_tonight and row.version != whose.version_of(held.resource):
            self._book.count(row)

    def _because(self, row: Any, why: str) -> None:
        self._book.move(row, reason=_reason(row, why))


def _reason(row: Any, why: str) -> str:
    """What happened, and what the last look said: however many nights look in vain, it grows no longer."""
    return f"{(row.reason or 'its answer was lost').partition(_AND)[0]}{_AND}{why}"


def _copies(found: list[Json]) -> str:
    places = ", ".join(sorted(f"{each['resourceType']}/{each.get('id')}" for each in found))
    return f"the EMR holds more than one copy of this: {places}; delete all but one, then `ledger resolve`"
