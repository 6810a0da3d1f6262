"""How a connection proves who we are: the options of `emr add` and `emr set`, checked and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cm_service.errors import BadInput
from cm_service.fhir.discovery import is_safe

WAYS = ("none", "bearer", "secret", "backend")
# What a way cannot do without.
_NEEDED = {"bearer": ("token",), "secret": ("client-id", "secret"), "backend": ("client-id",)}
# Never shown: they tell where secrets are.
REFERENCES = frozenset({"secret", "key"})

Options = dict[str, str]


def _text(_key: str, value: str) -> None:
    if any(sign.isspace() for sign in value):
        raise BadInput(f"{_key} holds no spaces")


def _anything(_key: str, _value: str) -> None:
    return None


def _reference(key: str, value: str) -> None:
    if not value.startswith(("env:", "file:")):
        raise BadInput(f"{key} says where the {key} is, env:NAME or file:PATH, not what it is")


def _url(key: str, value: str) -> None:
    if not is_safe(value):
        raise BadInput(f"{key} takes an https URL, without user, password or #")


def _audience(key: str, value: str) -> None:
    if value not in ("token-url", "issuer"):
        _url(key, value)


def _one_of(*allowed: str) -> Callable[[str, str], None]:
    def check(key: str, value: str) -> None:
        if value not in allowed:
            raise BadInput(f"{key} takes one of {', '.join(allowed)}, not {value!r}")

    return check


OPTIONS: Mapping[str, Callable[[str, str], None]] = {
    "client-id": _text,
    "secret": _reference,
    "secret-style": _one_of("basic", "post"),
    "token-url": _url,
    "key": _reference,
    "key-id": _text,
    "alg": _one_of("RS384", "ES384"),
    "aud": _audience,
    "scope": _anything,
    "scope-style": _one_of("v1", "v2"),
    "allow-unauthenticated": _one_of("yes"),
}


def with_options(kept: Mapping[str, str], given: Mapping[str, str | None]) -> Options:
    """What is kept, with what was given over it; nothing takes an option away. Raises BadInput."""
    options = dict(kept)
    for key, value in given.items():
        if not value:
            options.pop(key, None)
            continue
        OPTIONS[key](key, value)
        options[key] = value
    return options


def check(row: Mapping[str, Any]) -> None:
    """Has the way of this connection (columns of `emr`) what it needs? Raises BadInput."""
    there = {"token": row["token_reference"], **row["auth_options"]}
    for key in _NEEDED.get(row["auth"], ()):
        if not there.get(key):
            raise BadInput(f"auth {row['auth']} needs {key}")


def public(options: Mapping[str, str]) -> Options:
    """What may be shown."""
    return {key: value for key, value in options.items() if key not in REFERENCES}
