"""`make faults COUNT= SEED=`: so many faults, in one process, without sockets and without waiting.

The last line is one JSON object; `duplicates` and `lost` are counted from the EMR's store. Exit 1 if
either is not 0, or if more than 1 % of the intents are unknown at the end where searches show what was
just written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from campaigns import verdict, wants
from campaigns.world import Shared, World
from cm_service.db.engine import Database
from cm_service.sandbox.personality import personality_named
from cm_service.settings import Settings

COUNT, SEED, WORKERS = 10_000, 1, 12
FAULTS_A_WORLD, SHARE = 500, 0.5
WORLDS_A_PART = 60
SEARCHABLE = ("generous", "hapi", "medplum")
MOST_UNKNOWN = 0.01


def campaign(
    shared: Shared, *, count: int, seed: int, names: tuple[str, ...], part: int = 0, parts: int = 1
) -> Counter[str]:
    """Figures of all worlds, or of one part of them. Twelve are worked on at once, each with its own lease
    and delivery; none depends on another."""
    figures: Counter[str] = Counter()

    async def worker(worlds: Iterator[int]) -> None:
        for number in worlds:
            name = names[number % len(names)]
            world = World(shared, f"{name}-{number}", personality_named(name), f"{seed}/{number}")
            await world.live(min(FAULTS_A_WORLD, count - number * FAULTS_A_WORLD))
            _add(figures, world)
            world.end()

    async def all_workers() -> None:
        worlds = iter(range(part, -(-count // FAULTS_A_WORLD), parts))
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(worker(worlds))

    asyncio.run(all_workers())
    return figures


def _add(figures: Counter[str], world: World) -> None:
    judged = verdict.judge(world)
    figures.update(
        faults=world.injected,
        requests=world.plan.requests,
        intents=judged.intents,
        duplicates=judged.duplicates,
        lost=judged.lost,
        unknown=judged.unknown,
        unsettled=judged.unsettled,
        resolved=judged.resolved,
        crashes=world.life.deaths,
    )
    figures.update(f"fault: {kind.value}" for kind in world.plan.counts.elements())
    if not world.index_lags:
        figures.update(searchable=judged.intents, unknown_though_searchable=judged.unknown)
    figures.update(f"not done, {why}" for why in judged.why.elements())
    for why, place in judged.found:
        print(f"{world.slug}: {why}: {place}", flush=True)


def shared_by_all(folder: Path, database_url: str | None, *, share: float = SHARE) -> Shared:
    """A store with its schema, empty of EMRs but for the one whose intents are the pattern."""
    db = Database(database_url or f"sqlite:///{folder / 'faults.sqlite3'}", lock_dir=folder / "locks")
    db.migrate()
    settings = Settings(data_dir=folder, identifier_base=wants.BASE, profile_dir=str(folder))
    return Shared(db, settings, wants.templates(db, folder), share)


def _part(options: argparse.Namespace, parts: int, part: int) -> Counter[str]:
    """One of so many parts, on a store of its own."""
    began = time.process_time()
    with tempfile.TemporaryDirectory(prefix="cm-faults-") as folder:
        shared = shared_by_all(Path(folder), options.database_url)
        names = tuple(options.personality or SEARCHABLE)
        figures = campaign(
            shared, count=options.count, seed=options.seed, names=names, part=part, parts=parts
        )
        shared.db.engine.dispose()
    figures["processor seconds"] = round(time.process_time() - began)
    return figures


def _all(options: argparse.Namespace) -> Counter[str]:
    """A long campaign in many parts, so that no process waits long for the last one."""
    if options.processes == 1:
        return _part(options, 1, 0)
    worlds = options.count // FAULTS_A_WORLD
    parts = options.processes * max(1, worlds // (WORLDS_A_PART * options.processes))
    with ProcessPoolExecutor(options.processes) as pool:
        return sum(pool.map(partial(_part, options, parts), range(parts)), Counter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--processes", type=int, help="each with a part of the worlds; else one per core")
    parser.add_argument("--database-url", help="an empty PostgreSQL database in place of SQLite")
    parser.add_argument("--personality", action="append", help="may be given several times")
    options = parser.parse_args()
    options.processes = options.processes or (1 if options.database_url else os.cpu_count() or 1)
    began = time.perf_counter()
    figures = _all(options)
    for name, value in sorted(figures.items()):
        print(f"{name}: {value}")
    print(f"{figures['faults'] / (time.perf_counter() - began):.0f} faults a second")
    told = ("faults", "intents", "duplicates", "lost", "unknown", "resolved")
    print(json.dumps({name: figures[name] for name in told} | {"seed": options.seed}))
    too_many = figures["unknown_though_searchable"] > MOST_UNKNOWN * figures["searchable"]
    sys.exit(1 if figures["duplicates"] or figures["lost"] or too_many else 0)


if __name__ == "__main__":
    main()
