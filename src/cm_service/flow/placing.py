"""Where each intent goes tonight, and how it moves between rungs: `choosing.py` chooses, this file acts.

Every move is one transaction of the ledger, so that a dead process leaves no rung behind: what was
refused there is a placement that was superseded, and a lower one that is still to be closed says so.
"""

from __future__ import annotations

from typing import Any

from cm_service.db import ledger, placements
from cm_service.errors import EmrRefused, InvalidResource
from cm_service.flow import whose
from cm_service.flow.book import Book
from cm_service.flow.choosing import DESCENDS, Choosing
from cm_service.flow.ladder import Choice, Rung
from cm_service.flow.lookup import DELETED, GONE
from cm_service.flow.rungs.limited import Around
from cm_service.flow.units import Unit, is_here, units

_WAITS = "waits for the first one that was sent this way"


class Placing:
    """One night's moves of one book."""

    def __init__(self, book: Book, around: Around) -> None:
        self._book, self._known = book, Choosing(book, around)

    # --- before anything is sent

    def raise_up(self) -> None:
        """What stands on a low rung, or on the page alone, and has a better place by now, is pending."""
        with self._book.db.read() as connection:
            rows = ledger.outline(connection, self._book.emr)
        who = {row.patient_id for row in rows if self._known.may_rise(row)}
        for patient in sorted(who):
            for unit in self.units(patient):
                self._raise(unit)

    def units(self, patient_id: str) -> list[Unit]:
        with self._book.db.read() as connection:
            return units(ledger.of_patients(connection, self._book.emr, [patient_id]).get(patient_id, []))

    def again(self, unit: Unit) -> Unit:
        """The same as the ledger has it now."""
        return Unit(self._book.row(unit.carrier.id), [self._book.row(goal.id) for goal in unit.goals])

    def _raise(self, unit: Unit) -> None:
        carrier = unit.carrier
        if is_here(carrier):
            choice = self._known.choose(unit)
            if choice.rung != Rung.OWN and not choice.waits:
                for row in filter(is_here, unit.rows):
                    self._book.move(row, state="pending")
        elif unit.stands and carrier.rung != Rung.NATIVE and not unit.is_pending and not unit.is_blocked:
            self._climb(unit)

    def _climb(self, unit: Unit) -> None:
        target = self._known.climbs(unit)
        if target is None:
            return
        with self._book.db.write() as connection:
            for row in (*unit.riders, unit.carrier):
                placements.replace(
                    connection, row, rung=target, degraded=None, now=self._book.now, closing=True
                )

    # --- one unit

    async def ready(self, unit: Unit) -> list[int]:
        """The intents to be sent now, in this order, each on the rung that the ledger now says."""
        found = await self._ready(unit)
        self._known.sent(found)
        return found

    async def _ready(self, unit: Unit) -> list[int]:
        if not unit.is_pending or unit.is_blocked or any(self._is_held(row) for row in unit.rows):
            return []
        choice = Choice(Rung(unit.carrier.rung), unit.carrier.degraded or "")
        if not unit.stands:
            choice = self._known.choose(unit)
        if choice.waits:
            self._wait(unit, choice)
            return []
        if choice.rung == Rung.OWN:
            self._keep_here(unit.carrier, choice.reason)
            for goal in unit.riders:
                self._keep_here(goal, choice.reason)
            return []
        return self._natively(unit) if choice.rung == Rung.NATIVE else await self._carried(unit, choice)

    def _is_held(self, row: Any) -> bool:
        """Whoever did it may still undo it."""
        return row.held_until is not None and row.held_until > self._book.now

    def _natively(self, unit: Unit) -> list[int]:
        found = []
        for row in unit.rows:
            if row.state != "pending" or row.deleted:
                continue
            why = "" if row.reference else self._known.why_not_natively(row, unit)
            if why:  # its plan stands natively, and this one cannot
                self._keep_here(row, f"only on the page: {Rung.NATIVE}: {why}")
            else:
                self._to(row, Rung.NATIVE, "")
                found.append(row.id)
        return found

    async def _carried(self, unit: Unit, choice: Choice) -> list[int]:
        """On a limited rung the carrier alone is sent, with everything inside."""
        for goal in unit.riders:
            self._to(goal, choice.rung, choice.reason)
        carrier = unit.carrier
        if not unit.stands:
            self._to(carrier, choice.rung, choice.reason)
            return [carrier.id]
        try:
            is_news = self._is_news(carrier)
        except InvalidResource as error:
            self._book.move(carrier, state="parked", reason=str(error))
            return []
        if not is_news:
            if carrier.state == "pending":
                self._book.move(carrier, state="written")
            self._follow(unit)
            return []
        return await self._anew(carrier, choice)

    async def _anew(self, carrier: Any, choice: Choice) -> list[int]:
        """Changed in place, or a new version beside the old one, unless somebody deleted that."""
        if self._book.rung(carrier).can_update(carrier):
            self._book.move(carrier, state="pending")
            return [carrier.id]
        if await self._is_deleted(carrier):
            self._book.move(carrier, state="written", deleted=True, reason=DELETED)
            return []
        with self._book.db.write() as connection:
            placements.replace(
                connection, carrier, rung=choice.rung, degraded=choice.reason or None, now=self._book.now
            )
        return [carrier.id]

    async def _is_deleted(self, row: Any) -> bool:
        try:
            held = await self._book.rung(row).read(row, row.reference.partition("/")[2])
        except EmrRefused as refusal:
            return refusal.status in GONE
        return held.resource.get("status") == "entered-in-error"

    def _is_news(self, row: Any) -> bool:
        """Would a nurse learn anything new from what would be written now?"""
        with self._book.db.read() as connection:
            whole = ledger.one(connection, row.id)
            built = self._book.rung(row).build(connection, whole)
        return built != whose.parsed(whole.sent)

    # --- after it was sent

    def after(self, unit: Unit) -> bool:
        """Take note of the answers. True: what was refused may go again, on a lower rung."""
        again = False
        for row in unit.rows:
            self._known.learn(row)
            if row.state == "refused" and row.reference is None:
                again |= self._fell(row)
        if not again:
            self._follow(unit)
        return again

    def _fell(self, row: Any) -> bool:
        """Refused. A climb is given up; a refusal that speaks against the rung descends."""
        with self._book.db.write() as connection:
            lower = placements.closing_of(connection, row.id)
            if lower is not None:
                self._known.remember(row)
                why = f"could not climb to {row.rung}: {row.reason}"
                placements.give_back(connection, row, lower, reason=why, now=self._book.now)
                return False
            if row.refused_status not in DESCENDS:
                return False
            self._known.remember(row)
            placements.replace(connection, row, rung=row.rung, degraded=None, now=self._book.now)
        return True

    def _follow(self, unit: Unit) -> None:
        """Goals inside a plan stand where it stands."""
        carrier = unit.carrier
        for goal in unit.riders:
            if carrier.rung in (Rung.NATIVE, Rung.OWN) or goal.rung != carrier.rung:
                continue
            if carrier.state == "written":
                place = {"reference": carrier.reference, "sent_at": carrier.sent_at}
                if (goal.state, goal.reference) != ("written", carrier.reference):
                    self._book.move(goal, state="written", reason=None, **place)
            else:
                self._book.move(goal, reason=f"travels inside its plan, which is {carrier.state}")

    # --- moves that the EMR does not see

    def _to(self, row: Any, rung: Rung, degraded: str) -> None:
        """Nothing of it is in the EMR: the same placement, on another rung."""
        said = degraded or None
        if row.rung != rung:
            fresh = {"sent": None, "sent_at": None, "attempts": 0, "reason": None}
            self._book.move(row, rung=rung, state="pending", degraded=said, **fresh)
        elif row.degraded != said or row.reason == _WAITS:
            self._book.move(row, degraded=said, reason=None)

    def _wait(self, unit: Unit, choice: Choice) -> None:
        for row in unit.rows:
            if row.state == "pending" and row.reference is None:
                self._to(row, choice.rung, choice.reason)
                self._book.move(row, reason=_WAITS)

    def _keep_here(self, row: Any, why: str) -> None:
        if row.reference is None and row.state in ("pending", "parked"):
            self._book.move(row, rung=Rung.OWN, state="parked", degraded=why, reason=None)
