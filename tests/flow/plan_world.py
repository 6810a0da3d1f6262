"""A patient's ledger and EMR around planning: facts in, changes out, applied as delivery and
reconciliation would. Every resource that is made is validated on its way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from cm_service.fhir import rawjson
from cm_service.fhir.resources import validate
from cm_service.flow.intents import LINK, Change, Known, State
from cm_service.flow.plan import PlanContext, plan
from cm_service.flow.plans.board import OPEN
from cm_service.rules.decision import Decision
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.facts import AnyFact
from cm_service.rules.view import PatientView
from tests.rules.builders import AS_OF, ZONE, view

BASE = "https://cm.example.org"
Resource = dict[str, Any]


def context(**changes: Any) -> PlanContext:
    """An EMR that has every resource which a fact names."""
    usual: dict[str, Any] = {"identifier_base": BASE, "practice": "Organization/practice"}
    return PlanContext(**{**usual, "readable": lambda reference: "|" not in reference, **changes})


class World:
    """`known` is the ledger; `night` plans and mints, `deliver` writes, the others are people."""

    def __init__(self, *, patient_id: str = "p", emr: PlanContext | None = None) -> None:
        self.patient_id, self.emr = patient_id, emr or context()
        self.known: list[Known] = []

    def night(self, *facts: AnyFact, as_of: dt.datetime = AS_OF, **changes: Any) -> list[Change]:
        """Decide with all rules, plan, and keep what changed; written at once."""
        return self.plan(view(*facts, **changes), as_of=as_of)

    def plan(
        self,
        seen: PatientView,
        *,
        decisions: Iterable[Decision] | None = None,
        as_of: dt.datetime = AS_OF,
        deliver: bool = True,
    ) -> list[Change]:
        if decisions is None:
            decisions = evaluate_patient(seen, as_of=as_of, zone=ZONE)
        changes = plan(
            emr=self.emr,
            patient_id=self.patient_id,
            decisions=list(decisions),
            view=seen,
            known=self.known,
            as_of=as_of,
            zone=ZONE,
        )
        for change in changes:
            self._keep(change, as_of)
        if deliver:
            self.deliver(as_of)
        return changes

    def _keep(self, change: Change, now: dt.datetime) -> None:
        """As the ledger does: text and back, under the identity that was minted."""
        resource = rawjson.loads(rawjson.dumps(change.want.resource))
        validate(_materialised(resource, lambda value: f"Any/{value}"))
        if change.known is not None:
            old = self.of(change.known.value)
            self._replace(msgspec.structs.replace(old, resource=resource, state=State.PENDING))
            return
        want = change.want
        assert want.value not in {each.value for each in self.known}, "an identifier is minted once"
        minted = {name: getattr(want, name) for name in _MINTED}
        number = len(self.known) + 1
        self.known.append(Known(id=number, resource=resource, state=State.PENDING, created_at=now, **minted))

    def deliver(self, now: dt.datetime = AS_OF) -> None:
        """What is pending reaches the EMR; goals, then plans (an enrolment's first), then tasks."""
        for each in sorted(self.known, key=_turn):
            if each.state is State.PENDING and not each.deleted:
                self._write(each, now)

    def _write(self, each: Known, now: dt.datetime) -> None:
        name = each.reference or f"{each.kind}/{each.kind.lower()}-{each.id}"
        there = (each.current or {}).get("status", "requested")
        closing = each.kind == "Task" and each.resource["status"] == "cancelled" and there in OPEN["Task"]
        theirs = each.human - {"status", "statusReason"} if closing else each.human
        ours = {key: value for key, value in each.resource.items() if key not in theirs}
        body = {**(each.current or {}), **_materialised(ours, self.place)}
        body["id"] = name.partition("/")[2]
        body["meta"] = {"versionId": "1", "lastUpdated": now.isoformat()}
        self._replace(msgspec.structs.replace(each, state=State.WRITTEN, reference=name, current=body))

    def place(self, value: str) -> str:
        return self.of(value).reference or f"Unknown/{value}"

    def of(self, value: str) -> Known:
        return next(each for each in self.known if each.value == value)

    def one(self, code: str, *, last: bool = True) -> Known:
        """The newest thing of ours with this code."""
        found = [each for each in self.known if each.code == code]
        return found[-1] if last else found[0]

    def all(self, code: str) -> list[Known]:
        return [each for each in self.known if each.code == code]

    def open(self, kind: str = "Task") -> list[str]:
        """Codes of what is open in the EMR, or will be when what is pending has arrived."""
        closed = {"cancelled", "completed", "rejected", "failed", "revoked"}
        return sorted(
            each.code
            for each in self.known
            if each.kind == kind and not each.deleted and _status(_shown(each)) not in closed
        )

    def edit(self, known: Known, *, on: str = "", **elements: Any) -> None:
        """Somebody changes elements in the EMR: theirs from then on. `on`: the instant of the edit."""
        assert known.current is not None
        body = {**known.current, **elements}
        body["meta"] = {"versionId": "2", "lastUpdated": on or AS_OF.isoformat()}
        human = known.human | elements.keys()
        self._replace(msgspec.structs.replace(self.of(known.value), current=body, human=human))

    def delete(self, known: Known) -> None:
        self._replace(msgspec.structs.replace(self.of(known.value), deleted=True))

    def lose_store(self) -> None:
        """The ledger is gone: what the EMR holds of ours is adopted, with nothing else known."""
        self.known = [
            Known(
                id=number,
                kind=each.kind,
                business_key="",
                system=each.system,
                value=each.value,
                rule="",
                code="",
                subject="",
                resource=each.current or {},
                state=State.WRITTEN,
                created_at=AS_OF,
                reference=each.reference,
                current=each.current,
            )
            for number, each in enumerate(self.known, start=1)
            if not each.deleted
        ]

    def _replace(self, known: Known) -> None:
        self.known = [known if each.value == known.value else each for each in self.known]


def _turn(each: Known) -> tuple[int, bool]:
    return ("Goal", "CarePlan", "Task").index(each.kind), each.code != "longitudinal"


_MINTED = ("kind", "business_key", "system", "value", "rule", "code", "subject")


def _shown(each: Known) -> Resource:
    if each.state is State.PENDING and (
        "status" not in each.human or each.resource.get("status") == "cancelled"
    ):
        return each.resource
    return each.current or each.resource


def _status(resource: Resource) -> str:
    return str(resource.get("lifecycleStatus") or resource["status"])


def _materialised(value: Any, place: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        found = {name: _materialised(each, place) for name, each in value.items()}
        reference = value.get("reference")
        if isinstance(reference, str) and reference.startswith(LINK):
            found["reference"] = place(reference.removeprefix(LINK))
        return found
    return [_materialised(each, place) for each in value] if isinstance(value, list) else value


def made(changes: Iterable[Change], kind: str = "") -> dict[str, Resource]:
    """Resources of changes by code."""
    return {c.want.code: c.want.resource for c in changes if kind in ("", c.want.kind)}


def inputs(task: Resource, code: str) -> list[Any]:
    """Values of Task.input of this code."""
    return [
        value
        for each in task.get("input", [])
        if each["type"]["coding"][0]["code"] == code
        for name, value in each.items()
        if name.startswith("value")
    ]


def due(task: Resource) -> str:
    return str(task["restriction"]["period"]["end"])


def later(days: float, of: dt.datetime = AS_OF) -> dt.datetime:
    return of + dt.timedelta(days=days)
