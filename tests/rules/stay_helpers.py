"""Encounters of the year 2026 in short: "11-18 10:00" is local time in Detroit, "11-18" the day."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import msgspec

from cm_service.rules import stays
from cm_service.rules.clock import Clock
from cm_service.rules.decision import Finding, Rule
from cm_service.rules.facts import AnyFact, EncounterFact
from cm_service.rules.stays import History
from tests.rules.builders import AS_OF, ZONE, at, encounter, view

_SHORT = re.compile(r"(?:(\d{4})-)?(\d\d-\d\d)(?: (\d\d:\d\d(?::\d\d)?))?")


def stamp(text: str | None) -> str | None:
    """Full text stays as it is; short text becomes a date, or an instant with its own offset."""
    found = _SHORT.fullmatch(text) if text else None
    if found is None:
        return text
    year, day, time = found.groups()
    if time is None:
        return f"{year or 2026}-{day}"
    return dt.datetime.fromisoformat(f"{year or 2026}-{day}T{time}").replace(tzinfo=ZONE).isoformat()


def enc(word: str, start: str | None, end: str | None = None, **changes: Any) -> EncounterFact:
    """Of the given class; its id is made of class and start unless given."""
    name = f"{word}-{start}".replace(" ", "-").replace(":", "")
    return encounter(word, **{"id": name, "start": stamp(start), "end": stamp(end), **changes})


def imp(start: str | None, end: str | None = None, **changes: Any) -> EncounterFact:
    """Inpatient, sent home unless said otherwise (`disposition=None`: nothing is written)."""
    return enc("IMP", start, end, **{"disposition": "home", **changes})


def snf(start: str, end: str | None = None, **changes: Any) -> EncounterFact:
    return imp(start, end, **{"type": "449411000124106", "id": f"SNF-{start}", **changes})


def obs(start: str, end: str | None = None, **changes: Any) -> EncounterFact:
    return enc("OBSENC", start, end, **{"disposition": "home", **changes})


def emer(start: str, end: str | None = None, **changes: Any) -> EncounterFact:
    return enc("EMER", start, end, **changes)


def running(fact: EncounterFact) -> EncounterFact:
    """The same, but in progress."""
    return msgspec.structs.replace(fact, status="in-progress")


def moment(text: str | dt.datetime = AS_OF) -> Clock:
    return at(stamp(text) or "" if isinstance(text, str) else text)


def ask(rule: Rule, *facts: AnyFact, as_of: str | dt.datetime = AS_OF, **changes: Any) -> Finding:
    """The rule's own answer, before gates."""
    return rule.evaluate(view(*facts, **changes), moment(as_of))


def history(*facts: AnyFact, as_of: str | dt.datetime = AS_OF, **changes: Any) -> History:
    patient = view(*facts, **changes)
    return patient.derive(stays.build, moment(as_of))


def groups(*facts: AnyFact, as_of: str | dt.datetime = AS_OF, **changes: Any) -> list[set[str]]:
    """Ids of the encounters of each stay and visit."""
    built = history(*facts, as_of=as_of, **changes)
    return [{m.encounter.id for m in one.members} for one in (*built.stays, *built.visits)]
