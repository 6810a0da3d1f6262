"""One resource as the EMR shows it now, against what the ledger knows: whose is what in it?"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from cm_service.fhir import rawjson
from cm_service.flow import ours
from cm_service.flow.ours import Json

_MOST_ASTRAY = 3  # whatever wandered for longer has arrived by now, or never will


class Seen(NamedTuple):
    """`human` are the elements that are a person's; `settled`: nothing of ours is left to be written;
    `arrived`: what we last sent is what the EMR holds."""

    human: list[str]
    settled: bool
    arrived: bool


def look(row: Any, current: Json, wanted: Json, *, earlier: str | None = None) -> Seen:
    """Compare `current`, the EMR's own JSON, with a whole row of the ledger, and with what is wanted there
    by now (as its rung builds it). Where the ledger does not know what the EMR held before, whatever is
    not as we want it counts as a person's. `earlier` is what was sent before the last time. A part of a
    resource says nothing about the rest."""
    if ours.is_partial(current):
        return Seen(list(row.human), settled=False, arrived=False)
    sent = parsed(row.sent) or {}
    base = parsed(row.base if row.current else None)  # else it is what our write replaced: see `is_older`
    told = [each for each in (base, sent, parsed(earlier), *map(parsed, row.astray)) if each]
    human = {*row.human, *ours.changed_by_others(wanted, current, *told)}
    body = ours.merged(current, ours.to_send(wanted, sent), human)
    return Seen(sorted(human), body == current, _is_there(sent, current, human))


def astray(row: Any) -> list[str]:
    """What would be in doubt if this row were sent anew: a request whose answer was lost may arrive after
    the next one was begun, and what it brings is no person's."""
    sent = parsed(row.sent) or {}
    if not sent or _is_there(sent, parsed(row.current) or {}, set(row.human)):
        return []
    return [*(each for each in row.astray if each != row.sent), row.sent][-_MOST_ASTRAY:]


def _is_there(sent: Json, current: Json, human: set[str]) -> bool:
    """Does the EMR hold what we sent, but for what is a person's?"""
    return bool(sent) and all(current.get(name) == sent[name] for name in ours.owned(sent) - human)


def columns(row: Any, current: Json, seen: Seen) -> dict[str, Any]:
    """What of a placement follows from having read it. An adopted one keeps no base until it has
    been planned once (adopted.py)."""
    reference = f"{current['resourceType']}/{current['id']}"
    place = {"reference": reference, "version": version_of(current), "deleted": False}
    if ours.is_partial(current):
        return place
    text = rawjson.dumps(current).decode()
    is_adopted = row.base is None and row.sent is None and row.current is not None
    return {**place, "current": text, "base": None if is_adopted else text, "human": seen.human}


def is_older(row: Any, resource: Json) -> bool:
    """Is this a version before the one that the ledger has read by now? False where that cannot be told."""
    held = parsed(row.current) or {}
    before, now = version_of(held) or row.version or "", version_of(resource) or ""
    if not held and before and now == version_of(parsed(row.base) or {}):
        return now != before  # our write replaced it, and what came of that has not been read yet
    if before.isdecimal() and now.isdecimal():
        return int(now) < int(before)
    then, told = _updated(held), _updated(resource)
    return then is not None and told is not None and told < then


def _updated(resource: Json) -> dt.datetime | None:
    try:
        when = dt.datetime.fromisoformat(str((resource.get("meta") or {}).get("lastUpdated")))
    except ValueError:
        return None
    return when if when.tzinfo else None


def version_of(resource: Json) -> str | None:
    version = (resource.get("meta") or {}).get("versionId")
    return version if isinstance(version, str) else None


def parsed(text: str | None) -> Json | None:
    return rawjson.loads(text.encode()) if text else None
