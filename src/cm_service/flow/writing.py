"""One intent -> one request, sent once, and its outcome recorded before anything else is sent.

A row is committed as `sending`, with what is sent, before its request leaves, so a crash at any line
leaves a trace. An answer that was lost makes it `unknown`: it is looked up (`lookup.py`), never blindly
sent again. What is sent, and how it is found again, the rung knows (`rungs/base.py`).
"""

from __future__ import annotations

from typing import Any

from cm_service.db import ledger
from cm_service.errors import (
    CmError,
    DeliveryStopped,
    EmrBusy,
    EmrRefused,
    EmrUnreachable,
    WriteConflict,
    WriteOutcomeUnknown,
)
from cm_service.fhir import rawjson, resources
from cm_service.fhir.writes import WriteResult
from cm_service.flow import ours, whose
from cm_service.flow.book import Book
from cm_service.flow.lookup import DELETED, GONE, LookUp
from cm_service.flow.older_store import OlderStore
from cm_service.flow.ours import Json
from cm_service.flow.updating import Updating

UNSETTLED = frozenset({"pending", "sending", "unknown", "conflict"})
LONGEST_WAIT, USUAL_WAIT = 120.0, 5.0
# Five requests over as many nights outlive a bad week of a network (one in seven of them failing: once
# in 17,000); a sixth would only do the same again.
POISONED = 5
_NEVER_NEEDED = "no longer wanted before it was sent"
_STRANGER = "the EMR matched a resource that is not ours"
_POISON = f"sent {POISONED} times without an end: a person must look"
_NO_GUARD = (
    "this EMR can neither be searched for it nor refuse a second copy, and an older store of ours wrote to"
    " it: a person must look whether it is there (`ledger resolve`)"
)


class Writing:
    """Sends what is pending in a book."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._lookup, self._updating = LookUp(book), Updating(book)
        self._older_store = OlderStore(book)

    def drop_if_never_needed(self, row: Any) -> None:
        """Retracted by the service before it was ever sent: nobody needs to see it. What a person ended,
        or had in hand, happened: it is created in its final state, once."""
        if row.reference is not None or row.deleted:
            return
        closed = ours.is_closed(rawjson.loads(self.book.row(row.id).wanted.encode()))
        if closed and not self.book.stood_before(row) and not self.book.was_acted_on(row):
            self.book.move(row, state="superseded", reason=_NEVER_NEEDED)

    async def look_up(self, intent_id: int) -> None:
        """What became of an answer that was lost in an earlier night."""
        await self._lookup.look_up(intent_id)

    async def send(self, intent_id: int) -> float | None:
        """One request, unless something that it links to must go first. Gives the seconds to wait before
        another try, None when there is nothing more to do tonight. Raises DeliveryStopped."""
        claimed = self._claim(intent_id)
        if claimed is None:
            return None
        row, resource, sent = claimed
        try:
            if not row.human:  # what a person wrote is not ours to judge
                resources.validate(resource)
            if row.reference is None:
                await self._create(row, resource)
            else:
                await self._updating.update(row, sent)
        except EmrBusy as error:
            self._never_left(row)
            return _wait(error)
        except DeliveryStopped:
            self._never_left(row)
            raise
        except EmrUnreachable as error:
            self._never_left(row)
            raise DeliveryStopped(str(error)) from error
        except CmError as error:
            return await self._failed(row, error)
        return None

    def park(self, intent_id: int, reason: str) -> None:
        """A row that breaks our own code blocks nobody else."""
        self.book.move(self.book.row(intent_id), state="parked", reason=reason)

    def _claim(self, intent_id: int) -> tuple[Any, Json, Json] | None:
        """The row, the whole resource and what of it is sent, committed as `sending`."""
        book = self.book
        with book.db.write() as connection:
            row = ledger.one(connection, intent_id)
            links = ours.links(rawjson.loads(row.wanted.encode()))
            if any(map(_waits_for, ledger.targets(connection, row.emr, links).values())):
                return None
            if row.attempts >= POISONED:
                ledger.move(connection, row.placement_id, now=book.now, state="parked", reason=_POISON)
                return None
            resource = book.rung(row).build(connection, row)
            last = whose.parsed(row.sent) or {}
            sent = ours.to_send(resource, last) if row.reference else resource
            if row.reference and last:
                filled = ours.filled_by_others(resource, last, whose.parsed(row.current) or {})
                human = sorted(filled.union(row.human))
                ledger.move(connection, row.placement_id, now=book.now, human=human)
            text, at = rawjson.dumps(sent).decode(), book.pace.clock()
            astray = whose.astray(row)
            if not ledger.claim(connection, row.placement_id, sent=text, now=book.now, at=at, astray=astray):
                return None
        return row, resource, sent

    # --- create

    async def _create(self, row: Any, resource: Json) -> None:
        """Guarded by the ledger, and by If-None-Exist where the EMR has it, else by a search."""
        rung = self.book.rung(row)
        guarded = rung.is_guarded(row)
        if not guarded:
            # The row as it was claimed: what is sent says which version of it is looked for.
            found = await self._lookup.find(self.book.row(row.id))
            if found:
                self._note_adopted(row)
            if found or (found is None and not await self._may_go_unguarded(row)):
                return
        result = await self.book.ask(row, "create", lambda: rung.create(row, resource))
        if result.status == 200 and guarded:  # a copy was already there: it may say something else
            await self._matched(row, result)
        else:
            await self._updating.written(row, result)

    def _note_adopted(self, row: Any) -> None:
        """It stands there, and this ledger never sent it: an older store did, and so it is marked."""
        if row.sent_at is None:
            self.book.move(row, sent_at=None)

    async def _may_go_unguarded(self, row: Any) -> bool:
        """The ledger alone guards what it never sent before; but where it has seen that an older store
        wrote to this EMR, it does not know what else that one wrote. A person who has looked may."""
        if row.reason == ledger.NOT_THERE:
            return True
        if row.sent_at is not None or await self._older_store.wrote(row):
            self.book.move(row, state="parked", reason=_NO_GUARD, sent_at=row.sent_at)
            return False
        return True

    async def _matched(self, row: Any, result: WriteResult) -> None:
        rung = self.book.rung(row)
        current = result.body or (await rung.read(row, result.id)).resource
        if rung.is_ours(row, current):
            self.book.take(row, current)
            self._note_adopted(row)
        else:
            self.book.move(row, state="parked", reason=_STRANGER)

    # --- afterwards

    def _never_left(self, row: Any) -> None:
        """Nothing was taken by the EMR: the row is again what it was before it was claimed."""
        before = {name: getattr(row, name) for name in ("sent", "astray", "sent_at", "missed_at", "attempts")}
        self.book.move(row, state="pending", **before)

    async def _failed(self, row: Any, error: CmError) -> float | None:
        """Put the row into the state that the error's kind asks for."""
        if isinstance(error, WriteOutcomeUnknown):
            return await self._lost(row, str(error))
        if isinstance(error, WriteConflict):
            await self._collided(row, error)
        elif isinstance(error, EmrRefused):
            return await self._refused(row, error)
        else:
            self.book.move(row, state="parked", reason=str(error))
        return None

    async def _lost(self, row: Any, reason: str) -> float | None:
        self.book.move(row, state="unknown", reason=reason)
        await self._lookup.look_up(row.id, sent_tonight=True)
        return 0.0 if self.book.row(row.id).state == "pending" else None

    async def _collided(self, row: Any, error: WriteConflict) -> None:
        """An update is tried again when the next night has read it. A create was not done: it goes again,
        unless the EMR shows it."""
        self.book.move(row, state="conflict", reason=str(error))
        if row.reference is None:
            await self._lookup.look_up(row.id)
            if self.book.row(row.id).state == "conflict":
                self.book.move(row, state="pending", sent_at=row.sent_at)

    async def _refused(self, row: Any, error: EmrRefused) -> float | None:
        if error.status == 401:
            self._never_left(row)
            raise DeliveryStopped(str(error))
        if row.reference is None and any(map(self.book.profile.is_already_there, error.codes)):
            return await self._lost(row, f"{error}: the EMR says that it is there already")
        if error.status in GONE and row.reference:
            self.book.move(row, state="written", deleted=True, reason=DELETED)
        else:
            words = error.outcome.replace("\x00", "")  # no PostgreSQL text holds that
            said = {"reason": words or str(error), "refused_status": error.status}
            self.book.move(row, state="refused", sent_at=row.sent_at, **said)
        return None


def _wait(error: EmrBusy) -> float:
    """What the EMR asks for. Raises DeliveryStopped if that is longer than a night should stand still."""
    asked = error.retry_after if error.retry_after is not None else USUAL_WAIT
    if asked > LONGEST_WAIT:
        raise DeliveryStopped(f"{error}; it asks to be left alone for {asked:.0f} seconds")
    return asked


def _waits_for(mate: Any) -> bool:
    """A link whose target may still get a place of its own: the row with the link waits for it."""
    return mate.rung == ledger.NATIVE and mate.reference is None and mate.state in UNSETTLED
