"""Each patient of the panel is judged as its scenario says: the panel and the rules hold each other."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from zoneinfo import ZoneInfo

import pytest

from cm_service.fhir.values import References
from cm_service.flow.normalise import Normalised, Normaliser
from cm_service.flow.people import Facts, Surroundings, replaced_by, survivor_of, views
from cm_service.rules.decision import Outcome
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.facts import AnyFact
from cm_service.rules.parameters import Parameters
from cm_service.sandbox.panel import build_panel, cast
from cm_service.sandbox.wire import encode

DETROIT = ZoneInfo("America/Detroit")
Judged = dict[str, tuple[set[str], set[str]]]


def _read(as_of: dt.datetime) -> tuple[dict[str, dict[str, AnyFact]], dict[str, AnyFact]]:
    """Facts by patient, and the places that patients share."""
    normaliser = Normaliser(References())
    records: dict[str, dict[str, AnyFact]] = defaultdict(dict)
    places: dict[str, AnyFact] = {}
    for resource in build_panel(as_of=as_of, zone=DETROIT):
        read = normaliser.read(encode(resource))
        assert read is None or isinstance(read, Normalised), read
        if read is not None:
            (records[read.patient_id] if read.patient_id else places)[read.key] = read.fact
    return records, places


def _judge(as_of: dt.datetime) -> Judged:
    """Patient -> rules that are eligible, rules that cannot tell."""
    records, places = _read(as_of)
    links = {id_: replaced_by(id_, facts) for id_, facts in records.items()}
    groups: dict[str, dict[str, Facts]] = defaultdict(dict)
    for id_, facts in records.items():
        groups[survivor_of(id_, links)][id_] = facts
    judged: Judged = {}
    around = Surroundings(Parameters(), places)
    for survivor, members in groups.items():
        for view in views(survivor, members, around=around, declines={}, holes={}):
            decisions = evaluate_patient(view, as_of=as_of, zone=DETROIT)
            assert view.patient is not None
            judged[view.patient.id] = (
                {decision.rule for decision in decisions if decision.outcome is Outcome.ELIGIBLE},
                {decision.rule for decision in decisions if decision.outcome is Outcome.INSUFFICIENT_DATA},
            )
    return judged


@pytest.mark.parametrize(
    "as_of",
    [
        dt.datetime(2026, 11, 22, 15, 0, tzinfo=DETROIT),
        dt.datetime(2026, 11, 30, 6, 0, tzinfo=DETROIT),
        dt.datetime(2027, 1, 1, 0, 30, tzinfo=DETROIT),
        dt.datetime(2028, 2, 29, 23, 59, tzinfo=DETROIT),
    ],
    ids=lambda as_of: as_of.date().isoformat(),
)
def test_every_patient_is_judged_as_its_scenario_says(as_of: dt.datetime) -> None:
    judged = _judge(as_of)
    found = {id_: (kind.name, *map(sorted, judged.pop(id_))) for id_, kind in cast().items()}
    assert found == {
        id_: (kind.name, sorted(kind.eligible), sorted(kind.undecided)) for id_, kind in cast().items()
    }
    assert all(rules == (set(), set()) for rules in judged.values()), "files that were merged away"
