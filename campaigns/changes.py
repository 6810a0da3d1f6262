"""`make lost-changes COUNT= SEED=`: so many changes in an EMR whose clocks, commits and pages cannot be
relied on, read by the service's own incremental nights; without sockets and without waiting.

The last line is one JSON object; `lost` is counted from the EMR's store. Exit 1 if anything was lost, if a
run with a hole called itself complete, or if a dropped filter went unnoticed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from campaigns.reader import World, prepared

COUNT, SEED = 20_000, 1
CHANGES_A_WORLD = 500
TOLD = ("changes", "lost", "false_complete", "dropped_filters", "dropped_filters_noticed")


def campaign(folder: Path, *, count: int, seed: int, part: int = 0, parts: int = 1) -> Counter[str]:
    """Figures of all worlds, or of one part of them; none depends on another."""
    figures: Counter[str] = Counter()
    template = prepared(folder)
    for number in range(part, -(-count // CHANGES_A_WORLD), parts):
        world = World(folder, template, number, f"{seed}/{number}")
        world.live(min(CHANGES_A_WORLD, count - number * CHANGES_A_WORLD))
        figures += world.figures
        for place in world.found:
            print(f"world {number}: {place}", flush=True)
        world.end()
    return figures


def is_bad(figures: Counter[str]) -> bool:
    unnoticed = figures["dropped_filters"] - figures["dropped_filters_noticed"]
    return bool(figures["lost"] or figures["false_complete"] or unnoticed)


def _part(options: argparse.Namespace, part: int) -> Counter[str]:
    with tempfile.TemporaryDirectory(prefix="cm-changes-") as folder:
        figures = campaign(
            Path(folder), count=options.count, seed=options.seed, part=part, parts=options.processes
        )
    figures["processor seconds"] = round(time.process_time())
    return figures


def _all(options: argparse.Namespace) -> Counter[str]:
    if options.processes == 1:
        return _part(options, 0)
    with ProcessPoolExecutor(options.processes) as pool:
        parts = pool.map(partial(_part, options), range(options.processes))
        return sum(parts, Counter())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="each with a part of them")
    options = parser.parse_args()
    began = time.perf_counter()
    figures = _all(options)
    for name, value in sorted(figures.items()):
        print(f"{name}: {value}")
    print(f"{figures['changes'] / (time.perf_counter() - began):.0f} changes a second")
    print(json.dumps({name: figures[name] for name in TOLD} | {"seed": options.seed}))
    sys.exit(1 if is_bad(figures) else 0)


if __name__ == "__main__":
    main()
