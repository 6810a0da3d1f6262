"""One intent -> one request, sent once, and its outcome recorded before anything else is sent.

A row is committed as `sending`, with what is sent, before its request leaves, so a crash at any line
leaves a trace. An answer that was lost makes it `unknown`: it is looked up, never blindly sent again.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Awaitable
from typing import Any
from urllib.parse import quote

from cm_service.db import ledger
from cm_service.db.engine import Database
from cm_service.errors import (
    CmError,
    EmrBusy,
    EmrError,
    EmrRefused,
    EmrUnreachable,
    WriteConflict,
    WriteOutcomeUnknown,
)
from cm_service.fhir import rawjson, resources
from cm_service.fhir.capability import Capability
from cm_service.fhir.client import FhirClient, search_value
from cm_service.fhir.writes import WriteResult
from cm_service.flow import ours, passport, whose
from cm_service.flow.ours import Json

UNSETTLED = frozenset({"pending", "sending", "unknown", "conflict"})
LONGEST_WAIT, USUAL_WAIT = 120.0, 5.0
_GONE = (404, 410)
_NEVER_NEEDED = "no longer wanted before it was sent"
_COPIES = "the EMR holds more than one copy of this"
_STRANGER = "the EMR matched a resource that is not ours"
_HIDDEN_PARTS = "the EMR's copy has parts that we may not write over"


class DeliveryStopped(Exception):
    """The EMR takes nothing more tonight; what is left stays pending."""


class Writing:
    """Sends what is pending. `figures` counts what changed the EMR, `fresh` keeps what was just created."""

    def __init__(
        self,
        db: Database,
        client: FhirClient,
        capability: Capability,
        *,
        now: dt.datetime,
        figures: Counter[str],
        fresh: passport.FreshWrites,
    ) -> None:
        self.db, self.client, self.capability = db, client, capability
        self.now, self.figures = now, figures
        self.fresh = fresh

    def drop_if_never_needed(self, row: Any) -> None:
        """Withdrawn before it was ever sent: nobody needs to see it."""
        if row.reference is None and not row.deleted:
            whole = self._row(row.id)
            if ours.is_closed(rawjson.loads(whole.wanted.encode())):
                self._move(row, state="superseded", reason=_NEVER_NEEDED)

    async def send(self, intent_id: int) -> float | None:
        """One request, unless something that it links to must go first. Gives the seconds to wait before
        another try, None when there is nothing more to do tonight."""
        with self.db.write() as connection:
            row = ledger.one(connection, intent_id)
            wanted = rawjson.loads(row.wanted.encode())
            mates = ledger.targets(connection, row.emr, ours.links(wanted))
            if any(_waits_for(mate) for mate in mates.values()):
                return None
            resource = ours.materialise(wanted, lambda value: _reference(mates.get(value)))
            sent = ours.to_send(resource, whose.parsed(row.sent) or {}) if row.reference else resource
            if not ledger.claim(connection, row.placement_id, sent=_text(sent), now=self.now):
                return None
        try:
            if not row.human:  # what a person wrote is not ours to judge
                resources.validate(resource)
            await (self._create(row, resource) if row.reference is None else self._update(row, sent))
        except EmrBusy as error:
            self._move(row, state="pending")
            return min(error.retry_after or USUAL_WAIT, LONGEST_WAIT)
        except EmrUnreachable as error:
            self._move(row, state="pending")
            raise DeliveryStopped(str(error)) from error
        except CmError as error:
            return await self._failed(row, error)
        return None

    # --- create

    async def _create(self, row: Any, resource: Json) -> None:
        """Guarded by the ledger, and by If-None-Exist where the EMR has it, else by a search."""
        condition = None
        if self.capability.conditional_create(row.kind):
            token = f"{search_value(row.system)}|{search_value(row.value)}"
            condition = f"identifier={quote(token, safe=':/|')}"
        elif await self._find(row):
            return
        result = await self._told(row, "create", self.client.create(resource, if_none_exist=condition))
        if result.status == 200 and condition:  # a copy was already there: it may say something else
            await self._matched(row, result)
        else:
            await self._written(row, result)

    async def _matched(self, row: Any, result: WriteResult) -> None:
        current = result.body or await self.client.read(row.kind, result.id)
        if ours.has_identifier(current, row.system, row.value):
            self._take(row, current)
        else:
            self._move(row, state="parked", reason=_STRANGER)

    # --- update

    async def _update(self, row: Any, sent: Json) -> None:
        """Our elements into the EMR's own JSON, with the version that we last saw; on a conflict once
        more on what the other side wrote, keeping theirs."""
        current = whose.parsed(row.current)
        if current is None or whose.version_of(current) is None:
            current = await self._fresh(row)  # without a version nothing but a fresh look guards it
        try:
            await self._put(row, current, sent)
        except WriteConflict:
            await self._put(row, await self._fresh(row), sent)

    async def _fresh(self, row: Any) -> Json:
        """As the EMR holds it now; whatever changed since our last look is theirs."""
        current = await self.client.read(row.kind, row.reference.partition("/")[2])
        with self.db.write() as connection:
            seen = whose.look(connection, row, current)
            ledger.move(connection, row.placement_id, now=self.now, **whose.columns(row, current, seen))
        return current

    async def _put(self, row: Any, current: Json, sent: Json) -> None:
        if not ours.may_be_written_over(current):
            self._move(row, state="parked", reason=_HIDDEN_PARTS)
            return
        body = ours.merged(current, sent, set(self._row(row.id).human))
        if body == current:
            self._move(row, state="written", reason=None, base=_text(current), current=_text(current))
            return
        version = whose.version_of(current)
        request = self.client.update(body, if_match=f'W/"{version}"' if version else None)
        await self._written(row, await self._told(row, "update", request))

    # --- afterwards

    async def _told(self, row: Any, verb: str, request: Awaitable[WriteResult]) -> WriteResult:
        """The answer to the one request; what it proves of the verb goes into the passport."""
        try:
            result = await request
        except EmrRefused as refusal:
            self._note(row, verb, refusal.status)
            raise
        self._note(row, verb, result.status)
        return result

    def _note(self, row: Any, verb: str, status: int) -> None:
        with self.db.write() as connection:
            passport.note(connection, emr=row.emr, resource=row.kind, verb=verb, status=status, now=self.now)

    async def _written(self, row: Any, result: WriteResult) -> None:
        """Record where it is at once, then what the EMR made of it (servers may alter content)."""
        self._count(row)
        if row.reference is None:
            self.fresh.add(type_=row.kind, id_=result.id, system=row.system, value=row.value)
        place = {"reference": f"{row.kind}/{result.id}", "version": result.version}
        self._move(row, state="written", reason=None, base=None, current=None, **place)
        stored = result.body
        if stored is None:
            try:
                stored = await self.client.read(row.kind, result.id)
            except EmrError:
                self._move(row, reason="written, but it could not be read back yet")
                return
        version = whose.version_of(stored)
        if None not in (version, result.version) and version != result.version:
            self._take(row, stored)  # somebody was there between our write and our look
        else:
            self._move(row, base=_text(stored), current=_text(stored), version=version or result.version)

    async def _failed(self, row: Any, error: CmError) -> float | None:
        """Put the row into the state that the error's kind asks for."""
        if isinstance(error, WriteOutcomeUnknown):
            self._move(row, state="unknown", reason=str(error))
            await self.look_up(row.id, sent_tonight=True)
            return 0.0 if self._row(row.id).state == "pending" else None
        if isinstance(error, WriteConflict):
            await self._collided(row, error)
        elif isinstance(error, EmrRefused):
            self._refused(row, error)
        else:
            self._move(row, state="parked", reason=str(error))
        return None

    async def _collided(self, row: Any, error: WriteConflict) -> None:
        """An update is tried again when the next night has read it. A create was not done: it goes again,
        unless the EMR shows it."""
        self._move(row, state="conflict", reason=str(error))
        if row.reference is None:
            await self.look_up(row.id)
            if self._row(row.id).state == "conflict":
                self._move(row, state="pending")

    def _refused(self, row: Any, error: EmrRefused) -> None:
        if error.status == 401:
            self._move(row, state="pending")
            raise DeliveryStopped(str(error))
        if error.status in _GONE and row.reference:
            self._move(row, state="written", deleted=True, reason="somebody deleted it in the EMR")
        else:
            words = error.outcome.replace("\x00", "")  # no PostgreSQL text holds that
            self._move(row, state="refused", reason=words or str(error))

    # --- looking up

    async def look_up(self, intent_id: int, *, sent_tonight: bool = False) -> None:
        """Find out what became of it. Where the EMR does not let us look, it stays as it is."""
        row = self._row(intent_id)
        try:
            find = self._find if row.reference is None else self._reread
            await find(row, sent_tonight=sent_tonight)
        except EmrUnreachable as error:
            raise DeliveryStopped(str(error)) from error
        except EmrError as error:
            self._move(row, reason=f"{row.reason}; and it could not be looked up: {error}")

    async def _find(self, row: Any, *, sent_tonight: bool = False) -> bool:
        """Search for our identifier. One copy: it is taken as it is. None: nothing is known, since a
        search may not see a fresh write. Several: a person must look."""
        found = await self.client.find_by_identifier(row.kind, row.system, row.value)
        if len(found) > 1:
            self._move(row, state="parked", reason=_COPIES)
        elif found and self._take(row, found[0]) and sent_tonight:
            self._count(row)
        return bool(found)

    async def _reread(self, row: Any, *, sent_tonight: bool = False) -> None:
        """An update whose answer was lost has arrived, or goes again with the version that guards it."""
        try:
            current = await self.client.read(row.kind, row.reference.partition("/")[2])
        except EmrRefused as refusal:
            if refusal.status not in _GONE:
                raise
            self._refused(row, refusal)
            return
        if self._take(row, current) and sent_tonight and row.version != whose.version_of(current):
            self._count(row)

    def _take(self, row: Any, current: Json) -> bool:
        """Record what the EMR holds; True if what we last sent is there. What it says otherwise and we
        never said is a person's; what we want otherwise by now is sent as an update."""
        with self.db.write() as connection:
            row = ledger.one(connection, row.id)
            seen = whose.look(connection, row, current)
            state = "written" if seen.settled else "pending"
            columns = whose.columns(row, current, seen)
            ledger.move(connection, row.placement_id, now=self.now, state=state, reason=None, **columns)
        return seen.arrived

    def _count(self, row: Any) -> None:
        self.figures["written"] += 1
        self.figures[f"written {row.kind}"] += 1

    def _row(self, intent_id: int) -> Any:
        with self.db.read() as connection:
            return ledger.one(connection, intent_id)

    def _move(self, row: Any, **columns: Any) -> None:
        with self.db.write() as connection:
            ledger.move(connection, row.placement_id, now=self.now, **columns)


def _text(resource: Json) -> str:
    return rawjson.dumps(resource).decode()


def _waits_for(mate: Any) -> bool:
    """A link whose target may still get a place: the row with the link waits for it."""
    return mate.reference is None and mate.state in UNSETTLED


def _reference(mate: Any | None) -> str | None:
    return None if mate is None or mate.deleted else mate.reference
