"""What was written to the EMR, and what waits, was refused or is unknown: in words, and as a text to copy."""

from __future__ import annotations

import datetime as dt
import html
import re
from typing import Any, NamedTuple

from cm_service.fhir import rawjson
from cm_service.flow.intents import State
from cm_service.flow.ours import is_closed
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
_PLANNED = frozenset({"Task", "CarePlan", "Goal"})
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
    wanted = rawjson.loads(row.wanted.encode())
    held = row.held_until if row.held_until is not None and row.held_until > now else None
    return Written(
        id=row.id,
        group=group,
        title=title_of(wanted),
        where=str(row.reference or ""),
        reason="deleted in the EMR" if row.deleted else str(row.reason or ""),
        held_until=held,
        text="" if group == _STANDS and not row.deleted else text_of(wanted),
    )


def title_of(wanted: dict[str, Any]) -> str:
    """One line: what it is, and how it stands."""
    kind = str(wanted["resourceType"])
    element = {"Task": "code", "Goal": "description", "CarePlan": "title"}.get(kind, "")
    held = wanted.get(element) or text_of(wanted).partition("\n")[0].partition(". ")[0]
    said = held.get("text") if isinstance(held, dict) else held
    status = wanted.get("lifecycleStatus") or wanted.get("status")
    return f"{_KINDS.get(kind, kind)}: {str(said)[:120]}" + (f" ({status})" if kind in _PLANNED else "")


def text_of(wanted: dict[str, Any]) -> str:
    """Plain text for a note that a person pastes."""
    if wanted["resourceType"] in _PLANNED:
        page = page_of(wanted)
        if is_closed(wanted):
            return "\n".join(filter(None, (title_of(wanted), str(wanted.get("description") or ""))))
        return "\n".join((page.title, *page.core, *page.why))
    payload = [str(each.get("contentString") or "") for each in wanted.get("payload") or ()]
    narrative = re.sub(r"<br ?/?>", "\n", str((wanted.get("text") or {}).get("div") or ""))
    plain = html.unescape(re.sub(r"<[^>]+>", "", narrative)).strip()
    return "\n".join(filter(None, (plain, *payload))) or str(wanted["resourceType"])
