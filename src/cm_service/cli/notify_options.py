"""How an EMR notifies us: `emr set S` with notify-secret, notify-subscriptions, notify-subscribe."""

from __future__ import annotations

from collections.abc import Mapping

from cm_service.cli.emr_auth import Options
from cm_service.errors import BadInput
from cm_service.fhir.values import is_id

PREFIX = "notify-"


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


def _check(name: str, value: str) -> None:
    if name == "secret":
        if not value.startswith(("env:", "file:")):
            raise BadInput("notify-secret says where it is, env:NAME or file:PATH, not what it is")
    elif name == "subscriptions":
        if not all(is_id(each) for each in value.split(",")):
            raise BadInput("notify-subscriptions takes ids of Subscriptions, with commas between")
    elif name == "subscribe":
        if value not in ("on", "off"):
            raise BadInput("notify-subscribe is on or off: do we make Subscriptions in the EMR ourselves?")
    else:
        known = "notify-secret, notify-subscribe, notify-subscriptions"
        raise BadInput(f"there is no notify-{name}; known are {known}")
