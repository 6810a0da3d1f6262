"""What was written to the EMR, and what waits, was refused or is unknown: in words, and as a text to copy."""

from __future__ import annotations

import datetime as dt
import html
import re
from typing import Any, NamedTuple

from cm_service.flow.intents import Known, State
from cm_service.flow.judge import known_of
from cm_service.flow.ours import is_closed
from cm_service.flow.plans.board import STATUS, is_retracted, standing
from cm_service.flow.rungs.wording import page_of

_STANDS, _WAITS, _REFUSED, _UNKNOWN, _STORE = "written", "waiting", "refused", "unknown", "here only"
_GROUPS = {
    State.WRITTEN: _STANDS,
    State.PENDING: _WAITS,
    State.SENDING: _UNKNOWN,
    State.UNKNOWN: _UNKNOWN,
    State.REFUSED: _REFUSED,
    State.CONFLICT: _REFUSED,
    State.PARKED: _WAITS,
}
_TOLD = ("statusReason", "note", "businessStatus")  # how and why something was ended
_OWN = "own-store"
_KINDS = {"CarePlan": "Plan", "Encounter": "Contact", "Communication": "Message"}


class Written(NamedTuple):
    """`where` is `Type/id` in the EMR; `text` is "" where the EMR holds it already."""

    id: int
    group: str
    title: str
    where: str
    reason: str
    held_until: dt.datetime | None
    text: str


def written(rows: list[Any], *, now: dt.datetime) -> list[Written]:
    shown = [row for row in rows if row.state != State.SUPERSEDED]
    return [_one(row, now) for row in reversed(shown)]


def _one(row: Any, now: dt.datetime) -> Written:
    group = _STORE if row.rung == _OWN else _GROUPS[State(row.state)]
    resource = as_it_stands(known_of(row))
    held = row.held_until if row.held_until is not None and row.held_until > now else None
    return Written(
        id=row.id,
        group=group,
        title=title_of(resource),
        where=str(row.reference or ""),
        reason="deleted in the EMR" if row.deleted else str(row.reason or ""),
        held_until=held,
        text="" if group == _STANDS and not row.deleted else text_of(resource),
    )


def as_it_stands(known: Known) -> dict[str, Any]:
    """What we wanted, with what is a person's taken from the EMR: what somebody ended there has ended,
    for their reason and not for ours."""
    if known.kind not in STATUS:
        return known.resource
    held, status = standing(known), STATUS[known.kind]
    if held.get(status) == known.resource.get(status):
        return held
    theirs = {name: (known.current or {}).get(name) for name in _TOLD}
    return {name: value for name, value in (held | theirs).items() if value is not None}


def title_of(resource: dict[str, Any]) -> str:
    """One line: what it is, and how it stands."""
    kind = str(resource["resourceType"])
    element = {"Task": "code", "Goal": "description", "CarePlan": "title"}.get(kind, "")
    held = resource.get(element) or text_of(resource).partition("\n")[0].partition(". ")[0]
    said = held.get("text") if isinstance(held, dict) else held
    return f"{_KINDS.get(kind, kind)}: {str(said)[:120]}" + (f" ({_how(resource)})" if kind in STATUS else "")


def _how(resource: dict[str, Any]) -> str:
    """The outcome that a person gave says more than the status."""
    kind = resource["resourceType"]
    if is_retracted(kind, resource):
        return "withdrawn"
    outcome = (resource.get("businessStatus") or {}).get("text")
    status = str(resource.get(STATUS[kind]))
    return f"{status}: {outcome}" if outcome and is_closed(resource) else status


def text_of(resource: dict[str, Any]) -> str:
    """Plain text for a note that a person pastes."""
    if resource["resourceType"] in STATUS:
        page = page_of(resource)
        return "\n".join((page.title, *page.core, *page.why))
    payload = [str(each.get("contentString") or "") for each in resource.get("payload") or ()]
    narrative = re.sub(r"<br ?/?>", "\n", str((resource.get("text") or {}).get("div") or ""))
    plain = html.unescape(re.sub(r"<[^>]+>", "", narrative)).strip()
    return "\n".join(filter(None, (plain, *payload))) or str(resource["resourceType"])
