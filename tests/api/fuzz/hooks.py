"""For schemathesis, in its own process: a token of ours, renewed long before it is over."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from joserfc import jwt
from joserfc.jwk import ECKey

BASE = os.environ["FUZZ_BASE"]
CLIENT = json.loads(Path(os.environ["FUZZ_CLIENT"]).read_text())


@schemathesis.auth(refresh_interval=int(os.environ["FUZZ_RENEW_SECONDS"]))
class Token:
    def get(self, case: Any, context: Any) -> str:
        now, address = int(time.time()), f"{BASE}/auth/token"
        claims = {"iss": CLIENT["id"], "sub": CLIENT["id"], "aud": address, "iat": now, "exp": now + 240}
        header = {"alg": "ES384", "kid": CLIENT["kid"], "typ": "JWT"}
        key = ECKey.import_key(CLIENT["key"])
        form = {
            "grant_type": "client_credentials",
            "scope": "system/*.cruds",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt.encode(
                header, {**claims, "jti": uuid.uuid4().hex}, key, algorithms=["ES384"]
            ),
        }
        answer = httpx.post(address, data=form)
        return str(answer.raise_for_status().json()["access_token"])

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
