"""Launches that should fail, and what their tests share."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
from joserfc import jws

from cm_service.db import launches
from tests.api.door_world import Doors
from tests.api.launch_world import LaunchingEmr, begin, come_back, token_in

Both = tuple[Doors, LaunchingEmr]
Json = dict[str, Any]
SCRIPT = "<script>alert(1)</script>"


def refused(answer: httpx.Response, *never: str) -> None:
    """A page that says what to do, shows nothing of what came, and holds no session."""
    assert answer.status_code == 400, answer.text
    assert token_in(answer) == ""
    assert answer.headers["cache-control"] == "no-store" and "location" not in answer.headers
    for word in (*never, SCRIPT):
        assert word not in answer.text


def launched(both: Both, **changes: Any) -> httpx.Response:
    world, emr = both
    return come_back(world, emr, begin(world, emr), **changes)


def session_of_page(world: Doors, page: httpx.Response) -> Any:
    with world.database.read() as connection:
        return launches.session(connection, token_in(page), now=world.now)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def rs256(emr: LaunchingEmr, claims: Json, key: Any = None, algorithm: str = "RS256", **header: Any) -> str:
    full = {"alg": algorithm, "kid": "k1", **header}
    kept = {name: value for name, value in full.items() if value is not None}
    return jws.serialize_compact(kept, json.dumps(claims), key or emr.key, algorithms=[algorithm])
