"""The sieve on a population that nobody here wrote."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.foreign import repeat

from cm_service.fhir.values import References
from cm_service.flow import record
from cm_service.flow.normalise import Normalised, Normaliser, Unused
from cm_service.rules.facts import AnyFact, EncounterFact, ObservationFact
from tests.flow.reading import Read, read

SYNTHEA = Path(__file__).parents[1] / "data" / "synthea"


@pytest.fixture(scope="module")
def found() -> Read:
    return read(SYNTHEA)


def lines_of(kind: str) -> list[bytes]:
    return gzip.decompress((SYNTHEA / f"{kind}.ndjson.gz").read_bytes()).splitlines()


def digest(facts: dict[str, AnyFact]) -> str:
    return record.digest_of(record.encode(facts))


def test_nothing_of_it_is_a_hole(found: Read) -> None:
    assert [reject for reject in found.reading.rejects if reject.is_hole] == []
    assert (found.reading.holes, found.reading.unread, found.reading.without_patient) == ({}, set(), set())


def test_every_resource_that_rules_can_use_becomes_a_fact(found: Read) -> None:
    held = Counter(key.partition("/")[0] for facts in found.patients.values() for key in facts)
    for kind in ("Patient", "Encounter", "Condition", "CareTeam"):
        assert held[kind] == len(lines_of(kind))
    assert len(found.reading.places) == len(lines_of("Location")) + len(lines_of("Organization"))


def test_the_sieve_drops_nothing_that_the_normaliser_would_keep(found: Read) -> None:
    normaliser = Normaliser(References())
    for kind in ("Observation", "Procedure"):
        for line in lines_of(kind):
            read = normaliser.read(line, kind=kind)
            assert isinstance(read, Normalised)
            kept = read.key in found.patients[str(read.patient_id)]
            assert kept or isinstance(read.fact, Unused)


def test_conditional_references_lead_to_the_places_that_were_read(found: Read) -> None:
    facts = [fact for facts in found.patients.values() for fact in facts.values()]
    visits = [fact for fact in facts if isinstance(fact, EncounterFact)]
    assert all(visit.provider in found.reading.places for visit in visits)
    assert all(place in found.reading.places for visit in visits for place in visit.locations)


def test_results_of_other_codes_are_kept_of_one_who_died_in_hospital_alone(found: Read) -> None:
    owners = {
        owner
        for owner, facts in found.patients.items()
        for fact in facts.values()
        if isinstance(fact, ObservationFact) and fact.reading is None and fact.value is None
    }
    assert len(owners) == 1


def test_records_survive_being_bytes(found: Read) -> None:
    for facts in found.patients.values():
        assert record.decode(record.encode(facts)) == facts


def test_a_record_has_one_digest_in_whatever_order_it_was_read(found: Read) -> None:
    facts = next(iter(found.patients.values()))
    turned = dict(reversed(facts.items()))
    fewer = dict(list(facts.items())[1:])
    assert list(turned) != list(facts)
    assert digest(turned) == digest(facts) != digest(fewer)


def test_copies_under_new_ids_are_populations_of_their_own(found: Read, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    for kind in ("Patient", "Encounter", "Location", "Organization"):
        (small / f"{kind}.ndjson").write_bytes(b"\n".join(lines_of(kind)) + b"\n")
    repeat(small, tmp_path / "twice", copies=2)
    twice = read(tmp_path / "twice")
    assert len(twice.patients) == 2 * len(found.patients)
    assert [reject for reject in twice.reading.rejects if reject.is_hole] == []
    visits = [
        fact
        for facts in twice.patients.values()
        for fact in facts.values()
        if isinstance(fact, EncounterFact)
    ]
    assert len(visits) == 2 * len(lines_of("Encounter"))
    assert all(visit.provider in twice.reading.places for visit in visits)
