"""Who is on the roster no more. That closes nothing: whoever two complete rosters in a row lack is for a
person to ask about (`plans/departures.py`).

Only a roster that somebody keeps says so: a list, or a Group. One that lacks more than max(20, 5 %) of those
whom the store holds was cut short, and nobody has left for that.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from cm_service.db import absences, approvals, care, sync
from cm_service.db.absences import Away
from cm_service.db.engine import Database
from cm_service.flow.landing import PullReport
from cm_service.flow.vanished import too_many

ROSTER = "roster"  # the word by which so many departures are approved
_KEPT = frozenset({"list", "group", "export"})


def named(report: PullReport) -> frozenset[str] | None:
    """Patient ids of a complete roster, None where there was none."""
    roster, patients = report.roster, report.types.get("Patient")
    if roster.origin not in _KEPT or roster.reason or not roster.ids:
        return None
    return frozenset(roster.ids) if patients is not None and patients.status == "complete" else None


def note(db: Database, emr: str, roster: frozenset[str] | None, *, as_of: dt.datetime) -> int:
    """Count who is missing, and let those be judged with whom something changed by it; returns how many
    are newly missing if they are too many to be believed."""
    if roster is None:
        return 0
    with db.write() as connection:
        survivors = {who: held.survivor for who, held in sync.held_records(connection, emr).items()}
        known, here = absences.of_emr(connection, emr), {survivors.get(who, who) for who in roster}
        missing = set(survivors.values()) - here
        allowed = approvals.of_emr(connection, emr).get(ROSTER, 0)
        fresh = len(missing - known.keys())
        if too_many(fresh, len(set(survivors.values()))) and fresh > allowed:
            return fresh
        approvals.used(connection, emr, [ROSTER])
        _keep(connection, emr, known, missing, as_of=as_of)
    return 0


def _keep(
    connection: sa.Connection, emr: str, known: dict[str, Away], missing: set[str], *, as_of: dt.datetime
) -> None:
    """The same night read once more is no second roster."""
    fresh = {who: Away(as_of, again=False) for who in missing - known.keys()}
    twice = {
        who: Away(known[who].since, again=True)
        for who in missing & known.keys()
        if not known[who].again and known[who].since < as_of
    }
    absences.save(connection, emr, fresh | twice)
    back = known.keys() - missing
    absences.back(connection, emr, back)
    care.mark_due(connection, emr, [*twice, *(who for who in back if known[who].again)])


def away(connection: sa.Connection, emr: str) -> dict[str, dt.datetime]:
    """Whom two rosters in a row lacked, and since which night."""
    return {who: each.since for who, each in absences.of_emr(connection, emr).items() if each.again}
