"""What a note, form or message says: plain text for a nurse, one fact a line.

The second line carries our business identifier and the version, because many EMRs drop identifiers:
by it a resource is recognised again, and a newer version says there which older one it supersedes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import unescape
from typing import Any, NamedTuple

from cm_service.errors import InvalidResource
from cm_service.flow.ours import Json, is_closed
from cm_service.flow.plans.board import WITHDRAWN, is_retracted
from cm_service.flow.plans.inputs import inputs_of

SHORTENED = "(shortened: the rest is on the care management page)"
_WHY = "Why:"
_SUPERSEDES = "Supersedes version"
_INPUTS = {
    "regulatory-due": "Due by regulation",
    "regulatory-due-moderate": "Due by regulation, moderate complexity",
    "visit-due": "Visit due",
    "event-date": "Date of the event",
    "target": "Target",
    "groups": "Conditions",
    "cause": "Cause",
    "checklist": "To be covered",
    "evidence": "Found",
    "supporting-evidence": "Also found",
}
_TITLES = {
    "Goal": "Care management goal",
    "Encounter": "Care management contact",
    "Communication": "Care management message",
    "Consent": "Consent to care management",
}
_NO_MORE = "Nothing is to be done any more."
_DAY = 10  # characters of a date


class Previous(NamedTuple):
    """The version that a newer one supersedes: its number, its day and where it is."""

    number: int
    day: str
    reference: str


class Page(NamedTuple):
    """One thing of ours in words. `core` is what a nurse needs to know: a new version is written when
    that changes; `why` rides along with the next one."""

    title: str
    core: tuple[str, ...]
    why: tuple[str, ...] = ()


def page_of(wanted: Json, *, goals: Sequence[Json] = (), why: Sequence[str] = ()) -> Page:
    """`wanted` is a Task, CarePlan, Goal, or what a person did (Encounter, Communication, Consent).
    `goals` travel inside their plan, `why` are the texts of the plan's Tasks."""
    kind = wanted["resourceType"]
    if is_retracted(kind, wanted):
        return Page(f"WITHDRAWN: {_title(wanted)}", (f"Reason: {_reason(wanted)}", _NO_MORE))
    if is_closed(wanted):
        return Page(f"{_how(wanted)}: {_title(wanted)}", tuple(filter(None, _end(wanted, goals))))
    if kind == "Task":
        return Page(_title(wanted), tuple(_task(wanted)))
    if kind == "Goal":
        return Page(_title(wanted), (_goal(wanted),))
    if kind != "CarePlan":
        return Page(_title(wanted), tuple(_contact(wanted)))
    return Page(_title(wanted), tuple(_plan(wanted, goals)), tuple(why))


def text_of(
    page: Page, *, system: str, value: str, number: int, previous: Previous | None, limit: int | None = None
) -> str:
    """The whole text, at most `limit` characters: lines go from the end, the head never.
    Raises InvalidResource where not even the head fits."""
    head = [page.title, identifier_line(system, value, number)]
    if previous is not None:
        where = f" ({previous.reference})" if previous.reference else ""
        head.append(f"{_SUPERSEDES} {previous.number} of {previous.day}{where}")
    why = (_WHY, *(f"- {each}" for each in page.why)) if page.why else ()
    return _fitted(head, [*page.core, *why], limit)


def identifier_line(system: str, value: str, number: int) -> str:
    return f"cm-service id {system}|{value} version {number}"


def version_in(text: str, system: str, value: str) -> int | None:
    """The version of this thing of ours that the text is, None if it is another's."""
    mine = re.escape(f"{system}|{value}")
    line = re.search(rf"^cm-service id {mine} version (\d+)\s*$", text, re.MULTILINE)
    return int(line[1]) if line else None


def values_told(text: str, base: str) -> set[str]:
    """The identifier values in the visible lines of whatever is ours in a text."""
    line = rf"^cm-service id {re.escape(base)}/id/[a-z]+\|(\S+) version \d+\s*$"
    return set(re.findall(line, text, re.MULTILINE))


def core_in(text: str) -> list[str]:
    """Title and core of a text: what must be equal for no new version to be needed."""
    lines = text.splitlines()
    end = lines.index(_WHY) if _WHY in lines else len(lines)
    return [each for each in lines[:end] if each and not each.startswith(("cm-service id ", _SUPERSEDES))]


def _fitted(head: list[str], body: list[str], limit: int | None) -> str:
    text = "\n".join([*head, "", *body])
    if limit is None or len(text) <= limit:
        return text
    while body:
        body = body[:-1]
        text = "\n".join([*head, "", *body, SHORTENED])
        if len(text) <= limit:
            return text
    raise InvalidResource("not even the heading fits into what this EMR takes as a note")


def _title(wanted: Json) -> str:
    kind = wanted["resourceType"]
    if kind == "Task":
        return f"Care management task: {(wanted.get('code') or {}).get('text') or 'task'}"
    if kind == "CarePlan":
        return str(wanted.get("title") or "Care management plan")
    return _TITLES[kind]


def _reason(wanted: Json) -> str:
    """As planning or a person gave it, "" where nobody did."""
    reason = wanted.get("statusReason")
    notes = [str(note.get("text", "")) for note in wanted.get("note") or ()]
    said = reason.get("text") if isinstance(reason, dict) else reason or (notes[-1] if notes else "")
    return str(said or "").removeprefix(WITHDRAWN)


def _how(ended: Json) -> str:
    status = ended.get("lifecycleStatus") or ended.get("status")
    return {"completed": "COMPLETED", "entered-in-error": "ENTERED IN ERROR"}.get(str(status), "ENDED")


def _end(ended: Json, goals: Sequence[Json]) -> Iterator[str]:
    """What a person made of it: it stays on record, so it says what it was and what came of it."""
    kind = ended["resourceType"]
    if kind == "Goal":
        yield _goal(ended)
    elif kind == "Task":
        yield str(ended.get("description") or "")
    status = ended.get("lifecycleStatus") or ended.get("status")
    yield f"Status: {status}"
    outcome = (ended.get("businessStatus") or {}).get("text")
    yield f"Outcome: {outcome}" if outcome else ""
    end = (ended.get("executionPeriod") or {}).get("end")
    yield f"On: {_day(end)}" if end else ""
    reason = "" if kind == "Goal" else _reason(ended)
    yield f"Reason: {reason}" if reason else ""
    yield from (f"- {_goal(each)}" for each in goals if not is_retracted("Goal", each))
    yield _NO_MORE


def _task(task: Json) -> Iterator[str]:
    yield str(task.get("description") or "")
    yield f"Status: {task.get('status')}"
    yield f"Priority: {task.get('priority') or 'routine'}"
    if due := ((task.get("restriction") or {}).get("period") or {}).get("end"):
        yield f"Due: {_day(due)}"
    for performer in task.get("performerType") or ():
        yield f"For: {performer.get('text')}"
    for code, words in _INPUTS.items():
        values = list(dict.fromkeys(_value(each) for each in inputs_of(task, code)))
        if kept := [each for each in values if each]:
            yield f"{words}: {'; '.join(kept)}"


def _plan(plan: Json, goals: Sequence[Json]) -> Iterator[str]:
    yield f"Status: {'proposed' if plan.get('status') == 'draft' else plan.get('status')}"
    period = plan.get("period") or {}
    until = f" to {_day(period['end'])}" if period.get("end") else ""
    if period.get("start"):
        yield f"Period: from {_day(period['start'])}{until}"
    shown = [each for each in goals if not is_closed(each)]
    if shown:
        yield "Goals:"
    yield from (f"- {_goal(each)}" for each in shown)


def _contact(done: Json) -> Iterator[str]:
    """What was written for people when it was logged."""
    at = (done.get("period") or {}).get("start") or done.get("sent") or done.get("dateTime")
    if at:
        yield f"Date: {_day(at)}"
    yield f"Status: {done.get('status')}"
    yield from filter(None, plain(str((done.get("text") or {}).get("div") or "")).splitlines())
    yield from (str(each["contentString"]) for each in done.get("payload") or () if "contentString" in each)


def plain(div: str) -> str:
    """The lines of a narrative."""
    return unescape(re.sub(r"<[^>]+>", "\n", div))


def _goal(goal: Json) -> str:
    text = str((goal.get("description") or {}).get("text") or "Goal")
    due = next((each["dueDate"] for each in goal.get("target") or () if each.get("dueDate")), "")
    return f"{text}{f', by {_day(due)}' if due else ''} ({goal.get('lifecycleStatus')})"


def _value(value: Any) -> str:
    """A typed input as text; an id means nothing to a reader, the type of the resource does."""
    if isinstance(value, dict):
        return " ".join(str(value[name]) for name in ("comparator", "value", "unit") if name in value)
    text = str(value)
    source = re.fullmatch(r"([A-Z][A-Za-z]+)/\S+?(?:: (.*))?", text)
    if source:
        return f"{source[1]} {source[2]}" if source[2] else ""
    return _day(text) if re.match(r"\d{4}-\d\d-\d\dT", text) else text


def _day(text: Any) -> str:
    return str(text)[:_DAY]
