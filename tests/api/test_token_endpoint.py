"""Our token endpoint as a client sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.door_world import Doors, Machine, ask, bearer, open_doors, register


@pytest.fixture
def world(tmp_path: Path) -> Doors:
    return open_doors(tmp_path)


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_a_client_gets_a_token_for_what_is_registered(world: Doors, algorithm: str) -> None:
    machine = register(world, Machine("lab", algorithm=algorithm), scope="system/Patient.rs")
    answer = ask(world, machine, scope="system/*.read")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["token_type"] == "bearer" and body["expires_in"] <= 300
    assert body["scope"] == "system/Patient.rs"
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Pragma"] == "no-cache"


def test_an_assertion_is_good_once(world: Doors) -> None:
    machine = register(world, Machine("lab"))
    assertion = machine.assertion()
    first, second = (ask(world, machine, client_assertion=assertion) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 401)
    assert second.json()["error"] == "invalid_client"


def test_without_a_token_everything_behind_the_gate_is_401(world: Doors) -> None:
    for method, path in (
        ("GET", "/v1"),
        ("GET", "/v1/emrs"),
        ("POST", "/v1/evaluate"),
        ("DELETE", "/v1/x/y"),
    ):
        answer = world.http.request(method, path, content=b"{not json")
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_with_a_token_what_is_not_there_is_404(world: Doors) -> None:
    machine = register(world, Machine("lab"))
    assert world.http.get("/v1/nothing", headers=bearer(world, machine)).status_code == 404
