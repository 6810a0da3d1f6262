"""`make edits COUNT= SEED=`: so many edits by clinicians in the very resources that we are writing.

Under the three ways to say which version an update replaces: ETag, If-Unmodified-Since, none. People
edit between our read and our write, and between our write and our look. The last line is one JSON
object; `lost` are the edits, theirs or ours, that vanished without a word. Exit 1 if it is not 0.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from campaigns import verdict
from campaigns.faults import shared_by_all
from campaigns.harm import KINDS
from campaigns.world import Shared, World
from cm_service.fhir.vendor import Precondition
from cm_service.sandbox import counters
from cm_service.sandbox.counters import LostUpdate
from cm_service.sandbox.declared import Guard, Meta, Personality
from cm_service.sandbox.exchange import Incoming, Outgoing
from cm_service.sandbox.personality import GENEROUS

COUNT, SEED, WORKERS = 10_000, 1, 8
EDITS_A_WORLD, BEFORE, AFTER = 500, 0.6, 0.3
# An EMR without versions and without dates cannot be told apart from itself: no style helps there.
STYLES: dict[str, tuple[Personality, Precondition]] = {
    "etag": (replace(GENEROUS, name="etag"), Precondition.ETAG),
    "if-unmodified-since": (
        replace(GENEROUS, name="date", guard=Guard.DATE, etag=False, meta=Meta.NO_VERSION),
        Precondition.IF_UNMODIFIED_SINCE,
    ),
    "none": (replace(GENEROUS, name="none", guard=Guard.NONE, etag=False), Precondition.NONE),
}


class Ward(World):
    """A world with a sound network in which nobody leaves our resources alone."""

    def __init__(self, shared: Shared, style: str, number: int, seed: int) -> None:
        personality, precondition = STYLES[style]
        super().__init__(shared, f"{style}-{number}", personality, f"{seed}/{number}", profile=style)
        self.style = style
        self.life.immortal = True
        self.conflicts = 0
        self.silent: list[LostUpdate] = []
        self._judged: set[LostUpdate] = set()
        _profile(shared.settings.profile_dir, style, precondition)

    @property
    def edits(self) -> int:
        return len(self.store.written(by="clinician"))

    async def live(self, quota: int) -> None:
        while self.edits < quota:
            self.arrive(1)  # people make ever more of what is there theirs
            self.find_out()
            await self.night()
            self.now += self.pause()
            self._listen()
        await self.calm_down()
        self._listen()

    async def _way(self, incoming: Incoming) -> Outgoing:
        """People first, then the request, then people again before anybody has looked."""
        near = not self.calm and incoming.type in KINDS and bool(incoming.id)
        if near and incoming.method == "PUT":
            self._edit(incoming, BEFORE)
        outgoing = await self._door(incoming)
        self.conflicts += outgoing.status in (409, 412)
        if near:
            self._edit(incoming, AFTER)
        return outgoing

    def _edit(self, incoming: Incoming, chance: float) -> None:
        while self.store.exists(f"{incoming.type}/{incoming.id}") and self.rng.random() < chance:
            self.now += self.moment()
            self.store.clinician_edit(incoming.type, incoming.id, self.people.edit())

    def _listen(self) -> None:
        """Was every edit that is not there any more spoken of in the night that took it away?"""
        rows = {row.reference: row for row in self.rows()}
        for lost in set(counters.lost_updates(self.store)) - self._judged:
            self._judged.add(lost)
            if not (_is_back(self, lost) or _is_said(rows.get(lost.key))):
                self.silent.append(lost)


def _is_back(ward: Ward, lost: LostUpdate) -> bool:
    """Put back by whoever took it away."""
    versions = ward.store.history(*lost.key.split("/"))
    theirs = (versions[lost.edit - 1].resource or {}).get(lost.element)
    later = [(version.resource or {}).get(lost.element) for version in versions[lost.write :]]
    return any(_holds(each, theirs) for each in later)


def _holds(now: Any, theirs: Any) -> bool:
    if isinstance(theirs, list) and isinstance(now, list):
        return all(item in now for item in theirs)
    return bool(now == theirs)


def _is_said(row: Any) -> bool:
    return row is not None and (row.state in ("conflict", "parked") or bool(row.reason))


def _profile(folder: str, style: str, precondition: Precondition) -> None:
    """What an operator would say of this EMR."""
    said = {
        "name": style,
        "title": style,
        "source": "this campaign",
        "date": "2026-11",
        "precondition": precondition.value,
        "conditional_create": {"answer": "yes"},
        "identifiers_kept": {"answer": "yes"},
    }
    (Path(folder) / f"{style}.json").write_text(json.dumps(said))


def campaign(shared: Shared, *, count: int, seed: int, styles: tuple[str, ...]) -> Counter[str]:
    figures: Counter[str] = Counter()

    async def worker(worlds: Iterator[int]) -> None:
        for number in worlds:
            ward = Ward(shared, styles[number % len(styles)], number, seed)
            await ward.live(min(EDITS_A_WORLD, count - number * EDITS_A_WORLD))
            _add(figures, ward)
            ward.end()

    async def all_workers() -> None:
        worlds = iter(range(-(-count // EDITS_A_WORLD)))
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(worker(worlds))

    asyncio.run(all_workers())
    return figures


def _add(figures: Counter[str], ward: Ward) -> None:
    judged = verdict.judge(ward)
    found = [each for each in judged.found if each.why != verdict.OVERWRITTEN]
    found += [verdict.Found(verdict.OVERWRITTEN, f"{lost.key} {lost.element}") for lost in ward.silent]
    figures.update(edits=ward.edits, intents=judged.intents, lost=len(found), conflicts=ward.conflicts)
    figures[f"edits under {ward.style}"] += ward.edits
    figures[f"conflicts under {ward.style}"] += ward.conflicts
    for why, place in found:
        print(f"{ward.slug}: {why}: {place}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--database-url", help="an empty PostgreSQL database in place of SQLite")
    parser.add_argument("--style", action="append", choices=sorted(STYLES))
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="cm-edits-") as folder:
        shared = shared_by_all(Path(folder), options.database_url)
        styles = tuple(options.style or STYLES)
        figures = campaign(shared, count=options.count, seed=options.seed, styles=styles)
        shared.db.engine.dispose()
    for name, value in sorted(figures.items()):
        print(f"{name}: {value}")
    print(f"{figures['edits'] / (time.perf_counter() - began):.0f} edits a second")
    told = ("edits", "intents", "lost", "conflicts")
    print(json.dumps({name: figures[name] for name in told} | {"seed": options.seed}))
    sys.exit(1 if figures["lost"] else 0)


if __name__ == "__main__":
    main()
