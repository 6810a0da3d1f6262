"""Tokens as attackers make them, from the claims that a good one would have."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from joserfc import jwe, jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from tests.api.door_world import Machine
from tests.api.key_server import KeyServer

Claims = dict[str, Any]
Forge = Callable[[Machine, Claims], str]


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def compact(header: Claims, payload: bytes, signature: bytes = b"") -> str:
    return ".".join((_b64(json.dumps(header).encode()), _b64(payload), _b64(signature)))


def none(machine: Machine, claims: Claims) -> str:
    return compact({"alg": "none", "kid": machine.kid, "typ": "JWT"}, json.dumps(claims).encode())


def symmetric(machine: Machine, claims: Claims) -> str:
    """HS256 under the public key, which everybody has."""
    header = {"alg": "HS256", "kid": machine.kid, "typ": "JWT"}
    unsigned = compact(header, json.dumps(claims).encode()).rpartition(".")[0]
    secret = machine.key.as_pem(private=False)
    return f"{unsigned}.{_b64(hmac.digest(secret, unsigned.encode(), hashlib.sha256))}"


def by(key: Any, algorithm: str, **header: Any) -> Forge:
    """Signed well, by this key and not by the machine's, under these words."""

    def forge(machine: Machine, claims: Claims) -> str:
        full = {"alg": algorithm, "kid": machine.kid, "typ": "JWT", **header}
        return jws.serialize_compact(full, json.dumps(claims), key, algorithms=[algorithm])

    return forge


def worded(**header: Any) -> Forge:
    """Signed by the machine itself, with this in its header; None takes a word out."""

    return lambda machine, claims: _signed(machine, claims, header)


def _signed(machine: Machine, claims: Claims, header: Claims) -> str:
    """By hand: a library would refuse to write much of this."""
    full = {"alg": machine.algorithm, "kid": machine.kid, "typ": "JWT", **header}
    kept = {name: value for name, value in full.items() if value is not None}
    unsigned = compact(kept, json.dumps(claims).encode()).rpartition(".")[0]
    return f"{unsigned}.{_b64(_signature(machine, unsigned.encode()))}"


def _signature(machine: Machine, message: bytes) -> bytes:
    model = jws.JWSRegistry.algorithms[machine.algorithm]
    signed: bytes = model.sign(message, machine.key)
    return signed


def changed(**claims: Any) -> Forge:
    """Signed by the machine itself; None takes a claim away."""

    def forge(machine: Machine, usual: Claims) -> str:
        kept = {name: value for name, value in (usual | claims).items() if value is not None}
        return _signed(machine, kept, {})

    return forge


def later(name: str, seconds: float) -> Forge:
    """A moment that many seconds after `iat`."""
    return lambda machine, usual: machine.sign(usual | {name: usual["iat"] + seconds})


def nested(machine: Machine, claims: Claims) -> str:
    inner = machine.sign(claims)
    header = {"alg": machine.algorithm, "kid": machine.kid, "typ": "JWT", "cty": "JWT"}
    return jws.serialize_compact(header, inner, machine.key, algorithms=[machine.algorithm])


def encrypted(_machine: Machine, claims: Claims) -> str:
    """A JWE whose plaintext is deflated: 100 bytes that would become a megabyte."""
    header = {"alg": "dir", "enc": "A128GCM", "zip": "DEF"}
    text = zlib.compress(json.dumps(claims | {"pad": "0" * 10**6}).encode())
    return jwe.encrypt_compact(header | {"zip": "DEF"}, text[:50], OctKey.generate_key(128))


def with_embedded_key(machine: Machine, claims: Claims) -> str:
    own = ECKey.generate_key("P-384")
    return by(own, "ES384", jwk=own.as_dict(private=False))(machine, claims)


# Each must be refused, whoever asks: a client for a token, an EMR for cards.
EVERYWHERE: dict[str, Forge] = {
    "4-F02 alg none": none,
    "4-F03 HS256 under the public key": symmetric,
    "4-F03 HS384 under a short secret": by(OctKey.import_key("secret-" * 8), "HS384"),
    "4-F04 RS256": by(RSAKey.generate_key(2048), "RS256"),
    "4-F04 signed by a key of the attacker's": by(ECKey.generate_key("P-384"), "ES384"),
    "4-F04 with the attacker's key in the header": with_embedded_key,
    "4-F08 a kid that nobody has": worded(kid="nobody-has-this"),
    "4-F08 no kid": worded(kid=None),
    "4-F08 a kid that is no text": worded(kid=7),
    "4-F09 aud of another host": changed(aud="https://attacker.example/auth/token"),
    "4-F09 no aud": changed(aud=None),
    "4-F09 aud with somebody else in it": lambda m, c: m.sign(
        c | {"aud": [c["aud"], "https://else.example"]}
    ),
    "4-F09 empty aud": changed(aud=[]),
    "4-F09 http instead of https": lambda m, c: m.sign(c | {"aud": c["aud"].replace("https:", "http:")}),
    "4-F09 trailing slash": lambda m, c: m.sign(c | {"aud": f"{c['aud']}/"}),
    "4-F09 upper case": lambda m, c: m.sign(c | {"aud": c["aud"].upper()}),
    "4-F10 exp past": later("exp", -61),
    "4-F10 exp one hour ahead": later("exp", 3600),
    "4-F10 no exp": changed(exp=None),
    "4-F10 exp as text": changed(exp="4102444800"),
    "4-F10 exp beyond all time": changed(exp=1e300),
    "4-F10 exp true": changed(exp=True),
    "4-F11 iat in the future": later("iat", 61),
    "4-F11 nbf in the future": later("nbf", 61),
    "5-F03 crit": worded(crit=["exp"]),
    "5-F04 b64 false": worded(b64=False, crit=["b64"]),
    "5-F05 nested": nested,
    "5-F06 longer than any token": changed(pad="0" * 20_000),
    "5-F07 deflated JWE": encrypted,
    "5-F07 zip": worded(zip="DEF"),
    "typ is missing": worded(typ=None),
    "typ of an access token": worded(typ="at+jwt"),
    "no jti": changed(jti=None),
    "jti with NUL": changed(jti="a\0b"),
    "jti of half a pair": changed(jti="\ud800"),
    "iss with NUL": changed(iss="a\0b"),
    "iss of half a pair": changed(iss="\ud800"),
    "iss is a list": changed(iss=["lab"]),
    "no iss": changed(iss=None),
    "claims are no object": lambda m, _c: jws.serialize_compact(
        {"alg": m.algorithm, "kid": m.kid, "typ": "JWT"}, "[]", m.key, algorithms=[m.algorithm]
    ),
    "no token at all": lambda _m, _c: "x",
    "dots only": lambda _m, _c: "..",
    "no ASCII": lambda _m, _c: "é.é.é",
}


@contextmanager
def served(*keys: Claims) -> Iterator[KeyServer]:
    server = KeyServer()
    with server.running():
        server.keys = list(keys)
        yield server
