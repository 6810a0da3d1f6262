"""Records -> decisions -> intents: only for patients whose record changed or whose time has come."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import blake2b, sha256
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from cm_service.db import care, ledger, sync
from cm_service.db.engine import Database
from cm_service.fhir import rawjson
from cm_service.flow import ours, record
from cm_service.flow.intents import Change, Known, State
from cm_service.flow.people import Facts, Surroundings, views
from cm_service.rules import registry
from cm_service.rules.decision import Decision
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.parameters import Parameters
from cm_service.rules.view import Decline, PatientView

BATCH = 25  # patients per transaction: short enough to block nobody, long enough to be quick
_LINE = msgspec.json.Encoder(decimal_format="number")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

Planner = Callable[[PatientView, list[Decision], list[Known]], list[Change]]


class Night(NamedTuple):
    """What one evaluation stage needs to know. `store` False is a dry run: nothing is kept."""

    emr: str
    as_of: dt.datetime
    zone: dt.tzinfo
    parameters: Parameters
    unread: frozenset[str]
    refused: frozenset[str]
    planner: Planner
    store: bool = True
    progress: Callable[[str], None] = lambda _text: None

    @property
    def evaluated_by(self) -> str:
        """Rules, code sets, parameters, zone and unread types: another set makes everybody due."""
        text = [
            registry.fingerprint(),
            repr(self.parameters),
            str(self.zone),
            *sorted(self.unread),
            "refused",
            *sorted(self.refused),
        ]
        return sha256("\n".join(text).encode()).hexdigest()[:16]


def line(decision: Decision) -> bytes:
    """The JSON line of one decision, as `evaluate` prints it and the store keeps it."""
    return _LINE.encode(decision)


def digest(decision: Decision) -> str:
    """Changes when anything but `as_of` and `stable_until` does."""
    timeless = msgspec.structs.replace(decision, as_of=_EPOCH, stable_until=None)
    return blake2b(_LINE.encode(timeless), digest_size=12).hexdigest()


def evaluate_due(db: Database, night: Night) -> Counter[str]:
    """Judge everybody who is due and mint what that makes us want, in one transaction per batch."""
    counts: Counter[str] = Counter()
    by = night.evaluated_by
    with db.read() as connection:
        due = care.due_survivors(connection, night.emr, as_of=night.as_of, evaluated_by=by)
        held = sync.held_places(connection, night.emr) if due else {}
    places = {key: record.decode_one(fact) for key, fact in held.items()}
    around = Surroundings(night.parameters, places, night.unread, night.refused)
    for start in range(0, len(due), BATCH):
        batch = due[start : start + BATCH]
        if night.store:
            with db.write() as connection:
                _batch(connection, night, around, batch, by, counts)
        else:
            with db.read() as connection:
                _batch(connection, night, around, batch, by, counts)
        night.progress(f"{min(start + BATCH, len(due))} of {len(due)} patients")
    return counts


def _batch(
    connection: sa.Connection,
    night: Night,
    around: Surroundings,
    survivors: list[str],
    by: str,
    counts: Counter[str],
) -> None:
    groups = _groups(connection, night.emr, survivors)
    ids = [patient_id for members, _ in groups.values() for patient_id in members]
    held = care.decisions_of(connection, night.emr, ids)
    known = ledger.of_patients(connection, night.emr, ids)
    declined = care.declines_of(connection, night.emr, ids)
    declines = {who: [Decline(*item) for item in items] for who, items in declined.items()}
    rows: list[dict[str, Any]] = []
    evaluated: list[dict[str, Any]] = []
    for survivor, (members, holes) in groups.items():
        until: dt.datetime | None = None
        for view in views(survivor, members, around=around, declines=declines, holes=holes):
            patient_id = view.patient.id  # type: ignore[union-attr]
            decisions = evaluate_patient(view, as_of=night.as_of, zone=night.zone)
            until = min((d.stable_until for d in decisions if d.stable_until), default=until)
            rows.extend(_changed_rows(night, decisions, held.get(patient_id, {})))
            _plan(connection, night, view, decisions, known.get(patient_id, []), counts)
            counts["patients"] += 1
            counts.update(decision.outcome.value for decision in decisions)
        evaluated.append({"of": survivor, "until": until, "by": by})
    if night.store:
        care.save_decisions(connection, rows)
        care.mark_evaluated(connection, night.emr, evaluated)


def _groups(
    connection: sa.Connection, emr: str, survivors: list[str]
) -> dict[str, tuple[dict[str, Facts], dict[str, list[str]]]]:
    groups: dict[str, tuple[dict[str, Facts], dict[str, list[str]]]] = {}
    for row in sync.load_group(connection, emr, survivors):
        members, holes = groups.setdefault(row.survivor, ({}, {}))
        members[row.patient_id] = record.decode(row.facts)
        holes[row.patient_id] = row.holes
    return groups


def _changed_rows(night: Night, decisions: list[Decision], held: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for decision in decisions:
        own = digest(decision)
        if decision.rule in held and held[decision.rule].digest == own:
            continue
        yield {
            "emr": night.emr,
            "patient_id": decision.patient,
            "rule": decision.rule,
            "outcome": decision.outcome.value,
            "line": line(decision),
            "digest": own,
            "changed_at": night.as_of,
        }


def _plan(
    connection: sa.Connection,
    night: Night,
    view: PatientView,
    decisions: list[Decision],
    rows: list[Any],
    counts: Counter[str],
) -> None:
    changes = night.planner(view, decisions, [known_of(row) for row in rows])
    if night.store:
        changes = _respect_adopted(connection, night, changes, rows)
        for change in changes:
            _keep(connection, night, view.patient.id, change)  # type: ignore[union-attr]
    counts["intents"] += len(changes)


def _keep(connection: sa.Connection, night: Night, patient_id: str, change: Change) -> None:
    want = change.want
    wanted = rawjson.dumps(want.resource).decode()
    if change.known is None:
        columns = {name: getattr(want, name) for name in _MINTED} | {"wanted": wanted}
        ledger.add(connection, emr=night.emr, patient_id=patient_id, want=columns, now=night.as_of)
    else:
        ledger.rewant(connection, change.known.id, wanted=wanted, urgency=want.urgency, now=night.as_of)


def _respect_adopted(
    connection: sa.Connection, night: Night, changes: list[Change], rows: list[Any]
) -> list[Change]:
    """What a lost store wrote and this one adopted has no base to compare with: where it differs from
    what we would write, a person may have changed it, so that element is theirs (but for the
    status, which only the first planning after the adoption may still withdraw)."""
    adopted = {row.id: row for row in rows if row.base is None and row.current is not None}
    kept = []
    for change in changes:
        row = adopted.get(change.known.id) if change.known else None
        if row is None:
            kept.append(change)
            continue
        current = rawjson.loads(row.current.encode())
        places = ledger.references(connection, night.emr, ours.links(change.want.resource))
        wanted = ours.materialise(change.want.resource, places.get)
        differing = ours.differs(wanted, current)
        theirs = differing - _WITHDRAWAL
        ledger.move(connection, row.placement_id, now=night.as_of, human=sorted({*row.human, *theirs}))
        if differing & _WITHDRAWAL:
            kept.append(change)
    for row in adopted.values():
        ledger.move(connection, row.placement_id, now=night.as_of, base=row.current)
    return kept


_WITHDRAWAL = frozenset({"status", "statusReason", "lifecycleStatus"})
_MINTED = ("kind", "business_key", "system", "value", "rule", "code", "subject", "urgency")


def known_of(row: Any) -> Known:
    """A ledger row as planning sees it."""
    return Known(
        id=row.id,
        kind=row.kind,
        business_key=row.business_key,
        system=row.system,
        value=row.value,
        rule=row.rule,
        code=row.code,
        subject=row.subject,
        resource=rawjson.loads(row.wanted.encode()),
        state=State(row.state),
        created_at=row.created_at,
        reference=row.reference,
        current=rawjson.loads(row.current.encode()) if row.current else None,
        human=frozenset(row.human),
        deleted=row.deleted,
    )
