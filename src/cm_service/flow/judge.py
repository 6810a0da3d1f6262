"""One person judged, and what that makes us want minted, inside the transaction of the caller."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b, sha256
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from cm_service.db import care, ledger
from cm_service.fhir import rawjson
from cm_service.flow.adopted import respect_adopted
from cm_service.flow.care.projection import Person, person, project
from cm_service.flow.intents import Change, Known, State
from cm_service.flow.people import Facts, Surroundings, views
from cm_service.flow.plans.board import STATUS, Board
from cm_service.rules import registry
from cm_service.rules.decision import Decision
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.facts import AnyFact
from cm_service.rules.parameters import Parameters
from cm_service.rules.view import Decline, PatientView

_LINE = msgspec.json.Encoder(decimal_format="number")
_A_DAY = dt.timedelta(days=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MINTED = ("kind", "business_key", "system", "value", "rule", "code", "subject", "urgency")

Planner = Callable[[PatientView, list[Decision], list[Known]], list[Change]]


class Night(NamedTuple):
    """What judging needs to know of the night. `planned_for` are the settings that `planner` goes by;
    `store` False is a dry run: nothing is kept."""

    emr: str
    as_of: dt.datetime
    zone: dt.tzinfo
    parameters: Parameters
    unread: frozenset[str]
    refused: frozenset[str]
    planner: Planner
    planned_for: tuple[str, ...] = ()
    store: bool = True
    progress: Callable[[str], None] = lambda _text: None

    @property
    def evaluated_by(self) -> str:
        """Rules, code sets, parameters, zone, unread types and what planning goes by: another set makes
        everybody due."""
        text = [
            registry.fingerprint(),
            repr(self.parameters),
            str(self.zone),
            *sorted(self.unread),
            "refused",
            *sorted(self.refused),
            repr(self.planned_for),
        ]
        return sha256("\n".join(text).encode()).hexdigest()[:16]


class Group(NamedTuple):
    """One person: the surviving id, and the facts and holes of every id that was merged into it."""

    survivor: str
    members: Mapping[str, Facts]
    holes: Mapping[str, Iterable[str]]


def line(decision: Decision) -> bytes:
    """The JSON line of one decision, as `evaluate` prints it and the store keeps it."""
    return _LINE.encode(decision)


def digest(decision: Decision) -> str:
    """Changes when anything but `as_of` and `stable_until` does."""
    timeless = msgspec.structs.replace(decision, as_of=_EPOCH, stable_until=None)
    return blake2b(_LINE.encode(timeless), digest_size=12).hexdigest()


class Judge:
    """Judges groups of people; `counts` adds up patients, outcomes and intents."""

    def __init__(self, night: Night, places: Mapping[str, AnyFact]) -> None:
        self.night = night
        self.around = Surroundings(night.parameters, places, night.unread, night.refused)
        self.counts: Counter[str] = Counter()

    def judge(self, connection: sa.Connection, groups: Iterable[Group]) -> dict[str, dt.datetime | None]:
        """Store what changed; returns until when each survivor's decisions are good."""
        groups, emr = list(groups), self.night.emr
        ids = [patient_id for group in groups for patient_id in group.members]
        held = care.decisions_of(connection, emr, ids)
        known = ledger.of_patients(connection, emr, ids)
        declines = {
            who: [Decline(*item) for item in items]
            for who, items in care.declines_of(connection, emr, ids).items()
        }
        good: dict[str, dt.datetime | None] = {}
        rows: list[dict[str, Any]] = []
        people: list[Person] = []
        for group in groups:
            good[group.survivor] = None
            seen = views(*group[:2], around=self.around, declines=declines, holes=group.holes)
            for view in sorted(seen, key=lambda view: _id(view) == group.survivor):  # the survivor last
                decisions = self._decide(view)
                untils = [d.stable_until for d in decisions if d.stable_until]
                good[group.survivor] = min(untils + [u for u in (good[group.survivor],) if u], default=None)
                patient_id = decisions[0].patient
                rows.extend(self._changed(decisions, held.get(patient_id, {})))
                people.append(person(view, decisions, as_of=self.night.as_of, zone=self.night.zone))
                if patient_id == group.survivor and len(group.members) > 1:
                    known[patient_id] = self._of_all(connection, group)
                if self._plan(connection, view, decisions, known.get(patient_id, [])):
                    again = self.night.as_of + _A_DAY
                    good[group.survivor] = min(good[group.survivor] or again, again)
        if self.night.store:
            care.save_decisions(connection, rows)
            project(connection, emr, people)
        return good

    def _decide(self, view: PatientView) -> list[Decision]:
        decisions = evaluate_patient(view, as_of=self.night.as_of, zone=self.night.zone)
        self.counts["patients"] += 1
        self.counts.update(decision.outcome.value for decision in decisions)
        return decisions

    def _changed(self, decisions: list[Decision], held: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for decision in decisions:
            own = digest(decision)
            if decision.rule in held and held[decision.rule].digest == own:
                continue
            yield {
                "emr": self.night.emr,
                "patient_id": decision.patient,
                "rule": decision.rule,
                "outcome": decision.outcome.value,
                "line": line(decision),
                "digest": own,
                "changed_at": self.night.as_of,
            }

    def _of_all(self, connection: sa.Connection, group: Group) -> list[Any]:
        """The ledger of everybody in the group, as planning for the replaced ones has left it."""
        rows = ledger.of_patients(connection, self.night.emr, group.members)
        return [row for mates in rows.values() for row in mates]

    def _plan(
        self, connection: sa.Connection, view: PatientView, decisions: list[Decision], rows: list[Any]
    ) -> bool:
        """Mint what is wanted; True if what people did holds something back for a time, which no
        decision's `stable_until` knows: then another day may want more."""
        known = [known_of(row) for row in rows if row.kind in STATUS]  # the rest is people's doing
        changes = self.night.planner(view, decisions, known)
        if self.night.store:
            changes = respect_adopted(connection, changes, rows, emr=self.night.emr, now=self.night.as_of)
            for change in changes:
                self._keep(connection, decisions[0].patient, change)
        self.counts["intents"] += len(changes)
        return any(each.kind == "Task" and _ended_by_a_person(each) for each in known)

    def _keep(self, connection: sa.Connection, patient_id: str, change: Change) -> None:
        want, now = change.want, self.night.as_of
        wanted = rawjson.dumps(want.resource).decode()
        if change.known is None:
            columns = {name: getattr(want, name) for name in _MINTED} | {"wanted": wanted}
            ledger.add(connection, emr=self.night.emr, patient_id=patient_id, want=columns, now=now)
        else:
            ledger.rewant(connection, change.known.id, wanted=wanted, urgency=want.urgency, now=now)


def _id(view: PatientView) -> str:
    return view.patient.id if view.patient else ""


def _ended_by_a_person(known: Known) -> bool:
    return Board.of("", [known], base="").items[0].closed_by_person


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
