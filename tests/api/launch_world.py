"""An EMR that launches us: FHIR base and authorisation server in one, on a real socket, as bad as asked."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.api.door_world import Doors, add_emr, open_doors

CLIENT = "cm-service-client"
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "birthDate": "1976-05-01",
    "name": [{"given": ["Ada"], "family": "Lovelace"}],
}
NURSE = {"resourceType": "Practitioner", "id": "n", "name": [{"text": "Nora Nurse"}]}


class Odd(NamedTuple):
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})


class LaunchingEmr:
    """`token` and `claims` are laid over what a good server would answer; `seen` are the token requests."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, parameters={"kid": "k1"})
        self.base = ""
        self.token: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.configuration: dict[str, Any] = {}
        self.resources = {"Patient/p1": PATIENT, "Practitioner/n": NURSE}
        self.seen: list[dict[str, str]] = []
        self.calls: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.odd: dict[str, Odd] = {}  # path -> what is said instead
        self.forge: Callable[[dict[str, Any]], str] | None = None  # claims -> id_token
        self.keys: list[dict[str, Any]] | None = None

    @property
    def origin(self) -> str:
        return self.base.removesuffix("/fhir")

    def get(self, path: str) -> Any:
        own = {
            "issuer": self.base,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "jwks_uri": f"{self.origin}/jwks",
            "code_challenge_methods_supported": ["S256"],
            "capabilities": ["launch-ehr"],
        }
        if path == "/fhir/.well-known/smart-configuration":
            return {k: v for k, v in {**own, **self.configuration}.items() if v is not None}
        if path == "/jwks" and self.keys is not None:
            return {"keys": self.keys}
        if path == "/jwks":
            return {"keys": [{**self.key.as_dict(private=False), "kid": "k1", "use": "sig", "alg": "RS256"}]}
        return self.resources.get(path.removeprefix("/fhir/"))

    def authorize(self, location: str) -> str:
        """What a browser would be sent to: the code for this request."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return code

    def exchange(self, form: dict[str, str], now: int) -> Any:
        self.seen.append(form)
        asked = self.codes.pop(form.get("code", ""), {})
        again = form.get("grant_type") == "refresh_token"
        usual = {
            "access_token": secrets.token_urlsafe(16),
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": "launch openid fhirUser patient/*.read online_access",
            "patient": "p1",
            "id_token": None if again else self.id_token(asked.get("nonce"), now),
        }
        return {k: v for k, v in {**usual, **self.token}.items() if v is not None}

    def id_token(self, nonce: str | None, now: int) -> str:
        usual = {
            "iss": self.base,
            "aud": CLIENT,
            "sub": "nora",
            "nonce": nonce,
            "iat": now,
            "exp": now + 300,
            "fhirUser": f"{self.base}/Practitioner/n",
        }
        claims = {k: v for k, v in {**usual, **self.claims}.items() if v is not None}
        if self.forge is not None:
            return self.forge(claims)
        header = {k: v for k, v in {"alg": "RS256", "kid": "k1", **self.header}.items() if v is not None}
        return jwt.encode(header, claims, self.key, algorithms=["RS256"])


@contextmanager
def serving(emr: LaunchingEmr, world: Doors) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            emr.calls.append(self.path)
            if not self._odd():
                self._send(emr.get(urlsplit(self.path).path))

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            form = {name: values[0] for name, values in parse_qs(raw.decode()).items()}
            if self._odd():
                emr.seen.append(form)
                return
            self._send(emr.exchange(form, int(world.now.timestamp())))

        def _odd(self) -> bool:
            odd = emr.odd.get(urlsplit(self.path).path)
            if odd is None:
                return False
            self.send_response(odd.status)
            for name, value in {"Content-Type": "application/json", **odd.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(odd.body)))
            self.end_headers()
            self.wfile.write(odd.body)
            return True

        def _send(self, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    emr.base = f"http://127.0.0.1:{server.server_address[1]}/fhir"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def launching(folder: Path, **settings: Any) -> Iterator[tuple[Doors, LaunchingEmr]]:
    world, emr = open_doors(folder, **settings), LaunchingEmr()
    with serving(emr, world):
        options = {"client-id": CLIENT, "public": "yes"}
        add_emr(world, "clinic", base_url=emr.base, launch_options=options)
        yield world, emr


def begin(world: Doors, emr: LaunchingEmr, **changes: Any) -> httpx.Response:
    params = {"iss": emr.base, "launch": "xyz", **changes}
    return world.http.get("/launch", params=params, follow_redirects=False)


def come_back(
    world: Doors, emr: LaunchingEmr, away: httpx.Response, *, slug: str = "clinic", **changes: Any
) -> httpx.Response:
    """The browser comes back from the EMR, as it does after `begin`."""
    location = away.headers["location"]
    state = parse_qs(urlsplit(location).query)["state"][0]
    params = {"code": emr.authorize(location), "state": state, **changes}
    given = {name: value for name, value in params.items() if value is not None}
    return world.http.get(f"/launch/callback/{slug}", params=given)


def token_in(page: httpx.Response) -> str:
    return page.text.partition('data-token="')[2].partition('"')[0]
