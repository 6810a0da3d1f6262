"""A stay or a visit as the decisions tell it, with what the record says of its Encounter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, NamedTuple

from cm_service.flow.plans import words
from cm_service.flow.plans.context import Night
from cm_service.flow.plans.inputs import EVENT, Input, dates, evidence, supporting
from cm_service.flow.plans.needs import ONCE, TaskNeed
from cm_service.rules.decision import Decision
from cm_service.rules.facts import EncounterFact


class Found(NamedTuple):
    """`subject` is the key of the stay or visit, `encounter` the id of the Encounter that decides."""

    subject: str
    encounter: str
    facts: Mapping[str, Any]
    zone: dt.tzinfo

    @property
    def source(self) -> str:
        return f"Encounter/{self.encounter}"

    def day(self, name: str) -> dt.date | None:
        return words.fact_day(self.facts.get(name), self.zone)

    def instant(self, name: str) -> dt.datetime | None:
        return words.fact_instant(self.facts.get(name))


def found(night: Night, decision: Decision) -> Found:
    """The episode of which the decision itself speaks: the newest with its outcome."""
    facts = decision.facts
    return Found(str(facts["stay_key"]), str(facts["encounter"]), facts, night.zone)


def episodes(night: Night, rule: str) -> list[Found]:
    """All episodes that a rule lists, oldest first."""
    decision = night.decisions.get(rule)
    listed = decision.facts.get("episodes", ()) if decision else ()
    return [Found(str(e["subject"]), str(e["encounter"]), e, night.zone) for e in listed]


def encounter_of(night: Night, name: str) -> EncounterFact | None:
    return next((each for each in night.view.of(EncounterFact) if each.id == name), None)


def facility(night: Night, encounter: str) -> str:
    """The name of the place, as far as the record has one."""
    fact = encounter_of(night, encounter)
    if fact is None:
        return "hospital"
    if fact.provider_name:
        return fact.provider_name
    references = (fact.provider, *fact.locations)
    places = (night.view.places.get(reference) for reference in references if reference)
    return next((place.name for place in places if place is not None and place.name), "hospital")


def task(
    night: Night,
    decision: Decision,
    about: Found,
    *,
    event: str,
    inputs: tuple[Input, ...] = (),
    **own: Any,
) -> TaskNeed:
    """A Task about one episode; `event` names the fact whose day it is about. `own` are fields of
    TaskNeed."""
    common: dict[str, Any] = {
        "rule": decision.rule,
        "subject": about.subject,
        "priority": str(about.facts.get("priority", "routine")),
        "memory": ONCE,
        "source": about.source,
        "focus": about.source,
        "encounter": about.source,
        "flags": tuple(decision.flags),
        "since": about.day(event),
        "inputs": (
            evidence(about.source, night.zone),
            *dates((EVENT, about.day(event))),
            *inputs,
            *supporting(decision, night.zone, beside=""),
        ),
    }
    return TaskNeed(**(common | own))
