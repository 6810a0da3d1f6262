"""Resources in hand (a chart opening, a CDS Hooks call, a Bundle in a request) -> decisions; no store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cm_service.flow.connection import ConceptMap
from cm_service.flow.normalise import Reject
from cm_service.flow.people import Facts, Surroundings, replaced_by, survivor_of, views
from cm_service.flow.sieve import read_bundle
from cm_service.rules.decision import Decision, Rule
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.parameters import Parameters
from cm_service.rules.registry import RULES
from cm_service.rules.view import Decline, PatientView


class InHand(NamedTuple):
    """Decisions per surviving patient, and what could not be read."""

    decisions: list[Decision]
    rejects: list[Reject]


def decide(
    bundle: bytes | Mapping[str, Any],
    *,
    as_of: dt.datetime,
    zone: dt.tzinfo,
    parameters: Parameters,
    base_url: str | None = None,
    concept_map: ConceptMap | None = None,
    unread: frozenset[str] = frozenset(),
    declines: Mapping[str, Iterable[Decline]] | None = None,
    rules: Iterable[Rule] = RULES,
) -> InHand:
    """Judge every patient of a Bundle. `unread` are types that the Bundle does not hold to their end:
    what they could change is then `insufficient_data`. Raises NotFhir for what is no Bundle."""
    read = read_bundle(bundle, base_url=base_url, concept_map=concept_map)
    around = Surroundings(parameters, read.places, unread)
    decisions = [
        decision
        for view in everybody(read.patients, around, holes=read.holes, declines=declines or {})
        for decision in evaluate_patient(view, as_of=as_of, zone=zone, rules=rules)
    ]
    return InHand(decisions, read.rejects)


def everybody(
    records: Mapping[str, Facts],
    around: Surroundings,
    *,
    holes: Mapping[str, Iterable[str]],
    declines: Mapping[str, Iterable[Decline]],
) -> Iterator[PatientView]:
    """A view of each person: merged ones under their survivor."""
    links = {who: replaced_by(who, facts) for who, facts in records.items()}
    groups: dict[str, dict[str, Facts]] = {}
    for who in sorted(records):
        groups.setdefault(survivor_of(who, links), {})[who] = records[who]
    for survivor, members in groups.items():
        yield from views(survivor, members, around=around, declines=declines, holes=holes)
