"""A token server that nobody here wrote: oidc-provider, from npm, with SMART's two algorithms.

    make token-server                    once: 3 MB into tests/real/oidc/node_modules
    with token_server([client]) as url:  its address; it starts in half a second

It checks signature, algorithm, `aud`, `exp` and `jti` of an assertion by its own reading of RFC 7523.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.real.parts import free_port, missing, running, tail

HOME = Path(__file__).parent / "oidc"
Json = dict[str, Any]
# Who may ask the server whether a token lives: the front of the EMR.
FRONT: Json = {"client_id": "front", "client_secret": "of-the-front", "scope": "openid"}


def with_keys(*keys: Json, client_id: str = "cm-service", **more: Any) -> Json:
    """A client registered by its public keys."""
    method = {"token_endpoint_auth_method": "private_key_jwt"}
    return {"client_id": client_id, **method, "jwks": {"keys": list(keys)}, **more}


def with_key_set(url: str, client_id: str = "cm-service") -> Json:
    """A client registered by the address of its key set."""
    return {"client_id": client_id, "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": url}


def with_secret(secret: str, *, style: str, client_id: str = "cm-service") -> Json:
    method = f"client_secret_{style}"
    return {"client_id": client_id, "client_secret": secret, "token_endpoint_auth_method": method}


@contextmanager
def token_server(clients: Sequence[Json], *, scopes: Sequence[str], seconds: int = 300) -> Iterator[str]:
    """The server's address: its issuer, with `/token` and `/token/introspection` below it."""
    config = {"clients": [FRONT, *clients], "scopes": list(scopes), "seconds": seconds}
    with _served("server.mjs", config) as url:
        yield url


@contextmanager
def launch_server(client: Json, *, scopes: Sequence[str], user: str, patient: str) -> Iterator[str]:
    """The same provider for launches: with `/auth`, `/token` and `/jwks` below its issuer."""
    config = {"client": client, "scopes": list(scopes), "user": user, "patient": patient}
    with _served("launch.mjs", config) as url:
        yield url


@contextmanager
def _served(program: str, config: Json) -> Iterator[str]:
    if not shutil.which("node"):
        missing("Node 20 is not installed")
    if not (HOME / "node_modules" / "oidc-provider").is_dir():
        missing("the token server is not installed: run `make token-server`")
    with tempfile.TemporaryDirectory(prefix="cm-service-token-server-") as folder:
        port, log = free_port(), Path(folder) / "log"
        (Path(folder) / "config.json").write_text(json.dumps({"port": port, **config}))
        command = ["node", str(HOME / program), str(Path(folder) / "config.json")]
        with running(command, log=log, cwd=HOME) as process:
            deadline = time.monotonic() + 30
            while "listening" not in log.read_text():
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"the token server did not start:\n{tail(log)}", pytrace=False)
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"


def introspected(server: str, token: str) -> Json:
    """What the server says of a token: `active`, `scope`, `client_id`."""
    pair = (FRONT["client_id"], FRONT["client_secret"])
    answer = httpx.post(f"{server}/token/introspection", data={"token": token}, auth=pair)
    return dict(answer.raise_for_status().json())


def revoked(server: str, token: str) -> None:
    """The token lives no more, and its owner was not told."""
    pair = (FRONT["client_id"], FRONT["client_secret"])
    httpx.post(f"{server}/token/revocation", data={"token": token}, auth=pair).raise_for_status()
