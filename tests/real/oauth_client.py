"""An OAuth client that nobody here wrote: openid-client, from npm, with what SMART asks for beyond its
defaults (`typ`, and `aud` as the token's address) given to it by its own hook.

`make token-server` installs it beside the token server.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.api.door_world import Machine
from tests.real.parts import missing

HOME = Path(__file__).parent / "oidc"
Json = dict[str, Any]


def asks(base: str, machine: Machine, path: str, *, folder: Path, smart: bool = True, **claims: Any) -> Json:
    """It finds our token endpoint by discovery, gets a token as `machine`, and calls `path` with it."""
    if not shutil.which("node"):
        missing("Node 20 is not installed")
    if not (HOME / "node_modules" / "openid-client").is_dir():
        missing("the OAuth client is not installed: run `make token-server`")
    hooks: Json = {"typ": "JWT"} if smart else {}
    config = {
        "base": base,
        "client_id": machine.id,
        "key": {"jwk": machine.key.as_dict(private=True), "kid": machine.kid},
        "scope": "system/*.rs",
        "path": path,
        "header": hooks,
        "claims": ({"aud": f"{base}/auth/token"} if smart else {}) | claims,
    }
    place = folder / "oauth-client.json"
    place.write_text(json.dumps(config))
    command = ["node", str(HOME / "client.mjs"), str(place)]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said: Json = json.loads(done.stdout.splitlines()[-1])
    return said
