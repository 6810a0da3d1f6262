"""The process kills itself (SIGKILL) at every point of a night, around each kind of request and at each
transaction: started again until nothing moves, there is one copy of each thing, and nothing is lost."""

from __future__ import annotations

import datetime as dt
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cm_service import wiring
from cm_service.db.engine import Database
from cm_service.sandbox import server
from cm_service.sandbox.declared import Personality
from cm_service.sandbox.personality import personality_named
from cm_service.sandbox.store import Store
from tests.flow.night_world import (
    AS_OF,
    BASE,
    Practice,
    a1c,
    condition,
    out_of_range,
    stay,
)
from tests.flow.personality_world import EQUIPPED, PROFILES
from tests.real.program import Ended, Running

NEXT = AS_OF + dt.timedelta(days=1)
FIRST = [*out_of_range("p1"), condition("htn", "I10"), *out_of_range("p3")]
# Then: another finding for one, a first for another, and a third who is well again.
SECOND = [
    a1c(9.8, id_="newer", effectiveDateTime="2026-11-19"),
    *out_of_range("p2"),
    stay(who="p2"),
    a1c(5.9, who="p3", id_="well", effectiveDateTime="2026-11-20"),
]
SAMPLE, SEED = 4, 20261120
MOST_NIGHTS = 8
NATIVE = {"generous", "hapi", "medplum"}
SETTLED = {"written", "superseded"}  # anything else is listed as not done
SAMPLED = ("hapi", "medplum", "epic", "oracle", "athena", "ecw", "meditech", "nextgen", "canvas")


def unhurried(name: str) -> Personality:
    """Its limit of calls a minute would stop a world whose minute does not pass."""
    return replace(personality_named(name), calls_a_minute=None)


class Before(NamedTuple):
    """What stands after the first, undisturbed night: the store's file and the EMR's resources."""

    store: bytes
    emr: list[dict[str, Any]]


class Quiet(NamedTuple):
    """An undisturbed second night: the points that it passes, and what it left in the EMR."""

    before: Before
    points: list[str]
    copies: dict[str, int]


@contextmanager
def clinic_of(name: str, folder: Path, emr: Store, base: str, store: bytes) -> Iterator[Practice]:
    folder.mkdir(parents=True, exist_ok=True)
    roster = folder / "roster"
    roster.write_text("p1\np2\np3\n")
    kind = {
        "profile": PROFILES.get(name, name),
        "settings": EQUIPPED,
        "roster": f"file:{roster}",
        "write_mode": "auto",
    }
    path = folder / "store.sqlite3"
    path.write_bytes(store)
    database = Database(f"sqlite:///{path}", lock_dir=folder)
    try:
        yield _Known(database, emr, base, folder, **({} if name == "generous" else kind))
    finally:
        database.engine.dispose()


class _Known(Practice):
    """The connection may be in the store already."""

    def add(self, **columns: Any) -> None:
        with self.database.read() as connection:
            is_there = connection.exec_driver_sql("SELECT count(*) FROM emr").scalar()
        if not is_there:
            super().add(**columns)


def start(clinic: Practice, *, die_at: str | None = None, points: Path | None = None) -> Ended:
    """`cm-service sync` in a process of its own."""
    own = {
        "CM_DATA_DIR": str(clinic.settings.data_dir),
        "CM_DATABASE_URL": clinic.database.url,
        "CM_IDENTIFIER_BASE": BASE,
    }
    clinic.emr.clock = lambda: NEXT
    options = ["--emr", "clinic", "--as-of", NEXT.isoformat(), "--max-new", "999", "--json"]
    return Running(["sync", *options], own, die_at=die_at, points=points).end()


def again(emr: Store, before: Before) -> None:
    """The EMR as it stood after the first night, and what came since."""
    emr.clear()
    emr.clock = lambda: AS_OF
    emr.load(before.emr)
    emr.load(SECOND)


def quiet_nights(name: str, emr: Store, base: str, folder: Path, template: Path) -> Quiet:
    emr.clear()
    emr.clock = lambda: AS_OF
    emr.load(FIRST)
    with clinic_of(name, folder / f"{name}-first", emr, base, template.read_bytes()) as clinic:
        clinic.run()
        store = Path(clinic.database.url.removeprefix("sqlite:///"))
    # Closed by now, so that the file is the whole of it.
    held = [chain[-1].resource for chain in emr.histories() if chain[-1].resource]
    before = Before(store.read_bytes(), held)
    again(emr, before)
    with clinic_of(name, folder / f"{name}-second", emr, base, before.store) as clinic:
        points = folder / f"{name}-points"
        ended = start(clinic, points=points)
        assert ended.exit == 0, ended
        until_quiet(clinic)
        copies = copies_of(clinic)
    return Quiet(before, points.read_text().splitlines(), copies)


def until_quiet(clinic: Practice) -> None:
    """Started again and again, an hour apart, until a night changes nothing."""
    standing: list[Any] = []
    for hour in range(1, MOST_NIGHTS):
        clinic.tools = clinic.tools._replace(clock=lambda hour=hour: wiring.now() + dt.timedelta(hours=hour))
        clinic.run(NEXT)
        now = [(row.id, row.state, row.version, row.missed_at) for row in clinic.rows()]
        if now == standing:
            return
        standing = now
    raise AssertionError("it does not come to rest")


def copies_of(clinic: Practice) -> dict[str, int]:
    """Intent -> things in the EMR's own store that carry it. One that an EMR lets nobody update has a
    successor for each change; a Goal that travels inside its plan has nothing of its own."""
    carriers = clinic.emr.carriers()
    return {row.business_key: len(carriers.get((row.system, row.value), [])) for row in clinic.rows()}


def wrong(clinic: Practice, quiet: Quiet) -> list[str]:
    """What is otherwise than after the same nights undisturbed, in words."""
    rows, copies, usual = clinic.rows(), copies_of(clinic), quiet.copies
    found = [f"lost: {key}" for key in usual.keys() - copies.keys()]
    for row in rows:
        there, due = copies[row.business_key], usual.get(row.business_key, 0)
        if there > due or (there < due and row.state in SETTLED):
            found.append(f"{row.kind} {row.code} is {row.state}: {there} in the EMR, {due} undisturbed")
    return found


@pytest.mark.parametrize("name", ["generous", *SAMPLED])
def test_a_night_killed_at_any_point_leaves_one_copy_of_each_thing(
    name: str, tmp_path: Path, sqlite_template: Path, request: pytest.FixtureRequest
) -> None:
    emr = Store()
    with server.running(emr, personality=unhurried(name)) as base:
        quiet = quiet_nights(name, emr, base, tmp_path, sqlite_template)
        chosen = quiet.points
        assert len(chosen) > 50
        most = max(quiet.copies.values())
        assert most == 1 if name in NATIVE else (most > 0) == (name != "nextgen"), "which writes nothing back"
        if name != "generous" and not request.config.getoption("--all-points"):
            chosen = random.Random(SEED).sample(chosen, SAMPLE)
        failed = {}
        for number, point in enumerate(chosen):
            again(emr, quiet.before)
            with clinic_of(name, tmp_path / str(number), emr, base, quiet.before.store) as clinic:
                ended = start(clinic, die_at=point)
                assert ended.exit == -signal.SIGKILL, (point, ended)
                until_quiet(clinic)
                if found := wrong(clinic, quiet):
                    failed[point] = found
        assert failed == {}
