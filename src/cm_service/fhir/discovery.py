"""`.well-known/smart-configuration` (SMART App Launch 2.2): where tokens come from, and how it likes them.

The document is read without any credential. What it says of the token endpoint is believed only where
the endpoint is on the EMR's own host: another one must be named by a person, else a hostile document
could have us sign for, or send our secret to, somebody else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx

from cm_service.errors import NotFhir
from cm_service.fhir.answers import Answer
from cm_service.fhir.credentials import is_loopback
from cm_service.fhir.http import Ask, EmrHttp

MAX_BYTES = 1_000_000
_WHAT = "GET smart-configuration"


class SmartConfiguration(NamedTuple):
    """`algorithms` is None where nothing is said of them. `capabilities` are SMART's words."""

    token_endpoint: str | None = None
    issuer: str | None = None
    algorithms: frozenset[str] | None = None
    capabilities: frozenset[str] = frozenset()


async def discover(http: EmrHttp) -> SmartConfiguration:
    """`http` leads to the FHIR base. Raises EmrUnreachable, EmrRefused, NotFhir."""
    base = str(http.base_url).rstrip("/")
    # Some servers answer an Accept that they do not like with 406 or HTML.
    ask = Ask("GET", f"{base}/.well-known/smart-configuration", _WHAT, {"Accept": "application/json, */*"})
    return await http.read(ask, lambda answer: _parsed(answer, base))


def _parsed(answer: Answer, base: str) -> SmartConfiguration:
    body = answer.json()
    if not isinstance(body, dict):
        raise NotFhir("the body is no smart-configuration")
    endpoint, issuer = body.get("token_endpoint"), body.get("issuer")
    algorithms = body.get("token_endpoint_auth_signing_alg_values_supported")
    return SmartConfiguration(
        token_endpoint=_absolute(endpoint, base) if isinstance(endpoint, str) else None,
        issuer=issuer if isinstance(issuer, str) else None,
        algorithms=_words(algorithms) if isinstance(algorithms, list) else None,
        capabilities=_words(body.get("capabilities")),
    )


def _absolute(endpoint: str, base: str) -> str:
    """Old servers name a relative one. An absolute one stays letter by letter: it is what they sign for."""
    try:
        whole = httpx.URL(endpoint).is_absolute_url
        return endpoint if whole else str(httpx.URL(f"{base}/").join(endpoint))
    except httpx.InvalidURL:
        raise NotFhir("the token endpoint is no URL") from None


def _words(given: Any) -> frozenset[str]:
    return (
        frozenset(word for word in given if isinstance(word, str)) if isinstance(given, list) else frozenset()
    )


def is_safe(url: str) -> bool:
    """https with a host, and nothing in it that hides where it leads; plain http to loopback only."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    secure = parsed.scheme == "https" or (parsed.scheme == "http" and is_loopback(parsed.host))
    return secure and bool(parsed.host) and not parsed.userinfo and not parsed.fragment


def same_host(one: str, other: str) -> bool:
    return httpx.URL(one).host == httpx.URL(other).host
