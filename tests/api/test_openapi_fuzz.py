"""schemathesis against the OpenAPI document: every check, examples to stateful, a real server."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from cm_service.db import doors
from cm_service.db.door_tables import AccessToken
from cm_service.db.engine import Database
from tests.api.door_world import Machine, add_emr, register
from tests.api.practice_world import PATIENT, OpenPractice
from tests.api.served import serving
from tests.flow.night_world import out_of_range

HERE = Path(__file__).parent / "fuzz"
SECONDS, SEED = os.environ.get("FUZZ_SECONDS", "20"), os.environ.get("FUZZ_SEED", "1")
RENEW, LIFE = 5, 9  # seconds after which the client asks anew, and after which a token is dead


class Filled(NamedTuple):
    doors: Database
    machine: Machine


def filled(folder: Path) -> Filled:
    """A store with two EMRs, patients who had a night, and a client that may do everything."""
    people = [*PATIENT, *out_of_range("p2"), *out_of_range("p3")]
    practice = OpenPractice(folder, people, identifier_base="https://cm-service.example")
    add_emr(practice.doors, "other")
    for patient in ("p1", "p2"):
        practice.act("acceptance", {"care_manager": "Practitioner/n"}, patient=patient)
    return Filled(practice.doors.database, register(practice.doors, Machine("fuzzer")))


@contextmanager
def short_lives(database: Database) -> Iterator[dict[str, dt.datetime]]:
    """Tokens die here after LIFE seconds instead of 300; gives when each was first seen."""
    seen: dict[str, dt.datetime] = {}
    over = threading.Event()

    def reap() -> None:
        while not over.wait(0.5):
            now = dt.datetime.now(dt.UTC)
            with database.write() as connection:
                for digest in connection.scalars(sa.select(AccessToken.digest)):
                    if now - seen.setdefault(digest, now) > dt.timedelta(seconds=LIFE):
                        mine = AccessToken.digest == digest
                        connection.execute(sa.update(AccessToken).where(mine).values(expires_at=now))

    reaper = threading.Thread(target=reap)
    reaper.start()
    try:
        yield seen
    finally:
        over.set()
        reaper.join()


def fuzzed(base: str, folder: Path, machine: Machine | None, *more: str) -> subprocess.CompletedProcess[str]:
    own: dict[str, Any] = {"id": "", "kid": "", "key": {}}
    if machine is not None:
        own = {"id": machine.id, "kid": machine.kid, "key": machine.key.as_dict(private=True)}
    client = folder / "client.json"
    client.write_text(json.dumps(own))
    environment = {**os.environ, "FUZZ_BASE": base, "FUZZ_CLIENT": str(client)}
    environment["FUZZ_RENEW_SECONDS"] = str(RENEW)
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file"]
    command += [
        str(HERE / ("schemathesis.toml" if machine else "without_token.toml")),
        "run",
        f"{base}/openapi.json",
    ]
    command += ["--checks", "all", "--max-time", SECONDS, "--seed", SEED, "--no-color"]
    command += ["--suppress-health-check", "all"]
    command += ["--report-dir", str(folder / "report"), "--continue-on-failure", *more]
    return subprocess.run(
        command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture
def base(tmp_path: Path) -> Iterator[tuple[str, Filled]]:
    store = filled(tmp_path)
    with serving(tmp_path, CM_API_CALLS_PER_MINUTE="100000") as base:
        yield base, store


def test_with_a_token_for_everything_no_check_fails(base: tuple[str, Filled], tmp_path: Path) -> None:
    address, store = base
    with short_lives(store.doors) as seen:
        done = fuzzed(address, tmp_path, store.machine)
    assert done.returncode == 0, done.stdout[-6000:]
    assert len(seen) >= 3, "the token was not renewed while it ran"
    dead = sorted(seen.values())[1] + dt.timedelta(seconds=LIFE + 1)  # the second one, too
    with store.doors.read() as connection:
        lines = doors.audited(connection, limit=10**6)
    late = [line for line in lines if line.who == store.machine.id and line.at > dead]
    assert sum(line.outcome < 400 for line in late) > 10, f"{len(late)} calls after the second token's end"


def test_without_a_token_no_check_fails(base: tuple[str, Filled], tmp_path: Path) -> None:
    address, _ = base
    done = fuzzed(address, tmp_path, None)
    assert done.returncode == 0, done.stdout[-6000:]
