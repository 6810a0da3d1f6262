"""Several processes of the service on one PostgreSQL: what one has seen, all have seen."""

from __future__ import annotations

import datetime as dt
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest

from tests.api.door_world import Machine, form, open_doors, register
from tests.api.served import served, serving
from tests.real.command import Home

ASKED_AT_ONCE, TIMES = 6, 10


@pytest.fixture
def machine(postgres_url: str, tmp_path: Path) -> Machine:
    return register(open_doors(tmp_path, database_url=postgres_url), Machine("lab"))


def assertion(machine: Machine, base: str) -> dict[str, Any]:
    signed = machine.assertion(now=dt.datetime.now(dt.UTC), aud=f"{base}/auth/token")
    return form(machine, client_assertion=signed)


def answers(bases: Sequence[str], asked: dict[str, Any]) -> list[int]:
    """Statuses of the same request, sent by several at the same moment to these addresses in turn."""
    ready = Barrier(ASKED_AT_ONCE)

    def ask(number: int) -> int:
        with httpx.Client(trust_env=False, timeout=30) as http:
            ready.wait()
            return http.post(f"{bases[number % len(bases)]}/auth/token", data=asked).status_code

    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        return sorted(pool.map(ask, range(ASKED_AT_ONCE)))


@pytest.mark.postgres
def test_5_f16_an_assertion_is_good_once_for_two_services(
    machine: Machine, postgres_url: str, tmp_path: Path
) -> None:
    with (
        serving(tmp_path, database_url=postgres_url) as one,
        serving(tmp_path, database_url=postgres_url, CM_PUBLIC_URL=one) as two,
    ):
        for _ in range(TIMES):
            assert answers((one, two), assertion(machine, one)) == [200] + [401] * (ASKED_AT_ONCE - 1)
        asked = assertion(machine, one)
        used, again = (httpx.post(f"{base}/auth/token", data=asked) for base in (two, one))
        assert (used.status_code, again.status_code) == (200, 401)
        known = {"Authorization": f"Bearer {used.json()['access_token']}"}
        assert httpx.get(f"{one}/v1/emrs", headers=known).status_code == 200


@pytest.mark.postgres
def test_two_workers_answer_and_know_the_same(machine: Machine, postgres_url: str, tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "2", database_url=postgres_url) as service:
        for _ in range(TIMES):
            statuses = answers([service.base], assertion(machine, service.base))
            assert statuses == [200] + [401] * (ASKED_AT_ONCE - 1)
        given = httpx.post(f"{service.base}/auth/token", data=assertion(machine, service.base)).json()
        headers = {"Authorization": f"Bearer {given['access_token']}"}
        one, two = service.workers
        for alone in (one, two):
            other = two if alone == one else one
            os.kill(other, signal.SIGSTOP)
            try:
                answer = httpx.get(f"{service.base}/v1/emrs", headers=headers, timeout=4)
            finally:
                os.kill(other, signal.SIGCONT)
            assert answer.status_code == 200, f"worker {alone} does not answer alone"


def test_on_sqlite_two_workers_are_refused_in_one_sentence(tmp_path: Path) -> None:
    said = Home(tmp_path).run("serve", "--workers", "2")
    assert said.exit == 2
    assert "--workers above 1 needs PostgreSQL (CM_DATABASE_URL): SQLite has one writer" in said.stderr
