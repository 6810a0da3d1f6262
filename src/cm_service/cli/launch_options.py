"""How this service is registered at an EMR for SMART launches: `emr set S launch.KEY=VALUE`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from cm_service.cli.emr_auth import REFERENCES, Options
from cm_service.errors import BadInput
from cm_service.fhir.discovery import is_safe

PREFIX = "launch."
_URLS = frozenset({"authorize-url", "token-url", "jwks-url", "issuer", "iss"})
_WORDS = {
    "secret-style": ("basic", "post"),
    "alg": ("RS384", "ES384"),
    "public": ("yes",),
    "pkce": ("unannounced",),
}
_PLAIN = frozenset({"client-id", "key-id", "scope"})
_KNOWN = (*sorted(_URLS), *_WORDS, *sorted(_PLAIN), *sorted(REFERENCES), "frame-ancestors")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d{1,5})?")


def with_options(kept: Mapping[str, str], given: Mapping[str, str]) -> Options:
    """What is kept, with what was given over it; nothing takes an option away. Raises BadInput."""
    options = dict(kept)
    for key, value in given.items():
        name = key.removeprefix(PREFIX)
        if not value:
            options.pop(name, None)
            continue
        _check(name, value)
        options[name] = value
    return options


def public(options: Mapping[str, str]) -> Options:
    """What may be shown: never where secrets are."""
    return {key: value for key, value in options.items() if key not in REFERENCES}


def _check(name: str, value: str) -> None:
    if name not in _KNOWN:
        raise BadInput(f"there is no launch.{name}; known are {', '.join(_KNOWN)}")
    if name in _URLS and not is_safe(value):
        raise BadInput(f"launch.{name} takes an https URL")
    if name in _WORDS and value not in _WORDS[name]:
        raise BadInput(f"launch.{name} takes one of {', '.join(_WORDS[name])}")
    if name in REFERENCES and not value.startswith(("env:", "file:")):
        raise BadInput(f"launch.{name} says where it is, env:NAME or file:PATH, not what it is")
    if name == "frame-ancestors" and not all(_is_origin(each) for each in value.split()):
        raise BadInput(
            "launch.frame-ancestors takes origins such as https://emr.example, with spaces between"
        )


def _is_origin(text: str) -> bool:
    """https, or http on loopback: an origin without a path."""
    if not _ORIGIN.fullmatch(text):
        return False
    parts = urlsplit(text)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1")
