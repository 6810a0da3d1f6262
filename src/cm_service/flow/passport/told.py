"""The passport for people and machines: JSON of what stands in the store."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import sqlalchemy as sa

from cm_service.db import passport as rows
from cm_service.fhir.vendor import Profile, Rung
from cm_service.flow.passport.standing import State, load, refusal_counts

CHANGES = 20


def told(connection: sa.Connection, emr: str, profile: Profile) -> dict[str, Any]:
    """`verbs`: per resource and verb the four facts with their dates, and what follows from them;
    `facts`: whatever else was seen; `changes`: the last ones, newest first. Dates are UTC."""
    passport = load(connection, emr, profile)
    return {
        "profile": _profile(profile),
        "verbs": [_verb(row, passport.effective(*pair)) for pair, row in passport.verbs.items()],
        "facts": [
            {
                "resource": row.resource,
                "name": row.name,
                "value": row.value,
                "detail": row.detail,
                "date": _date(row.at),
            }
            for row in passport.facts.values()
        ],
        "changes": [
            {"date": _date(row.at), "text": row.text} for row in rows.changes(connection, emr, limit=CHANGES)
        ],
    }


def warnings(connection: sa.Connection, emr: str, profile: Profile) -> list[str]:
    """What an operator should know before the first night."""
    passport = load(connection, emr, profile)
    found = []
    dropped = sorted(
        {kind for kind, name in passport.facts if passport.filters(kind, "identifier") == "ignored"}
    )
    if dropped:
        found.append(
            f"searches of {', '.join(dropped)} ignore the identifier: a lost answer cannot be looked up there"
        )
    lying = sorted(
        {kind for kind, _ in passport.facts if passport.value(kind, "stale-if-match") == "ignored"}
    )
    if lying:
        found.append(
            f"updates of {', '.join(lying)} are taken under any version: they are compared and read back"
        )
    return found


def _profile(profile: Profile) -> dict[str, Any] | None:
    """Everything that the file says but its rules, which stand as `allowed` with every verb."""
    if not profile.name:
        return None
    said: dict[str, Any] = msgspec.to_builtins(profile)
    del said["rules"]
    rungs = {str(rung): profile.rung(rung) for rung in Rung}
    answers = {name: str(rung.answer) for name, rung in rungs.items()}
    notes = {name: rung.note for name, rung in rungs.items() if rung.note}
    return said | {"rungs": answers, "rung_notes": notes}


def _verb(row: Any, standing: Any) -> dict[str, Any]:
    return {
        "resource": row.resource,
        "verb": row.verb,
        "declared": {"answer": row.declared, "date": _date(row.declared_at)},
        "granted": {"answer": row.granted, "date": _date(row.granted_at)},
        "allowed": {"answer": row.allowed, "date": row.allowed_on, "note": row.allowed_note},
        "use": _use(row),
        "standing": str(standing.state),
        "reason": standing.reason,
    }


def _use(row: Any) -> dict[str, Any]:
    """The last time it was used: proven, disproven or unknown."""
    if row.refusals:
        return {
            "answer": "disproven" if refusal_counts(row) else "proven",
            "status": row.refused_status,
            "date": _date(row.refused_at),
        }
    if row.worked_at is None:
        return {"answer": rows.UNKNOWN, "status": None, "date": None}
    return {"answer": str(State.PROVEN), "status": row.worked_status, "date": _date(row.worked_at)}


def _date(moment: dt.datetime | None) -> str | None:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds") if moment is not None else None
