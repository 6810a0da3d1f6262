"""What people may say of an EMR connection, by `emr add` and `emr set`, and how it is kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cm_service import wiring
from cm_service.cli import emr_auth, key_files
from cm_service.errors import BadInput
from cm_service.fhir import vendor
from cm_service.flow.pull import roster
from cm_service.flow.pull.export_plan import WAYS
from cm_service.settings import Settings

WRITE_MODES = ("propose", "auto", "dry-run")
_MAY_BE_NONE = (
    *("token", "practice", "owner", "profile", "test-patient", "roster", "group", "max-writes", "pull"),
)
_COLUMN = {"token": "token_reference", "group": "group_id"}
_MOST_WRITES = 1_000_000


def columns_of(given: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Columns of `emr` for these (key, value), each looked at. Raises BadInput."""
    return {_COLUMN.get(key, key.replace("-", "_")): _value(key, value) for key, value in given}


def _value(key: str, value: str) -> str | int | None:
    """The value as it is kept, None for none. Raises BadInput; a base URL is never quoted, since it may
    hold a password."""
    if key == "base-url":
        if "@" in value.rpartition("://")[2].partition("/")[0]:
            raise BadInput("a base URL may hold no user or password: use --auth and --token")
        return value.rstrip("/")
    if key == "timezone":
        wiring.zone(value)
    if key == "write-mode":
        _one_of(key, value, WRITE_MODES)
    if key == "auth":
        _one_of(key, value, emr_auth.WAYS)
    if key == "token" and value and not value.startswith(("env:", "file:")):
        raise BadInput("token says where the token is, env:NAME or file:PATH, not what it is")
    if key == "roster" and value:
        roster.listed(value)
    if key == "max-writes" and value:
        if not (value.isascii() and value.isdecimal()) or int(value) > _MOST_WRITES:
            raise BadInput(f"max-writes takes a whole number up to {_MOST_WRITES}: the writes of one night")
        return int(value)
    if key == "pull" and value:
        _one_of(key, value, WAYS)
    if key == "profile":
        vendor.load(value, extra=Settings().extra_profiles)
    return value if value or key not in _MAY_BE_NONE else None


def cds_columns(issuer: str | None, file: Path | None, url: str | None) -> dict[str, Any]:
    """Who signs CDS Hooks calls, and with which keys. Raises BadInput. Nothing is fetched."""
    if issuer is None:
        if file is not None or url is not None:
            raise BadInput("keys for CDS Hooks need --cds-issuer, too")
        return {}
    return {"cds_issuer": issuer, **{f"cds_{k}": v for k, v in key_files.registered(file, url).items()}}


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadInput(f"{name} takes one of {', '.join(allowed)}, not {value!r}")
