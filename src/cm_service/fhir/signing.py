"""One private key and what it signs with: RSA with RS384 or P-384 with ES384, the two of SMART."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from cm_service.errors import Misconfigured

ALGORITHMS = ("RS384", "ES384")  # in the order in which they are tried
_SMALLEST_RSA = 2048
_PUBLIC = ("kty", "n", "e", "crv", "x", "y")

Key = RSAKey | ECKey


class Signer(NamedTuple):
    kid: str
    alg: str
    key: Key

    def sign(self, claims: dict[str, Any]) -> str:
        """A compact JWS; says itself which key and algorithm made it."""
        header = {"alg": self.alg, "kid": self.kid, "typ": "JWT"}
        return jwt.encode(header, claims, self.key, algorithms=[self.alg])


def signer_of(text: str, *, kid: str | None) -> Signer:
    """Of a private key as PEM or JWK; without `kid` the JWK's own, else its thumbprint (RFC 7638).
    Raises Misconfigured, without a word of the key."""
    try:
        given = json.loads(text) if text.lstrip().startswith("{") else text
        key = key_of(given)
        alg = _algorithm(key)
        own = given.get("kid") if isinstance(given, dict) else None
        return Signer(kid=kid or own or key.thumbprint(), alg=alg, key=key)
    except (JoseError, ValueError, TypeError, KeyError):
        raise Misconfigured("the signing key is no private key as PEM or JWK") from None


def key_of(given: dict[str, Any] | str) -> Key:
    if isinstance(given, dict):
        return RSAKey.import_key(given) if given["kty"] == "RSA" else ECKey.import_key(given)
    try:
        return RSAKey.import_key(given)
    except (JoseError, ValueError, TypeError):
        return ECKey.import_key(given)


def public_jwk(jwk: dict[str, Any], *, kid: str, alg: str) -> dict[str, Any]:
    """By allow-list: no private part can slip through."""
    return {name: jwk[name] for name in _PUBLIC if name in jwk} | {"kid": kid, "alg": alg, "use": "sig"}


def _algorithm(key: Key) -> str:
    jwk = key.as_dict(private=True)
    if "d" not in jwk:
        raise Misconfigured("the signing key is a public key: the private one is needed")
    if isinstance(key, RSAKey):
        if key.raw_value.key_size < _SMALLEST_RSA:
            raise Misconfigured(f"the RSA signing key is shorter than {_SMALLEST_RSA} bits")
        return "RS384"
    if jwk["crv"] != "P-384":
        raise Misconfigured("an elliptic signing key must be on the curve P-384 (ES384)")
    return "ES384"
