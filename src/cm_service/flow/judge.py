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
from cm_service.db.confidential import joined
from cm_service.fhir import rawjson
from cm_service.flow.adopted import respect_adopted
from cm_service.flow.care.projection import Person, person, project, seen_by_others
from cm_service.flow.confidential import NO_VEIL, Veil, veiled
from cm_service.flow.intents import Change, Known, State
from cm_service.flow.people import Facts, Stale, Surroundings, views
from cm_service.flow.plans.board import STATUS, Board, Item
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
    stale: Stale = Stale()
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
            *sorted(self.stale.types),
        ]
        return sha256("\n".join(text).encode()).hexdigest()[:16]


class Group(NamedTuple):
    """One person: the surviving id, and the facts and holes of every id that was merged into it."""

    survivor: str
    members: Mapping[str, Facts]
    holes: Mapping[str, Iterable[str]]
    verdict: Verdict | None = None


class Line(NamedTuple):
    """One decision as the store keeps it, and what others are shown who may not read its labels."""

    rule: str
    outcome: str
    line: bytes
    digest: str
    labels: str = ""
    others_outcome: str | None = None
    others_line: bytes | None = None


class Verdict(NamedTuple):
    """What one patient's facts lead to, before anything is stored: the decisions, until when they are
    good, and what planning wants. `waits`: what people did holds something back for a time, which no
    decision's `stable_until` knows; then another day may want more. A Group carries one that was found
    for somebody of whom the ledger knows nothing."""

    patient_id: str
    lines: list[Line]
    until: dt.datetime | None
    changes: list[Change]
    waits: bool
    person: Person
    veil: Veil = NO_VEIL  # without its view

    def labels_of(self, rule: str, *texts: str) -> str:
        """Of something that this rule led to and that says this."""
        own = (each.labels for each in self.lines if each.rule == rule)
        return joined(self.veil.over(*texts), *own)


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
        self.around = Surroundings(night.parameters, places, night.unread, night.refused, night.stale)
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
            untils = set()
            for verdict, of_ledger in self._verdicts(connection, group, known, declines):
                untils.add(verdict.until)
                if verdict.waits:
                    untils.add(self.night.as_of + _A_DAY)
                rows.extend(self._changed(verdict, held.get(verdict.patient_id, {})))
                people.append(verdict.person)
                self._keep(connection, verdict, of_ledger)
            good[group.survivor] = min((until for until in untils if until), default=None)
        if self.night.store:
            care.save_decisions(connection, rows)
            project(connection, emr, people)
        return good

    def consider(self, view: PatientView, known: list[Known], veil: Veil = NO_VEIL) -> Verdict:
        """Pure: nothing is read, kept or counted."""
        night = self.night
        decisions, others = self._decide(view), self._decide(veil.without)
        known = [each for each in known if each.kind in STATUS]  # the rest is people's doing
        beside = {each.rule: each for each in others}
        lines = [_line(each, beside.get(each.rule), veil) for each in decisions]
        who = person(view, decisions, as_of=night.as_of, zone=night.zone)
        if veil.labels:
            who = seen_by_others(who, veil, others, as_of=night.as_of, zone=night.zone)
        return Verdict(
            decisions[0].patient,
            lines,
            min((each.stable_until for each in (*decisions, *others) if each.stable_until), default=None),
            night.planner(view, decisions, known),
            any(each.kind == "Task" and _ended_by_a_person(each) for each in known),
            who,
            veil._replace(without=None),
        )

    def _decide(self, view: PatientView | None) -> list[Decision]:
        return evaluate_patient(view, as_of=self.night.as_of, zone=self.night.zone) if view else []

    def foresee(self, patient_id: str, facts: Facts, holes: Iterable[str]) -> Verdict | None:
        """The verdict about somebody who declined nothing and of whom the ledger knows nothing."""
        group = Group(patient_id, {patient_id: facts}, {patient_id: holes})
        return next((self.consider(view, [], veil) for view, veil in self._seen(group, {})), None)

    def _seen(
        self, group: Group, declines: Mapping[str, list[Decline]]
    ) -> Iterator[tuple[PatientView, Veil]]:
        def seen(members: Mapping[str, Facts]) -> Iterator[PatientView]:
            return views(group.survivor, members, around=self.around, declines=declines, holes=group.holes)

        return veiled(group.members, seen)

    def _verdicts(
        self,
        connection: sa.Connection,
        group: Group,
        known: Mapping[str, list[Any]],
        declines: Mapping[str, list[Decline]],
    ) -> Iterator[tuple[Verdict, list[Any]]]:
        """With the rows of the ledger that it goes by; the survivor comes last."""
        if group.verdict and not known.get(group.survivor) and not declines.get(group.survivor):
            yield group.verdict, []
            return
        seen = self._seen(group, declines)
        for view, veil in sorted(seen, key=lambda each: _id(each[0]) == group.survivor):
            rows = known.get(_id(view), [])
            if _id(view) == group.survivor and len(group.members) > 1:
                rows = self._of_all(connection, group)
            yield self.consider(view, [known_of(row) for row in rows], veil), rows

    def _changed(self, verdict: Verdict, held: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for each in verdict.lines:
            if each.rule in held and held[each.rule].digest == each.digest:
                continue
            yield {
                "emr": self.night.emr,
                "patient_id": verdict.patient_id,
                **each._asdict(),
                "changed_at": self.night.as_of,
            }

    def _of_all(self, connection: sa.Connection, group: Group) -> list[Any]:
        """The ledger of everybody in the group, as planning for the replaced ones has left it."""
        rows = ledger.of_patients(connection, self.night.emr, group.members)
        return [row for mates in rows.values() for row in mates]

    def _keep(self, connection: sa.Connection, verdict: Verdict, rows: list[Any]) -> None:
        """Mint what is wanted."""
        changes = verdict.changes
        if self.night.store:
            changes = respect_adopted(connection, changes, rows, emr=self.night.emr, now=self.night.as_of)
            for change in changes:
                self._mint(connection, verdict, change)
            if verdict.veil.labels or any(row.labels for row in rows):
                _label(connection, verdict, rows)
        self.counts["patients"] += 1
        self.counts.update(each.outcome for each in verdict.lines)
        self.counts["intents"] += len(changes)

    def _mint(self, connection: sa.Connection, verdict: Verdict, change: Change) -> None:
        want, now = change.want, self.night.as_of
        wanted = rawjson.dumps(want.resource).decode()
        if change.known is None:
            columns = {name: getattr(want, name) for name in _MINTED} | {"wanted": wanted}
            columns["labels"] = verdict.labels_of(want.rule, wanted, want.subject)
            ledger.add(connection, emr=self.night.emr, patient_id=verdict.patient_id, want=columns, now=now)
        else:
            ledger.rewant(connection, change.known.id, wanted=wanted, urgency=want.urgency, now=now)


def _line(decision: Decision, other: Decision | None, veil: Veil) -> Line:
    """Under the labels if it reads otherwise without what bears them."""
    kept = Line(decision.rule, decision.outcome.value, line(decision), digest(decision))
    if not veil.labels or (other is not None and digest(other) == kept.digest):
        return kept
    mark = "|".join((kept.digest, veil.labels, digest(other) if other else ""))
    return kept._replace(
        digest=blake2b(mark.encode(), digest_size=12).hexdigest(),
        labels=veil.labels,
        others_outcome=other.outcome.value if other else None,
        others_line=line(other) if other else None,
    )


def _label(connection: sa.Connection, verdict: Verdict, before: list[Any]) -> None:
    """What has ended keeps the labels of what it was made of, which may be gone; what is open says what
    there is now."""
    for row in (ledger.one(connection, each.id) for each in before):
        labels = verdict.labels_of(row.rule, row.wanted, row.subject)
        if row.kind in STATUS and not _item(known_of(row)).is_open:
            labels = joined(labels, row.labels)
        if labels != row.labels:
            ledger.label(connection, row.id, labels)


def _item(known: Known) -> Item:
    return Board.of("", [known], base="").items[0]


def _id(view: PatientView) -> str:
    return view.patient.id if view.patient else ""


def _ended_by_a_person(known: Known) -> bool:
    return _item(known).closed_by_person


def known_of(row: Any) -> Known:
    """A ledger row as planning sees it. What a note or a form holds is not what was planned: of that
    only what was wanted counts."""
    native = row.rung == ledger.NATIVE
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
        reference=row.reference if native else None,
        current=rawjson.loads(row.current.encode()) if row.current and native else None,
        human=frozenset(row.human if native else ()),
        deleted=row.deleted,
        labels=row.labels,
    )
