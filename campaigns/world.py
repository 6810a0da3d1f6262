"""One EMR connection of a campaign: the sandbox without a socket, rough nights, then calm ones.

The nights run the product's own stages on what is ours: read, reconcile, deliver, learn. There is no
waiting: every sleep moves this world's clock.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from typing import Any, NamedTuple

import sqlalchemy as sa

from campaigns import wants
from campaigns.harm import FLAVOURS, KINDS, Clinicians, Crash, Life, LostAnswers, MortalDatabase, steady
from campaigns.wants import BASE, START, Columns, Minted
from cm_service.db import connections, ledger
from cm_service.db.engine import Database
from cm_service.db.tables import DecisionRow, Intent, PassportChange, PassportFact, PassportVerb
from cm_service.errors import EmrError
from cm_service.fhir import rawjson
from cm_service.fhir.client import FhirClient
from cm_service.fhir.credentials import NoCredentials
from cm_service.fhir.hold import Hold
from cm_service.fhir.http import EmrHttp
from cm_service.flow import ours, passport
from cm_service.flow.book import Pace
from cm_service.flow.deliver import Delivery
from cm_service.flow.ladder import WriteSettings
from cm_service.flow.ours import Json
from cm_service.flow.reconcile import Connected, note_deleted, reconcile
from cm_service.flow.rungs.limited import Around
from cm_service.sandbox.declared import Personality
from cm_service.sandbox.exchange import Incoming, Outgoing
from cm_service.sandbox.faults import FaultPlan, Faults
from cm_service.sandbox.front import front_door, seen_by_client
from cm_service.sandbox.plan import FaultKind
from cm_service.sandbox.store import Store
from cm_service.sandbox.transport import InProcess
from cm_service.settings import Settings

COOLOFF_DAYS, CALM_NIGHTS, MOST_PATIENTS = 180, 12, 12


class Shared(NamedTuple):
    """What all worlds of a campaign have in common."""

    db: Database
    settings: Settings
    templates: list[Columns]
    share: float  # of the requests that meet a fault


class World:
    """`minted` is what the campaign wanted, remembered outside every ledger."""

    def __init__(
        self, shared: Shared, slug: str, personality: Personality, seed: str, *, profile: str | None = None
    ) -> None:
        self.shared, self.slug = shared, slug
        self.rng = random.Random(seed)
        self.now = START
        self.store = Store(clock=lambda: self.now, new_id=self._new_id)
        self.minted: list[Minted] = []
        self.life = Life(random.Random(f"{seed}/life"), at_requests=0.01, at_transactions=0.004)
        self.mortal = MortalDatabase(shared.db, self.life)
        self.people = Clinicians(self.rng)
        flavour = FLAVOURS[self.rng.randrange(len(FLAVOURS))]
        self.plan = FaultPlan.seeded(f"{seed}/faults", share=shared.share, kinds=flavour)
        self.index_lags = FaultKind.STALE_INDEX in flavour
        self._door = front_door(self.store, personality)
        self.faults = Faults(self.plan, self._door, store=self.store, sleep=self.sleep, edit=self.people.edit)
        self.calm = False
        self.lost_answers = LostAnswers(self.life.around(self._way))
        self.transport = InProcess(seen_by_client(self.store, self.lost_answers))
        self._own_edits = self._patients = 0
        self._told: set[tuple[str, str]] = set()  # what was shown before the last write
        with shared.db.write() as connection:
            wants.add_emr(connection, slug, profile=profile)
        self.store.load(wants.surroundings())

    def _new_id(self) -> str:
        return f"{self.rng.getrandbits(64):016x}"

    async def sleep(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=steady(seconds))
        await asyncio.sleep(0)

    async def _way(self, incoming: Incoming) -> Outgoing:
        if incoming.method in ("POST", "PUT"):
            self._told = set(self.store.shown)
        return await (self._door if self.calm else self.faults)(incoming)

    @property
    def injected(self) -> int:
        """Faults that really happened: an edit planned for what was not there did not."""
        planned = self.plan.counts[FaultKind.EDITED] + self.plan.counts[FaultKind.DELETED]
        done = len(self.store.written(by="clinician")) - self._own_edits
        return self.plan.faults - planned + done + self.life.deaths

    def moment(self) -> dt.timedelta:
        return dt.timedelta(seconds=self.rng.choice((0.25, 2.0, 60.0)))

    # --- the campaign

    async def live(self, quota: int) -> None:
        """Rough nights until so many faults have happened, then calm ones until nothing moves."""
        while self.injected < quota:
            if self._patients < MOST_PATIENTS:
                self.arrive(self.rng.randint(1, 3))
            self.find_out()
            self._see_clinicians()
            await self._night_with_deaths()
            self.now += self.pause()
        await self.faults.settle()
        await self.calm_down()

    def pause(self) -> dt.timedelta:
        """From one start of the service to the next."""
        return dt.timedelta(minutes=self.rng.choice((2, 30, 600)))

    async def calm_down(self) -> None:
        self.calm = self.life.immortal = True
        before: list[Any] = []
        for _ in range(CALM_NIGHTS):
            self.now += dt.timedelta(hours=1)
            await self.night()
            now = self._standing()
            if now == before:
                return
            before = now

    def _standing(self) -> list[Any]:
        return [(row.id, row.state, row.version, row.missed_at, row.attempts) for row in self.rows()]

    def rows(self) -> list[Any]:
        with self.shared.db.read() as connection:
            return ledger.listed(connection, emr=self.slug)

    def end(self) -> None:
        """What grows goes out of the store that others share: a million faults leave it small."""
        with self.shared.db.write() as connection:
            for table in (Intent, DecisionRow, PassportVerb, PassportFact, PassportChange):
                connection.execute(sa.delete(table).where(table.emr == self.slug))

    def arrive(self, count: int) -> None:
        """New patients, for whom everything is wanted."""
        with self.shared.db.write() as connection:
            for _ in range(count):
                self._patients += 1
                who = f"p{self._patients}"
                self.store.load([{"resourceType": "Patient", "id": who, "active": True}])
                self.minted += wants.mint(connection, self.slug, who, self.shared.templates, now=self.now)

    def find_out(self) -> None:
        """Other findings: some of what is wanted is wanted otherwise, or no more."""
        with self.shared.db.write() as connection:
            for row in ledger.listed(connection, emr=self.slug):
                chance, number = self.rng.random(), self.rng.randrange(1_000_000)
                wanted = rawjson.loads(row.wanted.encode())
                # Planning leaves alone what it has taken back, and what somebody deleted.
                if chance < 0.3 and not row.deleted and not ours.is_closed(wanted):
                    changed = wants.another(wanted, self.rng, number)
                    changed = wants.withdrawn(wanted) if chance < 0.02 else changed
                    wants.want(connection, row, changed, now=self.now)

    def _see_clinicians(self) -> None:
        for version in [each for kind in KINDS for each in self.store.live(kind)]:
            chance = self.rng.random()
            if chance < 0.002:
                self.store.clinician_delete(version.type, version.id)
            elif chance < 0.04:
                self.store.clinician_edit(version.type, version.id, self.people.edit())
            self._own_edits += chance < 0.04

    # --- a night, as flow.nightly has it

    async def _night_with_deaths(self) -> None:
        self._told = set(self.store.shown)
        try:
            await self.night()
        except Crash:
            self._forget(self.store.shown.keys() - self._told)
            self.now += dt.timedelta(seconds=self.rng.choice((1, 60, 900)))

    def _forget(self, shown: set[tuple[str, str]]) -> None:
        """What only a process has seen that died before it could write it down, nobody knows. It had the
        time for whatever it had seen before its last write to the EMR."""
        written_down = {row.reference for row in self.rows()}
        for type_, id_ in shown:
            if f"{type_}/{id_}" not in written_down:
                del self.store.shown[type_, id_]

    async def night(self) -> None:
        db, shared = self.mortal, self.shared
        with shared.db.lease(f"the sync of {self.slug}"):
            with shared.db.read() as connection:
                emr = connections.get_emr(connection, self.slug)
            with db.write() as connection:
                ledger.sending_becomes_unknown(connection, self.slug, now=self.now)
            hold = Hold(clock=lambda: self.now.timestamp())
            http = EmrHttp(
                emr.base_url, NoCredentials(), sleep=self.sleep, hold=hold, transport=self.transport
            )
            async with http:
                client = FhirClient(http)
                exam = passport.examination(
                    shared.settings,
                    db,
                    client,
                    emr,
                    now=self.now,
                    saw=lambda shown: reconcile(db, self._on, shown),
                )
                await self._reconcile(client)
                quiet = dt.timedelta(seconds=shared.settings.unknown_quiet_seconds)
                pace = Pace(lambda: self.now, quiet, self.sleep)
                delivery = Delivery(
                    db=db,
                    client=client,
                    emr=self.slug,
                    now=self.now,
                    examination=exam,
                    pace=pace,
                    progress=lambda _text: None,
                    around=Around(BASE, dt.UTC, self.now, propose=True, settings=WriteSettings()),
                )
                await delivery.run(max_new=None)
                await self._learn(exam, delivery)

    async def _reconcile(self, client: FhirClient) -> None:
        read: list[Json] = []
        complete: set[str] = set()
        for kind in KINDS:
            try:
                async for page in client.search(kind, [("_count", "200")]):
                    read += map(rawjson.loads, page.resources)
            except EmrError:
                continue
            complete.add(kind)
        _, seen = reconcile(self.mortal, self._on, read)
        await note_deleted(self.mortal, client, self._on, complete=frozenset(complete), seen=seen)

    @property
    def _on(self) -> Connected:
        return Connected(self.slug, BASE, COOLOFF_DAYS, self.now)

    async def _learn(self, exam: passport.Examination, delivery: Delivery) -> None:
        try:
            await exam.fresh(delivery.book.fresh)
            if not delivery.stopped_by:
                await exam.if_due(may_write=True)
        except EmrError:
            return
