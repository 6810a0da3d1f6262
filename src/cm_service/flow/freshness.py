"""As of when what is held of an EMR is, and what a person says of resources that seem to be deleted."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from cm_service.db import approvals, cursors, sync
from cm_service.db.engine import Database
from cm_service.errors import BadInput

_A_NIGHT = dt.timedelta(hours=36)  # a night that did not come for so long is missing


def told(connection: sa.Connection, emr: str, *, now: dt.datetime) -> dict[str, Any]:
    """`state`: complete (the last pull proved it), partial, stale (no complete one for a night and a half)
    or never; with `last_complete` and, per type, as of when it is held. Instants are UTC."""
    complete = sync.last_complete(connection, emr)
    pulls = [row for row in sync.recent_runs(connection, emr, 50) if row["source"] == "pull"]
    ended = [row for row in pulls if row["ended_at"] is not None]
    return {
        "emr": emr,
        "state": _state(complete, ended[0] if ended else None, now),
        "last_complete": _text(complete),
        "sample": ended[0]["figures"].get("sample") if ended else None,
        "types": {
            kind: {name: _text(value) for name, value in said.items()}
            for kind, said in cursors.as_of(connection, emr).items()
        },
    }


def _state(complete: dt.datetime | None, last: Any, now: dt.datetime) -> str:
    if complete is None:
        return "never"
    if complete < now - _A_NIGHT:
        return "stale"
    return "complete" if last is not None and last["status"] == "complete" else "partial"


def _text(value: Any) -> Any:
    return value.isoformat(timespec="seconds") if isinstance(value, dt.datetime) else value


def approve_deletions(db: Database, run_id: int, *, now: dt.datetime) -> tuple[str, dict[str, int]]:
    """Somebody looked at what run `run_id` found missing: up to so many of each type may go when the next
    pull, which reads all of these types, does not find them either. Returns the EMR and the counts.
    Raises Lost, BadInput where that run held nothing back or is not the last one that did."""
    with db.write() as connection:
        run = sync.run_of(connection, run_id)
        counts = {str(kind): int(count) for kind, count in (run.figures.get("held_back") or {}).items()}
        if not counts:
            raise BadInput(f"run {run_id} found nothing missing that it held back")
        later = [row for row in sync.recent_runs(connection, run.emr, 50) if row["id"] > run_id]
        if any(row["figures"].get("held_back") for row in later):
            raise BadInput(f"a later run than {run_id} held deletions back, too: look at that one")
        approvals.add(connection, run.emr, counts, run_id=run_id, at=now)
        cursors.read_whole_again(connection, run.emr, counts)
    return str(run.emr), counts
