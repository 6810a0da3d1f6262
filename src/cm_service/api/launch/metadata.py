"""What the EMR's authorisation server says of itself, and how far that is believed (EL-2).

Endpoints must be https (or loopback) and on the EMR's own host, or named by a person at registration:
a document that points elsewhere would send our codes and secrets there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cm_service import wiring
from cm_service.api.doorway import Doorway
from cm_service.errors import Misconfigured, NotFhir
from cm_service.fhir.answers import Answer
from cm_service.fhir.discovery import is_safe, same_host
from cm_service.fhir.http import Ask


class Metadata(NamedTuple):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    iss_in_response: bool  # RFC 9207


async def fetch(door: Doorway, emr: Any) -> Metadata:
    """Raises EmrError, NotFhir, Misconfigured."""
    options, base = emr.launch_options, emr.base_url.rstrip("/")
    async with wiring.plain_http(door.tools.settings, base) as http:
        url = f"{base}/.well-known/smart-configuration"
        ask = Ask("GET", url, "GET smart-configuration", {"Accept": "application/json"})
        said = await http.read(ask, _object)
        issuer = str(options.get("issuer") or said.get("issuer") or base)
        found = {name: str(options.get(_option(name)) or said.get(name) or "") for name in _ENDPOINTS}
        if not found["jwks_uri"]:
            found["jwks_uri"] = await _openid_keys(http, issuer)
    _require_pkce(said, lenient=options.get("pkce") == "unannounced")
    for name, url in found.items():
        _require_ours(name, url, base, registered=bool(options.get(_option(name))))
    return Metadata(
        issuer=issuer,
        iss_in_response=said.get("authorization_response_iss_parameter_supported") is True,
        **found,
    )


_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def _option(name: str) -> str:
    return {"authorization_endpoint": "authorize-url", "token_endpoint": "token-url", "jwks_uri": "jwks-url"}[
        name
    ]


async def _openid_keys(http: Any, issuer: str) -> str:
    """SMART puts jwks_uri into the smart-configuration; older servers only into OpenID's document."""
    if not is_safe(issuer) or not same_host(issuer, str(http.base_url)):
        return ""
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    ask = Ask("GET", url, "GET openid-configuration", {"Accept": "application/json"})
    return str((await http.read(ask, _object)).get("jwks_uri") or "")


def _object(answer: Answer) -> dict[str, Any]:
    body = answer.json()
    if not isinstance(body, dict):
        raise NotFhir("the body is no smart-configuration")
    return body


def _require_pkce(said: dict[str, Any], *, lenient: bool) -> None:
    methods = said.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "plain" in methods:
        raise Misconfigured("the EMR's server offers the code challenge `plain`, which SMART forbids")
    if not lenient and (not isinstance(methods, list) or "S256" not in methods):
        raise Misconfigured("the EMR's server does not offer PKCE with S256: set launch.pkce if it is old")


def _require_ours(name: str, url: str, base: str, *, registered: bool) -> None:
    if not url:
        raise Misconfigured(f"the EMR's server names no {name}")
    if not is_safe(url):
        raise Misconfigured(f"the {name} is neither https nor on loopback: nothing is sent to it")
    if not registered and not same_host(url, base):
        raise Misconfigured(f"the {name} is on another host than the EMR: register it if it is right")
