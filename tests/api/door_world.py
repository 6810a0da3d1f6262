"""A service with its doors open, clients with keys of their own, and a clock that tests may turn."""

from __future__ import annotations

import atexit
import datetime as dt
import shutil
import tempfile
import uuid
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from cm_service.api.app import create_app
from cm_service.db import connections, doors
from cm_service.db.engine import Database
from cm_service.settings import Settings

NOW = dt.datetime(2026, 11, 20, 20, 0, tzinfo=dt.UTC)
BASE = "https://cm.example"
TOKEN_URL = f"{BASE}/auth/token"
READ_AND_WRITE = "system/*.cruds"


@dataclass
class Doors:
    """`app` as it would be served under BASE; `now` is its clock."""

    app: FastAPI
    now: dt.datetime = NOW
    http: httpx.Client = field(init=False)

    @property
    def store(self) -> Database:
        return self.app.state.doorway.store

    @property
    def database(self) -> Database:
        return self.app.state.doorway.database

    def audit(self) -> list[Any]:
        with self.database.read() as connection:
            return doors.audited(connection)


class Machine:
    """A registered client: it signs its assertions itself."""

    def __init__(self, client_id: str, *, algorithm: str = "ES384") -> None:
        self.id, self.algorithm, self.kid = client_id, algorithm, f"{client_id}-key"
        make = ECKey.generate_key("P-384") if algorithm == "ES384" else RSAKey.generate_key(2048)
        self.key: Any = make

    @property
    def jwks(self) -> dict[str, Any]:
        public = self.key.as_dict(private=False)
        return {"keys": [{**public, "kid": self.kid, "use": "sig", "alg": self.algorithm}]}

    def claims(self, *, now: dt.datetime = NOW, **changes: Any) -> dict[str, Any]:
        usual = {
            "iss": self.id,
            "sub": self.id,
            "aud": TOKEN_URL,
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + 240,
            "jti": uuid.uuid4().hex,
        }
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        full = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT"} | header
        kept = {name: value for name, value in full.items() if value is not None}
        return jwt.encode(kept, claims, self.key, algorithms=[kept["alg"]])

    def assertion(self, *, now: dt.datetime = NOW, **changes: Any) -> str:
        return self.sign(self.claims(now=now, **changes))


def open_doors(folder: Path, *, database_url: str = "", **settings: Any) -> Doors:
    """A whole service in `folder`; raises what the service raises."""
    if not database_url and not folder.joinpath("keys").exists():
        shutil.copytree(_migrated(), folder, dirs_exist_ok=True)
    app = create_app(Settings(data_dir=folder, database_url=database_url, public_url=BASE, **settings))
    world = Doors(app)
    app.state.doorway = replace(app.state.doorway, clock=lambda: world.now)
    app.state.doorway.keys._clock = lambda: world.now
    world.http = _client(app)
    return world


@cache
def _migrated() -> Path:
    """A data folder with current schemas, which every other one begins as."""
    folder = Path(tempfile.mkdtemp(prefix="cm-doors-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    door = create_app(Settings(data_dir=folder, database_url="", public_url=BASE)).state.doorway
    door.store.engine.dispose()
    door.database.engine.dispose()
    return folder


def _client(app: FastAPI) -> httpx.Client:
    from starlette.testclient import TestClient

    return TestClient(app, base_url=BASE, raise_server_exceptions=False)


def register(
    world: Doors, machine: Machine, *, scope: str = READ_AND_WRITE, emrs: list[str] | None = None, **more: Any
) -> Machine:
    """`emrs` None: every connection."""
    columns = {"jwks": machine.jwks, "jwks_url": None} | more
    with world.database.write() as connection:
        doors.add_client(
            connection, id=machine.id, name=machine.id, scope=scope, emrs=emrs, created_at=NOW, **columns
        )
    return machine


def add_emr(world: Doors, slug: str, **columns: Any) -> None:
    usual = {
        "base_url": "http://127.0.0.1:9/fhir",
        "timezone": "America/Detroit",
        "auth": "none",
        "token_reference": None,
        "group_id": None,
        "practice": None,
        "owner": None,
        "write_mode": "propose",
        "settings": {},
        "profile": None,
        "test_patient": None,
    }
    with world.store.write() as connection:
        connections.add_emr(connection, slug=slug, now=NOW, **(usual | columns))


def form(machine: Machine, *, scope: str = "system/*.cruds", **changes: Any) -> dict[str, Any]:
    usual = {
        "grant_type": "client_credentials",
        "scope": scope,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "",
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def ask(world: Doors, machine: Machine, **changes: Any) -> httpx.Response:
    """A token request as a well-behaved client makes it, except for `changes`."""
    body = form(machine, **{"client_assertion": machine.assertion(now=world.now), **changes})
    return world.http.post("/auth/token", data=body)


def bearer(world: Doors, machine: Machine, *, scope: str = "system/*.cruds") -> dict[str, str]:
    """Headers with a fresh token."""
    answer = ask(world, machine, scope=scope)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}
