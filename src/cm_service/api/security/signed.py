"""A JWT that somebody signed for us: its header is judged before a key is looked up, its claims after
the signature. One function for client assertions (RFC 7523) and CDS clients (CDS Hooks 2.0.1).

The checks that joserfc leaves to its caller are here: typ, kid, lifetime, jti, exact audience.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Collection
from typing import Any, NamedTuple, TypeGuard

import msgspec
from joserfc import jws
from joserfc.errors import JoseError

from cm_service.api.security.key_sets import ALGORITHMS, PublicKey
from cm_service.errors import CmError

LONGEST_TOKEN, LONGEST_NAME = 8192, 512  # characters
LONGEST_LIFE = dt.timedelta(minutes=5)
SKEW = dt.timedelta(seconds=60)
# Names of people's own making (x5t of Azure's libraries) are ignored; these change what a token means.
_FORBIDDEN_HEADER = frozenset({"crit", "b64", "zip", "cty", "enc", "jwk", "x5u", "x5c"})


class NotTrusted(CmError):
    """A token that proves nothing. The text says why without repeating anything of the token."""


class Header(NamedTuple):
    algorithm: str
    kid: str
    jku: str | None


class Claims(NamedTuple):
    issuer: str
    subject: str | None
    jti: str
    expires_at: dt.datetime


KeyOf = Callable[[str, Header], Awaitable[PublicKey | None]]


async def checked(token: str, *, key_of: KeyOf, audiences: Collection[str], now: dt.datetime) -> Claims:
    """The claims of a token that is signed by its issuer's key, meant for exactly one of `audiences`,
    and alive. `key_of(issuer, header)` gives the key of a registered issuer, None for any other.
    Whether its jti was used before is for the caller to ask, last. Raises NotTrusted."""
    header, claims = _parts(token)
    issuer = claims.get("iss")
    if not _is_name(issuer):
        raise NotTrusted("the token has no issuer")
    key = await key_of(issuer, header)
    if key is None:
        raise NotTrusted("no registered key fits this token")
    try:
        jws.deserialize_compact(token, key, algorithms=[header.algorithm])
    except (JoseError, ValueError, TypeError) as error:
        raise NotTrusted("the signature is not right") from error
    _meant_for(claims.get("aud"), audiences)
    return _alive(issuer, claims, now)


def _parts(token: str) -> tuple[Header, dict[str, Any]]:
    """Header and claims as they stand there, not yet believed."""
    if len(token) > LONGEST_TOKEN:
        raise NotTrusted("the token is too long")
    if token.count(".") != 2:
        raise NotTrusted("this is no signed JWT in compact form")
    try:
        read = jws.extract_compact(token.encode("ascii"))
        header, claims = dict(read.headers()), msgspec.json.decode(read.payload)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise NotTrusted("this is no signed JWT in compact form") from error
    if not isinstance(claims, dict):
        raise NotTrusted("the claims are no JSON object")
    return _header(header), claims


def _header(raw: dict[str, Any]) -> Header:
    if _FORBIDDEN_HEADER & set(raw):
        raise NotTrusted("the header asks for something that is not done here")
    if raw.get("typ") != "JWT":
        raise NotTrusted("the header's typ is not JWT, which SMART requires")
    algorithm, kid, jku = raw.get("alg"), raw.get("kid"), raw.get("jku")
    if algorithm not in ALGORITHMS:
        raise NotTrusted("the algorithm is none of RS384 and ES384")
    if not isinstance(kid, str) or not kid:
        raise NotTrusted("the header names no key")
    if jku is not None and not isinstance(jku, str):
        raise NotTrusted("the header's jku is no URL")
    return Header(algorithm, kid, jku)


def _meant_for(audience: Any, ours: Collection[str]) -> None:
    """A token that is meant for somebody else, too, is theirs to replay: refused."""
    named = audience if isinstance(audience, list) else [audience]
    if not named or not all(isinstance(name, str) and name in ours for name in named):
        raise NotTrusted("the token is not meant for this address")


def _alive(issuer: str, claims: dict[str, Any], now: dt.datetime) -> Claims:
    expires = _moment(claims, "exp")
    if expires is None:
        raise NotTrusted("the token has no expiry")
    if expires + SKEW <= now:
        raise NotTrusted("the token has expired")
    if expires > now + LONGEST_LIFE + SKEW:
        raise NotTrusted("the token lives longer than five minutes")
    for name in ("iat", "nbf"):
        begins = _moment(claims, name)
        if begins is not None and begins > now + SKEW:
            raise NotTrusted(f"the token's {name} is in the future")
    jti, subject = claims.get("jti"), claims.get("sub")
    if not _is_name(jti):
        raise NotTrusted("the token has no jti")
    return Claims(issuer, subject if isinstance(subject, str) else None, jti, expires + SKEW)


def _is_name(value: Any) -> TypeGuard[str]:
    """A text that a store can look up: no NUL, no half of a surrogate pair, no book."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable()


def _moment(claims: dict[str, Any], name: str) -> dt.datetime | None:
    """Seconds since 1970 as RFC 7519 has them; None if absent."""
    raw = claims.get(name)
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise NotTrusted(f"the token's {name} is no number")
    try:
        return dt.datetime.fromtimestamp(raw, dt.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise NotTrusted(f"the token's {name} is no moment") from error
