"""Who the user is: the id_token, validated as OpenID Connect Core 3.1.3.7 and SMART say (EL-7, EL-8)."""

from __future__ import annotations

import datetime as dt
import hmac
import re
from typing import Any, NamedTuple

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from cm_service.api.security.key_sets import LEAST_RSA_BITS
from cm_service.db.doors import digest
from cm_service.errors import CmError

# SMART: every EHR must be able to sign with RS256; nothing symmetric, never none.
ALGORITHMS = ("RS256", "RS384", "ES256", "ES384")
SKEW = dt.timedelta(seconds=60)
_CURVES = {"ES256": "P-256", "ES384": "P-384"}
_USERS = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Person")
_USER = re.compile(rf"({'|'.join(_USERS)})/([A-Za-z0-9.-]{{1,128}})")


class NotProven(CmError):
    """The id_token does not prove who the user is."""


class User(NamedTuple):
    reference: str  # Type/id
    subject: str


class Expected(NamedTuple):
    issuer: str
    client_id: str
    base_url: str
    nonce_digest: str
    now: dt.datetime


def kid_of(token: str) -> str | None:
    """The header's kid, None where there is none (launchers for trying send none). Raises NotProven."""
    kid = _header(token).get("kid")
    return kid if isinstance(kid, str) else None


def user_of(token: str, keys: list[dict[str, Any]], expected: Expected) -> User:
    """Raises NotProven; KeyError never: whatever is missing proves nothing."""
    header = _header(token)
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise NotProven("the id_token is signed by an algorithm that is not accepted")
    key = _key(keys, header.get("kid"), algorithm)
    try:
        read = jws.deserialize_compact(token, key, algorithms=[algorithm])
        claims = msgspec.json.decode(read.payload)
    except (JoseError, ValueError, TypeError) as error:
        raise NotProven("the signature of the id_token is not right") from error
    if not isinstance(claims, dict):
        raise NotProven("the id_token holds no claims")
    _require(claims, expected)
    return User(_user(claims, expected.base_url), str(claims["sub"]))


def _header(token: str) -> dict[str, Any]:
    try:
        if token.count(".") != 2 or len(token) > 20_000:
            raise NotProven("the id_token is no signed JWT")
        header = dict(jws.extract_compact(token.encode("ascii")).headers())
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise NotProven("the id_token is no signed JWT") from error
    if {"crit", "b64", "zip", "enc"} & set(header):
        raise NotProven("the id_token asks for something that is not done here")
    return header


def _key(keys: list[dict[str, Any]], kid: Any, algorithm: str) -> RSAKey | ECKey:
    """By kid; without one only where exactly one key could have signed. Keys in the header are ignored."""
    kty = "RSA" if algorithm.startswith("RS") else "EC"
    fits = [k for k in keys if k.get("kty") == kty and k.get("use", "sig") == "sig"]
    fits = [k for k in fits if k.get("alg", algorithm) == algorithm]
    if kty == "EC":
        fits = [k for k in fits if k.get("crv") == _CURVES[algorithm]]
    if kid is not None:
        fits = [k for k in fits if k.get("kid") == kid]
    if len(fits) != 1:
        raise NotProven("no single key of the EMR fits the id_token")
    try:
        found = RSAKey.import_key(fits[0]) if kty == "RSA" else ECKey.import_key(fits[0])
        weak = isinstance(found, RSAKey) and found.public_key.key_size < LEAST_RSA_BITS
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise NotProven("the EMR's key cannot be read") from error
    if weak:
        raise NotProven("the EMR's key is too short")
    return found


def require_same_subject(token: str, *, subject: str, client_id: str) -> None:
    """What a refresh brought (OpenID Connect Core 12.2): it came from the token endpoint itself, so that
    its words are compared and no signature is asked for. Raises NotProven."""
    _header(token)
    try:
        claims = msgspec.json.decode(jws.extract_compact(token.encode("ascii")).payload)
    except (JoseError, ValueError, TypeError) as error:
        raise NotProven("the id_token of the refresh cannot be read") from error
    said = claims if isinstance(claims, dict) else {}
    audience = said.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if said.get("sub") != subject or client_id not in named:
        raise NotProven("the refresh is about somebody else")


def _require(claims: dict[str, Any], expected: Expected) -> None:
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") != expected.issuer:
        raise NotProven("the id_token is of another issuer")
    if expected.client_id not in named or (len(named) > 1 and claims.get("azp") != expected.client_id):
        raise NotProven("the id_token is meant for somebody else")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise NotProven("the id_token names nobody")
    if _moment(claims, "exp") + SKEW <= expected.now:
        raise NotProven("the id_token has expired")
    if _moment(claims, "iat") > expected.now + SKEW:
        raise NotProven("the id_token is from the future")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(digest(nonce), expected.nonce_digest):
        raise NotProven("the id_token belongs to another launch")


def _moment(claims: dict[str, Any], name: str) -> dt.datetime:
    raw = claims.get(name)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise NotProven(f"the id_token has no {name}")
    try:
        return dt.datetime.fromtimestamp(raw, dt.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise NotProven(f"the id_token's {name} is no moment") from error


def _user(claims: dict[str, Any], base_url: str) -> str:
    """fhirUser: relative, or absolute under the EMR's own base and nowhere else."""
    raw = claims.get("fhirUser")
    if not isinstance(raw, str):
        raise NotProven("the id_token names no fhirUser")
    reference = raw.removeprefix(f"{base_url.rstrip('/')}/")
    if not _USER.fullmatch(reference):
        raise NotProven("the fhirUser is not one of this EMR")
    return reference
