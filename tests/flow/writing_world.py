"""A practice behind a bad network whose clock a test moves, on an EMR that a test chooses."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cm_service import wiring
from cm_service.db.engine import Database
from cm_service.flow.passport import proofs
from cm_service.sandbox import server
from cm_service.sandbox.declared import Guard, Meta, Personality
from cm_service.sandbox.personality import GENEROUS
from cm_service.sandbox.store import Store
from tests.flow.bad_network import Network, bad_network
from tests.flow.night_world import AS_OF, Json, Practice, a1c

DATED = replace(GENEROUS, name="dated", guard=Guard.DATE)
LIAR = replace(GENEROUS, name="liar", guard=Guard.NONE)  # shows versions and looks at none
BARE = replace(GENEROUS, name="bare", guard=Guard.NONE, meta=Meta.NONE)
NEWER = a1c(9.8, id_="newer", effectiveDateTime="2026-11-19")
DAY = dt.timedelta(days=1)
_SERVED: dict[str, tuple[Store, str, ExitStack]] = {}


class Hours:
    """The clock of the process, which creeps until a test moves it, and a sleep that is remembered."""

    def __init__(self) -> None:
        self.now, self.slept = AS_OF, list[float]()

    def clock(self) -> dt.datetime:
        self.now += dt.timedelta(milliseconds=1)
        return self.now

    def forward(self, **span: float) -> None:
        self.now += dt.timedelta(**span)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.forward(seconds=seconds)
        await asyncio.sleep(0)


class Ward(Practice):
    hours: Hours
    network: Network

    def knows(self, fact: str, value: str, kind: str = "Task") -> None:
        counts = {"seen": 3, "missed": int(value == "missed")}
        with self.database.write() as connection:
            proofs.set_fact(connection, "clinic", kind, fact, value, now=AS_OF, detail=counts)

    def profiled(self, **said: Any) -> None:
        """A vendor profile of this EMR that says so."""
        folder = self.folder / "profiles"
        folder.mkdir(exist_ok=True)
        said = {"name": "mine", "title": "Mine", "source": "a test", "date": "2026-11", **said}
        (folder / "mine.json").write_text(json.dumps(said))
        self.settings = self.settings.model_copy(update={"profile_dir": str(folder)})
        self.wire()
        self.set(profile="mine")

    def wire(self) -> None:
        tools = wiring.night_tools(self.settings, self.database)
        self.tools = tools._replace(clock=self.hours.clock, sleep=self.hours.sleep)


def _served(personality: Personality) -> tuple[Store, str]:
    if personality.name not in _SERVED:
        emr, stack = Store(), ExitStack()
        base_url = stack.enter_context(server.running(emr, personality=personality))
        _SERVED[personality.name] = emr, base_url, stack
    emr, base_url, _ = _SERVED[personality.name]
    emr.clear()
    emr.clock = lambda: AS_OF
    return emr, base_url


@contextmanager
def ward(
    database: Database, folder: Path, resources: list[Json], personality: Personality = GENEROUS
) -> Iterator[Ward]:
    emr, base_url = _served(personality)
    emr.load(resources)
    with bad_network(base_url) as network:
        made = Ward(database, emr, network.base, folder, timeout=0.5)
        made.network, made.hours = network, Hours()
        made.wire()
        yield made
