"""A token endpoint that a test scripts, our credentials for it, and a clock that stands still."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from cm_service.fhir.credentials import NoCredentials
from cm_service.fhir.http import EmrHttp
from cm_service.fhir.proofs import PrivateKeyJwt, Prover
from cm_service.fhir.signing import ALGORITHMS, Key, Signer
from cm_service.fhir.smart import Registration, TokenCredentials
from tests.fhir.builders import Waits
from tests.fhir.scripted import Reply, Request, ScriptedEmr, as_json

NOW = dt.datetime(2026, 11, 20, 20, 0, tzinfo=dt.UTC)  # the scripted EMR's own time
Json = dict[str, Any]
T = TypeVar("T")


@cache
def key(algorithm: str) -> Key:
    return RSAKey.generate_key(2048) if algorithm == "RS384" else ECKey.generate_key("P-384")


def prover(*algorithms: str) -> Prover:
    def signer(algorithm: str, _now: dt.datetime) -> Signer:
        return Signer(kid=f"{algorithm}-1", alg=algorithm, key=key(algorithm))

    return PrivateKeyJwt("cm-service", algorithms or ALGORITHMS, signer)


class Clock:
    def __init__(self, now: dt.datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


class Smart:
    """`emr` answers; `credentials` are ours; `waits` are the seconds that we waited."""

    def __init__(
        self, emr: ScriptedEmr, *, by: Prover | None = None, timeout: float = 20.0, **registered: Any
    ) -> None:
        self.emr, self.clock, self.waits, self.timeout = emr, Clock(), Waits(), timeout
        self.token_url = emr.base.removesuffix("/fhir") + "/token"
        usual = {"base_url": emr.base, "scope": "system/Patient.rs"}
        self.credentials = TokenCredentials(
            Registration(**(usual | registered)),
            by or prover(),
            connect=self._connect,
            now=self.clock,
            sleep=self.waits,
        )

    def _connect(self, base_url: str, attempts: int) -> EmrHttp:
        limits: Json = {"timeout_seconds": self.timeout, "max_body_bytes": 100_000, "sleep": self.waits}
        return EmrHttp(base_url, NoCredentials(), attempts=attempts, open_door=True, **limits)

    def header(self) -> str:
        return self.run(self.credentials.authorization)

    def run(self, ask: Callable[[], Awaitable[T]]) -> T:
        async def asked() -> T:
            return await ask()

        return asyncio.run(asked())

    @property
    def forms(self) -> list[Json]:
        """The form of every token request, in order."""
        seen = self.emr.seen("POST token")
        return [{name: values[0] for name, values in parse_qs(r.body.decode()).items()} for r in seen]

    @property
    def assertions(self) -> list[tuple[Json, Json]]:
        """(header, claims) of every assertion, its signature checked."""
        return [verified(form["client_assertion"]) for form in self.forms]


def verified(assertion: str) -> tuple[Json, Json]:
    algorithm = "RS384" if len(assertion.rpartition(".")[2]) > 200 else "ES384"
    token = jwt.decode(assertion, key(algorithm), algorithms=[algorithm])
    return token.header, token.claims


def document(emr: ScriptedEmr, **changes: Any) -> Reply:
    """A smart-configuration; None takes an element away."""
    usual: Json = {
        "token_endpoint": emr.base.removesuffix("/fhir") + "/token",
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    }
    return as_json({name: value for name, value in (usual | changes).items() if value is not None})


def token(access_token: Any = "t1", **changes: Any) -> Reply:
    usual: Json = {
        "access_token": access_token,
        "token_type": "bearer",
        "expires_in": 300,
        "scope": "system/Patient.rs",
    }
    return as_json({name: value for name, value in (usual | changes).items() if value is not None})


def no(error: str, status: int = 400, **headers: str) -> Reply:
    return as_json({"error": error, "error_description": "Meyer, born 1944"}, status, **headers)


def smart_emr(emr: ScriptedEmr, *tokens: Reply | Callable[[Request], Reply]) -> ScriptedEmr:
    emr.on("GET .well-known/smart-configuration", document(emr))
    emr.on("POST token", *(tokens or (token(),)))
    return emr


def skewed(reply: Reply, seconds: int) -> Reply:
    """The same answer from a server whose clock is so far ahead of ours."""
    told = NOW + dt.timedelta(seconds=seconds)
    reply.headers["Date"] = told.strftime("%a, %d %b %Y %H:%M:%S GMT")
    return reply
