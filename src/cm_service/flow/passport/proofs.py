"""Proof by use: what really happened to a request goes into the passport."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from cm_service.db import passport as rows
from cm_service.flow.landing import PullReport
from cm_service.flow.passport.standing import READ_AFTER_WRITE, SIGHTINGS, State, standing

RECHECK = "recheck"  # the fact that asks for a new look at /metadata
RECHECKED = frozenset({403, 404, 405, 422, 501})
_AGAINST = frozenset({403, 405, 501})
_ON_A_TYPE = frozenset({"create", "search", "history-type"})  # a 404 to these says that the type is not there


def note(
    connection: sa.Connection, *, emr: str, resource: str, verb: str, status: int, now: dt.datetime
) -> None:
    """One answer of the EMR to `verb` on `resource`. 400 and 422 are about what was sent, 409 and 412
    about a version: they prove nothing of the verb."""
    if 200 <= status < 300:
        _worked(connection, emr, resource, verb, status, now)
    elif status in _AGAINST or (status == 404 and (verb in _ON_A_TYPE or verb.startswith("$"))):
        _refused(connection, emr, resource, verb, status, now)
    if status in RECHECKED:
        rows.save_fact(connection, emr, "", RECHECK, f"{status} to {verb} {resource}", at=now)


def note_pull(connection: sa.Connection, report: PullReport, *, now: dt.datetime) -> None:
    """How the searches of a pull ended."""
    for kind, said in report.types.items():
        if said.status == "complete" and said.pages:
            note(connection, emr=report.emr, resource=kind, verb="search", status=200, now=now)
            if said.wants_patient:
                set_fact(connection, report.emr, kind, "search-needs", "patient", now=now)
        elif said.http_status is not None:
            note(connection, emr=report.emr, resource=kind, verb="search", status=said.http_status, now=now)
        if said.history_status is not None:
            status = said.history_status
            note(connection, emr=report.emr, resource=kind, verb="history-type", status=status, now=now)
        if said.history:
            set_fact(connection, report.emr, kind, "history", said.history, now=now)


def note_sighting(
    connection: sa.Connection, *, emr: str, resource: str, seen: bool, now: dt.datetime
) -> None:
    """Did a search show what we had written a moment before? One miss counts for good."""
    known = rows.fact(connection, emr, resource, READ_AFTER_WRITE)
    counts = known.detail if known is not None else {"seen": 0, "missed": 0}
    counts = {"seen": counts["seen"] + seen, "missed": counts["missed"] + (not seen)}
    value = "missed" if counts["missed"] else "proven" if counts["seen"] >= SIGHTINGS else rows.UNKNOWN
    set_fact(connection, emr, resource, READ_AFTER_WRITE, value, now=now, detail=counts)


def set_fact(
    connection: sa.Connection,
    emr: str,
    resource: str,
    name: str,
    value: str,
    *,
    now: dt.datetime,
    detail: dict[str, Any] | None = None,
) -> None:
    """A fact as it is seen now. What is not seen this time (unknown) takes nothing back; what is seen
    otherwise is a change."""
    known = rows.fact(connection, emr, resource, name)
    before = known.value if known is not None else rows.UNKNOWN
    if value == rows.UNKNOWN and before != rows.UNKNOWN:
        return
    rows.save_fact(connection, emr, resource, name, value, at=now, detail=detail)
    if before not in (rows.UNKNOWN, value):
        text = f"{resource or 'the EMR'}, {name}: was {before}, is {value}"
        rows.add_changes(connection, emr, [text], at=now)


def lapse(connection: sa.Connection, emr: str, *, before: dt.datetime, now: dt.datetime) -> None:
    """A right may have been given meanwhile without a trace in /metadata: a 403 older than `before` no
    longer stands, and one canary finds out."""
    for row in rows.verbs(connection, emr, lock=True):
        if row.refusals and row.refused_status == 403 and row.refused_at <= before:
            save(connection, dict(row._mapping), {"refusals": 0}, now=now)


def _worked(
    connection: sa.Connection, emr: str, resource: str, verb: str, status: int, now: dt.datetime
) -> None:
    old = rows.verb(connection, emr, resource, verb)
    new = {"worked_at": now, "worked_status": status, "refusals": 0}
    if new.items() - old.items():  # the ten-thousandth Task of a night proves nothing new
        save(connection, old, new, now=now)


def _refused(
    connection: sa.Connection, emr: str, resource: str, verb: str, status: int, now: dt.datetime
) -> None:
    old = rows.verb(connection, emr, resource, verb)
    new = {"refused_at": now, "refused_status": status, "refusals": old["refusals"] + 1}
    save(connection, old, new, now=now)


def save(
    connection: sa.Connection, old: dict[str, Any], columns: dict[str, Any], *, now: dt.datetime
) -> None:
    """Store the row with these columns, and the change of its standing in words. That something not yet
    tried works is no change: nobody had said otherwise."""
    new = old | columns
    rows.save_verbs(connection, [new])
    if text := changed(old, new):
        rows.add_changes(connection, new["emr"], [text], at=now)


def changed(old: dict[str, Any], new: dict[str, Any]) -> str:
    before, after = standing(SimpleNamespace(**old)), standing(SimpleNamespace(**new))
    if before.state == after.state or (before.state, after.state) == (State.UNTRIED, State.PROVEN):
        return ""
    return f"{new['resource']} {new['verb']}: was {before.state}, is {after.state} ({after.reason})"
