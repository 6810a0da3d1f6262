"""One EMR connection of `make lost-changes`: the service's own nights read a ward, roughly and then in peace.

What a night says of itself is compared with the ward's store. There is no waiting: every sleep moves the
clock. Nothing is proven by a sample, which would only hide what the cursors lose.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from campaigns.harm import Crash, Life, MortalDatabase, steady
from campaigns.roads import Roads
from campaigns.wants import START, add_emr
from campaigns.ward import CHANGING, Ward
from cm_service.db import cursors, passport, sync
from cm_service.db.engine import Database
from cm_service.db.sealed import Sealer
from cm_service.errors import EmrError
from cm_service.fhir.client import FhirClient
from cm_service.fhir.credentials import NoCredentials
from cm_service.fhir.hold import Hold
from cm_service.fhir.http import EmrHttp
from cm_service.flow import record
from cm_service.flow.nightly import NightOptions, Tools, night
from cm_service.flow.passport.examine import CHECKED
from cm_service.sandbox.front import front_door
from cm_service.sandbox.index import Dropped
from cm_service.sandbox.transport import InProcess
from cm_service.settings import Settings

SLUG, QUIET_NIGHTS = "clinic", 3
YOUNG = dt.timedelta(hours=12)  # so long a pull that was killed is gone on with
Json = dict[str, Any]


def prepared(folder: Path) -> Path:
    """A store with its schema and one EMR, whose `_lastUpdated` somebody has vouched for."""
    path = folder / "template.sqlite3"
    db = Database(f"sqlite:///{path}", lock_dir=folder / "locks")
    db.migrate()
    said = {
        "name": "campaign",
        "title": "the campaign's",
        "source": "this campaign",
        "date": "2026-11",
        "last_updated": [{"resources": ["*"], "support": "instant"}],
    }
    (folder / "campaign.json").write_text(json.dumps(said))
    with db.write() as connection:
        add_emr(connection, SLUG, profile="campaign")
        passport.save_fact(connection, SLUG, "", CHECKED, "yes", at=START)
    db.engine.dispose()
    return path


class World:
    """`figures` and `found` (a sentence for each loss) say at the end how it went."""

    def __init__(self, folder: Path, template: Path, number: int, seed: str) -> None:
        self.home = folder / f"world-{number}"
        self.home.mkdir()
        shutil.copy(template, self.home / "store.sqlite3")
        self.db = Database(f"sqlite:///{self.home / 'store.sqlite3'}", lock_dir=self.home / "locks")
        self.rng = random.Random(f"{seed}/world")
        self.ward = Ward(seed, START)
        self.life = Life(random.Random(f"{seed}/life"), at_requests=0.006, at_transactions=0.006)
        door = front_door(self.ward.store, self.ward.personality)
        self.roads = Roads(self.ward, door, seed=seed, sleep=self.sleep)
        self.transport = InProcess(self.life.around(self.roads))
        self.life.immortal = True
        settings = Settings(data_dir=self.home, profile_dir=str(folder), sample_most=0)
        sealer = Sealer([Fernet.generate_key().decode()])
        self.tools = Tools(
            settings,
            MortalDatabase(self.db, self.life),
            self._client,
            lambda: self.ward.now,
            self.sleep,
            lambda: sealer,
        )
        self.figures: Counter[str] = Counter()
        self.found: list[str] = []
        self._begun: dt.datetime | None = None

    async def sleep(self, seconds: float) -> None:
        self.ward.pass_by(steady(seconds))

    @asynccontextmanager
    async def _client(self, emr: Any) -> AsyncIterator[FhirClient]:
        hold = Hold(clock=lambda: self.ward.now.timestamp())
        http = EmrHttp(emr.base_url, NoCredentials(), sleep=self.sleep, hold=hold, transport=self.transport)
        async with http:
            yield FhirClient(http)

    def end(self) -> None:
        self.db.engine.dispose()
        shutil.rmtree(self.home)

    # --- the campaign

    def live(self, quota: int) -> None:
        """A first night in peace, rough ones until so many changes, then quiet ones; at last one that
        reads everything, for what no search tells: deletions."""
        self.night()
        self.roads.calm = self.life.immortal = False
        while self.ward.changes < quota:
            self.ward.day(self.rng)
            self.night()
        self.roads.calm = self.life.immortal = True
        for _ in range(QUIET_NIGHTS):
            self.ward.pass_by(3600)
            self.night()
        self._count_lost()
        self.ward.pass_by(3600)
        self.night(full=True)
        self._count_undead()
        self.figures["changes"] += self.ward.changes
        self.figures["requests"] += self.roads.plan.requests
        self.figures["expired links"] += self.roads.expired
        self.figures["network faults"] += self.roads.plan.faults
        self.figures["answers of failing types"] += self.roads.failing

    def night(self, *, full: bool = False) -> None:
        """One run, which may be killed or come to nothing."""
        self.roads.evening()
        self._begun = max(self._begun or self.ward.now, self.ward.now - YOUNG)
        options = NightOptions(as_of=self.ward.now, full=full, max_new=0)
        try:
            told = night(self.tools, SLUG, options, lambda _text: None)
        except Crash:
            self.figures["killed runs"] += 1
            return
        except EmrError as error:
            self.figures[f"failed runs: {type(error).__name__}"] += 1
            return
        self.figures[f"{told['status']} runs"] += 1
        self._judge(told)
        self._begun = None

    def _judge(self, told: Json) -> None:
        """Is what it says of itself true?"""
        for said in told["types"].values():
            self.figures["types read for changes" if said.get("changes_only") else "types read whole"] += 1
        for kind, how in self.roads.dropped.items():
            self.figures["dropped_filters"] += 1
            if _noticed(told["types"].get(kind, {}), how):
                self.figures["dropped_filters_noticed"] += 1
            else:
                self.found.append(f"nobody noticed that {kind} was not filtered ({how})")
        if told["status"] == "complete":
            holes = self._missing()
            self.figures["false_complete"] += bool(holes)
            self.found += [f"called itself complete without {place}" for place in holes]

    # --- what is held, and what should be

    def _held(self) -> dict[str, int]:
        """`Type/id` -> the version in our records."""
        with self.db.read() as connection:
            whom = sync.held_records(connection, SLUG)
            facts = [record.decode(each) for each in sync.load_facts(connection, SLUG, whom).values()]
            places = {k: record.decode_one(v) for k, v in sync.held_places(connection, SLUG).items()}
        known = {key: fact for each in facts for key, fact in each.items()} | places
        return {key: int(fact.version or 0) for key, fact in known.items()}

    def _missing(self) -> list[str]:
        """What is not held though searches showed it when each type was read by the run's own word, which
        is that of the run that was gone on with, and never older than such a one may be."""
        held, found = self._held(), list[str]()
        with self.db.read() as connection:
            told = cursors.as_of(connection, SLUG)
        for kind, since in self._since(told).items():
            behind = (each for each in self.ward.visible(since, kind) if held.get(each.key, 0) < each.number)
            found += (f"version {each.number} of {each.key} (held: {held.get(each.key)})" for each in behind)
        return found

    def _since(self, told: Json) -> dict[str, dt.datetime]:
        begun = self._begun or self.ward.now
        return {kind: max(begun, told[kind]["oldest"]) if kind in told else begun for kind in CHANGING}

    def _count_lost(self) -> None:
        held = self._held()
        for each in (each for kind in CHANGING for each in self.ward.visible(self.ward.now, kind)):
            if (behind := each.number - held.get(each.key, 0)) > 0:
                self.figures["lost"] += behind
                self.found.append(f"{behind} changes of {each.key} were lost")

    def _count_undead(self) -> None:
        for key in self._held():
            if not self.ward.store.exists(key):
                self.figures["lost"] += 1
                self.found.append(f"{key} was deleted, and is held")


def _noticed(said: Json, how: Dropped) -> bool:
    """An answer without anything is indistinguishable from a filter that nothing met: then it is enough
    that everything was read."""
    if said.get("dropped_filters") or said.get("status") != "complete":
        return True
    return how is Dropped.EMPTY and not said.get("changes_only")
