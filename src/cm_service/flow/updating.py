"""Our elements into the EMR's own JSON, so that nobody's edit is lost without a word.

Three ways to say which version an update replaces. ETag: believed where this EMR was seen to refuse a
stale one, else the resource is read before and after. If-Unmodified-Since: whole seconds, so a resource
that was changed in the very second in which it is read is read again a second later. None: read,
compare, write, read back; a version in between that nobody read was a person's, and is put back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cm_service.db import ledger
from cm_service.errors import (
    EmrBusy,
    EmrError,
    EmrRefused,
    EmrUnreachable,
    WriteConflict,
    WriteOutcomeUnknown,
)
from cm_service.fhir import rawjson
from cm_service.fhir.vendor import Precondition
from cm_service.fhir.writes import WriteResult
from cm_service.flow import ours, whose
from cm_service.flow.book import Book
from cm_service.flow.confidential import labelled
from cm_service.flow.lookup import GONE
from cm_service.flow.ours import Json
from cm_service.flow.passport import State

_MOST_BACK = 3  # whoever is overtaken as often meets a person at work there
A_SECOND = 1.1  # after it, Last-Modified in whole seconds tells a later change apart
_HIDDEN_PARTS = "the EMR's copy has parts that we may not write over"
_NO_UPDATE = "what stands in the EMR cannot be changed there"
_UNREAD = "written, but it could not be read back yet"
_OVERWRITTEN = "somebody wrote between our look and our write: see version {} in the EMR"
_KEPT = "kept what somebody else wrote: "


class Guard(NamedTuple):
    """What an update says of the version that it means to replace; both None: nothing can be said."""

    if_match: str | None = None
    if_unmodified_since: str | None = None


class Change(NamedTuple):
    """What we read and what we made of it; `again`: how often something was put back already."""

    before: Json
    body: Json
    again: int = 0


class Updating:
    """Updates of one book, once each; on a conflict once more on what the other side wrote."""

    def __init__(self, book: Book) -> None:
        self._book = book

    async def update(self, row: Any, sent: Json) -> None:
        if not self._book.rung(row).can_update(row):
            self._book.move(row, state="parked", reason=_NO_UPDATE)
            return
        known = whose.parsed(row.current)
        usable = known is not None and whose.version_of(known) is not None and self._is_guarded(row)
        seen = (known, Guard(if_match=_etag(known))) if usable and known else None
        try:
            await self._put(row, *(seen or await self._look(row)), sent)
        except WriteConflict as conflict:
            await self._put(row, *await self._look_again(row, conflict), sent)

    async def _look_again(self, row: Any, conflict: WriteConflict) -> tuple[Json, Guard]:
        """Whoever was quicker may have been ourselves: proxies deliver a request twice, and the second one
        is refused. Unless it can be read, nobody knows. Raises WriteOutcomeUnknown."""
        try:
            return await self._look(row)
        except (EmrBusy, EmrUnreachable) as error:
            raise WriteOutcomeUnknown(f"{conflict}, and then {error}") from error

    async def _put(self, row: Any, current: Json, guard: Guard, sent: Json) -> None:
        if not ours.may_be_written_over(current):
            self._book.move(row, state="parked", reason=_HIDDEN_PARTS)
            return
        human = set(self._book.row(row.id).human)
        body = labelled(ours.merged(current, sent, human), row.labels)
        kept = self._kept(sent, body)
        if body == current:
            text = _text(current)
            self._book.move(row, state="written", reason=kept, attempts=0, base=text, current=text)
            return
        change = Change(current, body)
        await self.written(row, await self._send(row, body, guard), change=change, reason=kept)

    async def _send(self, row: Any, body: Json, guard: Guard) -> WriteResult:
        client = self._book.client
        return await self._book.ask(row, "update", lambda: client.update(body, **guard._asdict()))

    def _kept(self, sent: Json, body: Json) -> str | None:
        """What a person wrote where we want something else: theirs stays, and a person is told."""
        theirs = sorted(name for name in ours.owned(sent) if body.get(name) != sent[name])
        self._book.figures["kept_theirs"] += bool(theirs)
        return f"{_KEPT}{', '.join(theirs)}" if theirs else None

    # --- before

    async def _look(self, row: Any) -> tuple[Json, Guard]:
        """As the EMR holds it now (whatever changed since our last look is theirs), and how to say so."""
        if self._style(row) == Precondition.IF_UNMODIFIED_SINCE:
            current, guard = await self._of_another_second(row)
        else:
            current, guard = await self._of_this_version(row)
        self._book.note_seen(row, current)
        return current, guard

    async def _of_this_version(self, row: Any) -> tuple[Json, Guard]:
        """Where reading by id is not allowed, the version that a search has shown must do."""
        style = self._style(row)
        try:
            held = await self._book.rung(row).read(row, _id(row))
        except EmrRefused as refusal:
            known = whose.parsed(row.current)
            if style != Precondition.ETAG or refusal.status in GONE or not (known and _etag(known)):
                raise
            return known, Guard(if_match=_etag(known))
        if style == Precondition.NONE:
            return held.resource, Guard()
        return held.resource, Guard(if_match=held.etag or _etag(held.resource))

    async def _of_another_second(self, row: Any) -> tuple[Json, Guard]:
        """Read when its last second of change is over: from then on every change has another date."""
        held = await self._book.rung(row).read(row, _id(row))
        if held.last_modified is not None and held.date in (None, held.last_modified):
            await self._book.pace.sleep(A_SECOND)
            held = await self._book.rung(row).read(row, _id(row))
            if held.date == held.last_modified:
                raise WriteConflict("somebody is changing this right now")
        return held.resource, Guard(if_unmodified_since=held.last_modified)

    def _style(self, row: Any) -> Precondition:
        return self._book.passport.precondition(self._book.rung(row).type_of(row))

    def _is_guarded(self, row: Any) -> bool:
        """Will the EMR refuse to replace a version that we have not seen?"""
        kind = self._book.rung(row).type_of(row)
        proven = self._book.passport.etag_is_true(kind) == State.PROVEN
        return self._style(row) == Precondition.ETAG and proven

    # --- after

    async def written(
        self, row: Any, result: WriteResult, *, change: Change | None = None, reason: str | None = None
    ) -> None:
        """Record where it is at once, then what the EMR made of it (servers may alter content)."""
        kind = self._book.rung(row).type_of(row)
        self._book.count(row)
        if row.reference is None:
            said = {"type_": kind, "id_": result.id, "system": row.system, "value": row.value}
            self._book.fresh.add(**said, patient=None if row.rung == ledger.NATIVE else row.patient_id)
        place = {"reference": f"{kind}/{result.id}", "version": result.version, "attempts": 0}
        self._book.move(row, state="written", reason=reason, current=None, **place)
        must_look = change is not None and not self._refuses_stale(row)
        stored = None if must_look else result.body
        if stored is None:
            try:
                stored = (await self._book.rung(row).read(row, result.id)).resource
            except EmrError:
                self._book.move(row, reason=_UNREAD)
                return
        self._compare(row, result, stored)
        if must_look and change is not None:
            await self._check(row, result.version or whose.version_of(stored), stored, change)

    def _refuses_stale(self, row: Any) -> bool:
        return self._is_guarded(row) or self._style(row) == Precondition.IF_UNMODIFIED_SINCE

    def _compare(self, row: Any, result: WriteResult, stored: Json) -> None:
        version = whose.version_of(stored)
        if None not in (version, result.version) and version != result.version:
            self._book.take(row, stored)  # somebody was there between our write and our look
        else:
            known = {"base": _text(stored), "current": _text(stored), "version": version or result.version}
            self._book.move(row, **known)

    async def _check(self, row: Any, version: str | None, stored: Json, change: Change) -> None:
        """Did our update replace a version that we never saw? It is read from the history, and what
        somebody did in it is put back beside ours; where that is impossible, a person must."""
        unread = _between(change.before, version)
        if unread is None:
            return
        book, why = self._book, _OVERWRITTEN.format(unread)
        book.figures["overwritten"] += 1
        whole = book.row(row.id)
        theirs = await self._old(whole, unread)
        if theirs is None or change.again >= _MOST_BACK:
            book.move(row, state="parked", reason=why)
            return
        back, clash = ours.given_back(change.before, theirs, change.body, stored)
        sent = ours.owned(whose.parsed(whole.sent) or {})
        human = sorted({*whole.human, *(ours.changed(change.before, theirs) & sent)})
        book.move(row, human=human, reason=why, **({"state": "parked"} if clash else {}))
        if back != stored:
            result = await self._send(whole, back, Guard(_etag(stored)))
            again = Change(stored, back, change.again + 1)
            await self.written(whole, result, change=again, reason=why)
            if clash:
                book.move(row, state="parked", reason=why)

    async def _old(self, row: Any, version: str) -> Json | None:
        """A version out of the history, None where it cannot be read or is not ours to copy."""
        try:
            old = await self._book.client.vread(self._book.rung(row).type_of(row), _id(row), version)
        except EmrError:
            return None
        return old if ours.may_be_written_over(old) else None


def _between(before: Json, after: str | None) -> str | None:
    """The newest version between the one that we read and the one that our write made, if numbers tell."""
    read = whose.version_of(before)
    if read is None or after is None or not (read.isdecimal() and after.isdecimal()):
        return None
    return str(int(after) - 1) if int(after) > int(read) + 1 else None


def _etag(current: Json) -> str | None:
    version = whose.version_of(current)
    return f'W/"{version}"' if version else None


def _id(row: Any) -> str:
    return str(row.reference).partition("/")[2]


def _text(resource: Json) -> str:
    return rawjson.dumps(resource).decode()
