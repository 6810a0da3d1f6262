"""The passport is checked: what is promised, what searches really do, what became of our own resources.

Weekly, and what is promised also after an answer that contradicts it. Reads, but for the one probe of
`own.stale_if_match`; nothing is ever written into a patient's chart to find something out.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from cm_service.db import care, ledger
from cm_service.db import passport as rows
from cm_service.db.engine import Database
from cm_service.errors import EmrRefused, NotFhir
from cm_service.fhir import rawjson, vendor
from cm_service.fhir.capability import Capability
from cm_service.fhir.client import FhirClient
from cm_service.fhir.vendor import Precondition, Profile
from cm_service.flow import ours, whose
from cm_service.flow.passport import own, paper, proofs
from cm_service.flow.passport.own import FreshWrites
from cm_service.flow.passport.reading import Asked, Fact, Params, Reader, Saw
from cm_service.flow.passport.standing import ETAG, READ_AFTER_WRITE, State, load
from cm_service.settings import Settings

EVERY = dt.timedelta(days=7)
CHECKED, RATE_LIMIT, METADATA = "checked", "rate-limit", "metadata"
_CANDIDATES = 20  # of our resources, among which one that is closed is looked for
_WANTS_MORE = frozenset({400, 412, 422})  # the answers to a search without a patient, where one is needed


class Examination:
    """One look at one EMR (a row of `emr`) at `now`, which stamps every fact. `saw` is told at once of the
    plans, goals and tasks, ours and others', that searches bring on the way: a create whose answer was lost
    may be among them, and may be deleted before anybody looks again."""

    def __init__(
        self,
        db: Database,
        client: FhirClient,
        emr: Any,
        *,
        profile: Profile,
        identifier_base: str,
        now: dt.datetime,
        saw: Saw,
    ) -> None:
        self.db, self.client, self.emr, self.profile = db, client, emr, profile
        self.now, self.slug, self._base = now, str(emr.slug), identifier_base
        self._saw = saw

    def mark(self) -> int:
        """Where the list of changes ends now."""
        with self.db.read() as connection:
            return rows.last_change(connection, self.slug)

    def changes(self, *, after: int) -> list[str]:
        """What changed since `mark`, in the order in which it was seen."""
        with self.db.read() as connection:
            return [row.text for row in reversed(rows.changes(connection, self.slug, after=after))]

    async def if_due(self, *, may_write: bool) -> None:
        """Weekly everything; what is promised also when an answer contradicted it. Raises EmrUnreachable."""
        with self.db.read() as connection:
            checked = rows.fact(connection, self.slug, "", CHECKED)
            doubted = rows.fact(connection, self.slug, "", proofs.RECHECK)
        if checked is None or checked.at <= self.now - EVERY:
            await self.whole(may_write=may_write)
        elif doubted is not None:
            await self.promises()

    async def whole(self, *, may_write: bool) -> None:
        """Everything. Raises EmrUnreachable, and then stays due."""
        await self.promises()
        await self._searches()
        await self._own(may_write=may_write)
        with self.db.write() as connection:
            proofs.lapse(connection, self.slug, before=self.now - EVERY, now=self.now)
            rows.save_fact(connection, self.slug, "", CHECKED, "yes", at=self.now)

    def forget(self) -> None:
        """Somebody has put things right in the EMR: no refusal and no lie that was seen counts any more."""
        with self.db.write() as connection:
            rows.forget(connection, self.slug, facts=(READ_AFTER_WRITE, ETAG))

    async def promises(self) -> None:
        """/metadata, scopes and profile. Raises EmrUnreachable, NotFhir."""
        self.promised(await self.capability())

    async def capability(self) -> Capability:
        """What /metadata promises: an EMR that hides it declares nothing and denies nothing, and then
        everything is searched before it is sent. Raises EmrUnreachable; NotFhir where the EMR has shown it
        before: what came between is no promise, and would take the condition off every create."""
        try:
            return await self.client.capability()
        except EmrRefused:
            return Capability()
        except NotFhir:
            with self.db.read() as connection:
                if rows.fact(connection, self.slug, "", METADATA):
                    raise
            return Capability()

    def promised(self, capability: Capability) -> None:
        """The same where somebody has asked for /metadata already."""
        with self.db.write() as connection:
            if capability.types:
                rows.save_fact(connection, self.slug, "", METADATA, "shown", at=self.now)
            paper.record(
                connection,
                emr=self.slug,
                capability=capability,
                scope=self.client.scope,
                profile=self.profile,
                now=self.now,
            )

    async def fresh(self, writes: FreshWrites) -> None:
        """Does a search show what was just created? Raises EmrUnreachable."""
        for each in writes.still_fresh():
            seen = await own.is_seen(self.client, each)
            if seen is not None:
                with self.db.write() as connection:
                    proofs.note_sighting(
                        connection, emr=self.slug, resource=each.type, seen=seen, now=self.now
                    )

    def throttled(self) -> None:
        """Note that the EMR said 429, if it did."""
        times, wait = self.client.throttling
        if times:
            detail = {"times": times, "longest_wait_seconds": wait}
            with self.db.write() as connection:
                proofs.set_fact(connection, self.slug, "", RATE_LIMIT, "seen", now=self.now, detail=detail)

    # --- searches

    async def _searches(self) -> None:
        reader = Reader(self.client, self._base, count=self.profile.paging.count, saw=self._saw)
        with self.db.read() as connection:
            passport = load(connection, self.slug, self.profile)
        for type_ in (*paper.READ_ONLY, *paper.WRITTEN):
            if passport.effective(type_, "search").state != State.DISPROVEN:
                self._keep(await self._search(reader, type_))

    async def _search(self, reader: Reader, type_: str) -> list[Fact]:
        """What is seen of one type; asked within one patient where the EMR wants that."""
        needed = self.profile.needed_for_search(type_)
        if not needed:
            status, found = await self._ask(reader, type_, [])
            if status not in _WANTS_MORE:
                return found
        within = self._within(type_, needed or ("patient",))
        if within is None:
            return []
        status, found = await self._ask(reader, type_, within)
        return [*found, Fact(type_, "search-needs", within[0][0])] if status == 200 and not needed else found

    async def _ask(self, reader: Reader, type_: str, within: Params) -> tuple[int, list[Fact]]:
        try:
            found = await reader.facts(Asked(type_, within, paper.searched_by(type_)))
        except EmrRefused as refusal:
            self._note(type_, "search", refusal.status)
            return refusal.status, []
        if found is not None:
            self._note(type_, "search", 200)
        return 200, found or []

    def _within(self, type_: str, needed: tuple[str, ...]) -> Params | None:
        """The one patient whom searches may be about: the operator's test patient, else one of whom we
        wrote something, else one whom nights read anyway."""
        patient = self.emr.test_patient or self._patient_of_ours()
        if patient is None:
            return None
        name = "_id" if type_ == "Patient" else "patient"
        return [(name, patient)] if type_ == "Patient" or name in needed else None

    def _patient_of_ours(self) -> str | None:
        with self.db.read() as connection:
            found = [
                row for type_ in paper.WRITTEN for row in rows.own(connection, self.slug, type_, limit=1)
            ]
            return found[0].patient_id if found else care.any_patient(connection, self.slug)

    # --- our own resources

    async def _own(self, *, may_write: bool) -> None:
        for type_ in paper.WRITTEN:
            with self.db.read() as connection:
                mine = rows.own(connection, self.slug, type_, limit=_CANDIDATES)
            if not mine:
                continue
            current = await own.read(self.client, mine[0])
            if current is not None:
                self._note(type_, "read", 200)
                self._keep(own.facts_of(mine[0], current))
            if may_write and self._wants_to_know_etag(type_):
                await self._stale(mine)

    def _wants_to_know_etag(self, type_: str) -> bool:
        """A liar is not asked again: each time it would make a new version."""
        with self.db.read() as connection:
            passport = load(connection, self.slug, self.profile)
        proven = passport.effective(type_, "update").state == State.PROVEN
        return (
            proven
            and passport.precondition(type_) == Precondition.ETAG
            and passport.etag_is_true(type_) != State.DISPROVEN
        )

    async def _stale(self, mine: list[Any]) -> None:
        """Try an old version on one resource of ours that is closed: nobody is at work in it, so an EMR
        that looks at no version loses nobody's edit."""
        for row in mine:
            if row.version in (None, "1"):
                continue
            current = await own.read(self.client, row)
            stale = own.old_version(row, current) if current is not None else None
            if current is None or stale is None or not _is_closed(current):
                continue
            fact = await own.stale_if_match(self.client, current, stale)
            self._keep([fact] if fact is not None else [])
            if fact is not None and fact.value == "ignored":
                await self._new_version(row)
            return

    async def _new_version(self, row: Any) -> None:
        """The EMR took our probe: the same content has a new version, which the ledger must know."""
        current = await own.read(self.client, row)
        if current is not None:
            text = rawjson.dumps(current).decode()
            with self.db.write() as connection:
                columns = {"version": whose.version_of(current), "current": text}
                ledger.move(connection, row.placement_id, now=self.now, **columns)

    def _note(self, type_: str, verb: str, status: int) -> None:
        with self.db.write() as connection:
            proofs.note(connection, emr=self.slug, resource=type_, verb=verb, status=status, now=self.now)

    def _keep(self, found: list[Fact]) -> None:
        with self.db.write() as connection:
            for fact in found:
                proofs.set_fact(connection, self.slug, fact.resource, fact.name, fact.value, now=self.now)


def _is_closed(resource: ours.Json) -> bool:
    return resource["resourceType"] in ours.CLOSED and ours.is_closed(resource)


def profile_of(settings: Settings, emr: Any) -> Profile:
    """The vendor profile of a row of `emr`; NO_PROFILE where none is named. Raises BadInput."""
    return vendor.load(emr.profile, extra=settings.extra_profiles)


def examination(
    settings: Settings,
    db: Database,
    client: FhirClient,
    emr: Any,
    *,
    now: dt.datetime,
    saw: Saw = lambda _shown: None,
) -> Examination:
    """A look at what the EMR of this row can do."""
    profile, base = profile_of(settings, emr), settings.identifier_base
    return Examination(db, client, emr, profile=profile, identifier_base=base, now=now, saw=saw)
