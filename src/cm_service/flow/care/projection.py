"""Decisions, ledger and enrolment of a patient -> that patient's row on the worklist."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from cm_service.db import care, ledger, worklist
from cm_service.db.confidential import joined
from cm_service.fhir import rawjson
from cm_service.flow.confidential import Veil
from cm_service.flow.plans.board import OPEN
from cm_service.rules.dates import instant_of
from cm_service.rules.decision import Decision, Outcome
from cm_service.rules.facts import AppointmentFact
from cm_service.rules.view import PatientView

_COMING = frozenset({"proposed", "pending", "booked", "arrived", "checked-in"})
ROUTINE = 3


class Person(NamedTuple):
    """What only judging knows: who it is, what was found, and the next appointment. `others` is what is
    left of it for those who may not read its `labels` (None: nobody is there for them)."""

    patient_id: str
    name: str
    birth_date: str
    rules: list[str]
    cannot_tell: list[str]
    appointment_at: dt.datetime | None
    labels: str = ""
    others: Person | None = None


def person(
    view: PatientView, decisions: Iterable[Decision], *, as_of: dt.datetime, zone: dt.tzinfo
) -> Person:
    decisions = list(decisions)
    patient = view.patient

    def of(outcome: Outcome) -> list[str]:
        return [decision.rule for decision in decisions if decision.outcome is outcome]

    return Person(
        patient_id=decisions[0].patient,
        name=(patient.name if patient else "")[:255],
        birth_date=(patient.birth.raw if patient and patient.birth else "")[:255],
        rules=of(Outcome.ELIGIBLE),
        cannot_tell=of(Outcome.INSUFFICIENT_DATA),
        appointment_at=_next_appointment(view, as_of, zone),
    )


def seen_by_others(
    who: Person, veil: Veil, decisions: list[Decision], *, as_of: dt.datetime, zone: dt.tzinfo
) -> Person:
    """With what is left for others, where that is not the same; `decisions` are those without labels."""
    other = person(veil.without, decisions, as_of=as_of, zone=zone) if veil.without else None
    return who if other == who else who._replace(labels=veil.labels, others=other)


def _next_appointment(view: PatientView, as_of: dt.datetime, zone: dt.tzinfo) -> dt.datetime | None:
    """The first one from the local day of `as_of` on."""
    today = as_of.astimezone(zone).date()
    starts = (
        instant_of(fact.start, zone)
        for fact in view.of(AppointmentFact)
        if fact.start is not None and fact.status in _COMING
    )
    return min((start for start in starts if start.astimezone(zone).date() >= today), default=None)


def project(connection: sa.Connection, emr: str, people: Iterable[Person]) -> None:
    """Make these people's rows anew; whoever has nothing open any more leaves the worklist."""
    people = list(people)
    ids = [each.patient_id for each in people]
    opened, asleep = worklist.cases_of(connection, emr, ids)
    rows: list[dict[str, Any]] = []
    gone: tuple[list[str], list[str]] = ([], [])
    held = ledger.of_patients(connection, emr, ids)
    for each in people:
        mine = list(_open_tasks(held.get(each.patient_id, [])))
        labels = joined(each.labels, *(under for under, _ in mine))
        free = [task for under, task in mine if not under]
        everything = [task for _, task in mine]
        for part, (who, tasks) in enumerate(((each, everything), (_for_others(each, labels), free))):
            row = who and _row(emr, who, tasks, opened.get(each.patient_id), asleep)
            if row and (row["tasks"] or row["status"] != "candidate"):
                rows.append({**row, "part": part, "labels": labels})
            else:
                gone[part].append(each.patient_id)
    worklist.save(connection, rows)
    for part, patients in enumerate(gone):
        worklist.drop(connection, emr, patients, part=part)


def _for_others(who: Person, labels: str) -> Person | None:
    """Where everybody may read everything there is no second part."""
    if not labels:
        return None
    return who.others if who.labels else who


def again(connection: sa.Connection, emr: str, patient_id: str) -> None:
    """After an act: what judging knew stays as it was."""
    known = [_known(row) for row in worklist.parts(connection, emr, patient_id)]
    who, *others = known or [Person(patient_id, "", "", [], [], None)]
    if who.labels and not others:
        care.mark_due(connection, emr, [patient_id])  # only judging knows what is left for others
    project(connection, emr, [who._replace(others=others[0] if others else None)])


def _known(row: Any) -> Person:
    return Person(*(getattr(row, name) for name in Person._fields if name != "others"))


def _row(
    emr: str,
    who: Person,
    tasks: list[dict[str, Any]],
    enrolment: Any | None,
    asleep: Mapping[str, dt.date],
) -> dict[str, Any]:
    known = {name: value for name, value in who._asdict().items() if name != "others"}
    return {
        **known,
        "emr": emr,
        "status": enrolment.status if enrolment is not None else "candidate",
        "urgency": min((task["urgency"] for task in tasks), default=ROUTINE),
        "due_at": min((dt.datetime.fromisoformat(t["due"]) for t in tasks if t["due"]), default=None),
        "tasks": sorted(tasks, key=lambda task: (task["due"] or "9", task["id"])),
        "care_manager": enrolment.care_manager if enrolment is not None else "",
        "snoozed_until": asleep.get(who.patient_id),
    }


def _open_tasks(rows: Iterable[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(labels, task)."""
    for row in rows:
        if row.kind == "Task" and (task := project_task(row)):
            yield row.labels, task


def project_task(row: Any) -> dict[str, Any] | None:
    """An open Task in the few words that a list shows; None for one that has ended."""
    wanted = rawjson.loads(row.wanted.encode())
    current = rawjson.loads(row.current.encode()) if row.current else wanted
    status = current.get("status") if "status" in row.human else wanted.get("status")
    if row.deleted or status not in OPEN["Task"] or row.state == "superseded":
        return None
    due = ((wanted.get("restriction") or {}).get("period") or {}).get("end")
    return {
        "id": row.id,
        "code": row.code,
        "rule": row.rule,
        "text": str(wanted.get("description", "")),
        "status": status,
        "due": dt.datetime.fromisoformat(due).astimezone(dt.UTC).isoformat() if due else None,
        "urgency": row.urgency,
    }
