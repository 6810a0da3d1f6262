"""The desk at which an act is done: it notes what was before, mints and rewrites intents, and can undo.

Everything happens in the transaction of the caller. Intents of an act that can be undone are held back
until its minutes are over: what is taken back in time was never sent.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from cm_service.db import care, cases, holds, ledger
from cm_service.db.confidential import NOTHING, Cleared, readable
from cm_service.errors import Lost, NotNow
from cm_service.fhir import rawjson
from cm_service.flow.care import projection, resources
from cm_service.flow.care.case import Case, load
from cm_service.flow.intents import identifier_value
from cm_service.flow.plans.board import Item

HOLD = dt.timedelta(minutes=10)


class Desk:
    """`by` is who acts: a `Practitioner/id` of the EMR, or the id of a client; what is under labels beyond
    `cleared` is nothing that they could name. An act itself goes by everything."""

    def __init__(
        self,
        connection: sa.Connection,
        emr: Any,
        patient_id: str,
        *,
        base: str,
        by: str,
        now: dt.datetime,
        cleared: Cleared = NOTHING,
    ) -> None:
        self._cleared = cleared
        self.connection, self.base, self.by, self.now = connection, base, by, now
        self._emr, self.emr = emr, str(emr.slug)
        self.case: Case = load(connection, emr, patient_id, base=base)
        self._before: dict[str, Any] = {
            "intents": [],
            "made": [],
            "consent": [],
            "contact": [],
            "declines": [],
        }
        self._hold: dt.datetime | None = None

    @property
    def patient_id(self) -> str:
        return self.case.patient_id

    @property
    def today(self) -> dt.date:
        return self.case.day(self.now)

    @property
    def actor(self) -> dict[str, Any]:
        return resources.person(self.by, self.base)

    def hold(self) -> None:
        """From here on this act can be undone, and its intents wait."""
        self._hold = self.now + HOLD

    def enrolled(self) -> Any:
        """The open enrolment. Raises NotNow."""
        if self.case.enrolment is None:
            raise NotNow("this patient is not enrolled")
        return self.case.enrolment

    def item(self, intent_id: int) -> Item | None:
        """Something of this patient that was named by its id."""
        item = self.case.item(intent_id)
        known = item and item.known
        return item if known and readable(known.labels, self._cleared) else None

    def rewrite(self, item: Item, **elements: Any) -> None:
        """Other elements in a thing of ours; None takes one out."""
        assert item.known is not None
        wanted = {k: v for k, v in {**item.resource, **elements}.items() if v is not None}
        row = ledger.one(self.connection, item.known.id)
        self._before["intents"].append([row.id, row.wanted, row.state, row.attempts])
        text = rawjson.dumps(wanted).decode()
        ledger.rewant(self.connection, row.id, wanted=text, urgency=row.urgency, now=self.now)
        holds.hold(self.connection, row.id, until=self._hold)
        item.resource = wanted

    def pool(self) -> dict[str, Any]:
        """Who gets what is nobody's yet: the EMR's pool, else the practice; never nobody."""
        for reference in (self._emr.owner, self._emr.practice):
            if reference:
                return {"reference": reference}
        named = {"system": f"{self.base}/id/organization", "value": "care-management"}
        return {"type": "Organization", "identifier": named, "display": "Care management"}

    def mint(
        self, kind: str, key: str, resource: dict[str, Any], *, code: str, rule: str = "", urgency: int = 3
    ) -> int:
        """A new thing wanted in the EMR, under its business key."""
        word, value = "plan" if kind == "CarePlan" else kind.lower(), identifier_value(key)
        clean = {name: each for name, each in resource.items() if each is not None}
        identified = {**clean, "identifier": resources.minted(self.base, word, value, key)}
        want = {
            "kind": kind,
            "business_key": key,
            "system": f"{self.base}/id/{word}",
            "value": value,
            "rule": rule,
            "code": code,
            "subject": "",
            "urgency": urgency,
            "wanted": rawjson.dumps(identified).decode(),
            "labels": care.labels_of_person(self._decided()),
        }
        intent_id = ledger.add(
            self.connection, emr=self.emr, patient_id=self.patient_id, want=want, now=self.now
        )
        holds.hold(self.connection, intent_id, until=self._hold)
        self._before["made"].append(intent_id)
        return intent_id

    def _decided(self) -> dict[str, Any]:
        return care.decisions_of(self.connection, self.emr, [self.patient_id]).get(self.patient_id, {})

    def number(self, kind: str, code: str) -> int:
        """The next free number of keys of this kind and code for this patient."""
        known = [i.known for i in self.case.board.items if i.known is not None]
        return 1 + sum(1 for k in (*known, *self.case.others) if (k.kind, k.code) == (kind, code))

    def row(self, table: str, **columns: Any) -> int:
        """A new row of consent or contact, taken away again by an undo."""
        row_id = cases.insert(self.connection, table, **columns)
        self._before[table].append(row_id)
        return row_id

    def note(self, **facts: Any) -> None:
        """Something else that an undo must know."""
        self._before.update(facts)

    def done(self, kind: str, *, enrolment_id: int | None = None) -> int:
        """Keep the act; returns its id."""
        projection.again(self.connection, self.emr, self.patient_id)
        return cases.keep_act(
            self.connection,
            emr=self.emr,
            patient_id=self.patient_id,
            enrolment_id=enrolment_id,
            kind=kind,
            by=self.by,
            at=self.now,
            undo_until=self._hold,
            before=self._before,
        )


def undo(connection: sa.Connection, act_id: int, *, emr: str, by: str, now: dt.datetime) -> None:
    """Take an act back as if it had not been: within its minutes, by whoever did it. Raises Lost, NotNow."""
    act = cases.act(connection, act_id, emr=emr)
    if act.by != by:
        raise Lost("there is no act with this id")
    if act.undone_at is not None:
        return
    if act.undo_until is None or now >= act.undo_until:
        raise NotNow("this can no longer be undone")
    if any(
        later.id > act.id and later.undone_at is None for later in cases.acts(connection, emr, act.patient_id)
    ):
        raise NotNow("something else was done since: undo that first")
    before = act.before
    for intent_id, _, _, attempts in before["intents"]:
        if ledger.one(connection, intent_id).attempts != attempts:
            raise NotNow("this is on its way to the EMR and can no longer be undone")
    for made in before["made"]:
        if ledger.one(connection, made).attempts:
            raise NotNow("this is on its way to the EMR and can no longer be undone")
    for intent_id, wanted, state, _ in reversed(before["intents"]):
        holds.restore(connection, intent_id, wanted=wanted, state=state, now=now)
    holds.forget_unsent(connection, before["made"])
    _rows(connection, act, before)
    cases.mark_undone(connection, act_id, now=now)
    projection.again(connection, emr, act.patient_id)


def _rows(connection: sa.Connection, act: Any, before: dict[str, Any]) -> None:
    cases.delete_consents(connection, before["consent"])
    cases.undo_contacts(connection, before["contact"])
    cases.delete_declines(connection, before["declines"])
    if before.get("opened"):
        cases.delete_enrolment(connection, before["opened"])
    if before.get("enrolment"):
        columns = {name: value and _moment(name, value) for name, value in before["enrolment"].items()}
        cases.update_enrolment(connection, act.enrolment_id, **columns)


def _moment(name: str, value: Any) -> Any:
    return dt.datetime.fromisoformat(value) if name.endswith(("_at", "_since")) else value
