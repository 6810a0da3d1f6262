"""What the history of a type says is deleted is gone in the same night, if that history proves itself."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import care, passport, sync
from cm_service.db.engine import Database
from cm_service.flow import record
from cm_service.sandbox import server
from cm_service.sandbox.personality import personality_named
from cm_service.sandbox.store import Store
from tests.flow.bad_network import Fault, Network, Reply, answers
from tests.flow.night_world import (
    AS_OF,
    Json,
    Practice,
    a1c,
    condition,
    far_practice,
    out_of_range,
    patient,
    practice,
)

DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)
HISTORY = "GET Condition/_history"


def world(*more: Json) -> list[Json]:
    return [*out_of_range("p1"), condition("p1-htn", "I10"), *out_of_range("p2"), *more]


def held(clinic: Practice, who: str) -> set[str]:
    with clinic.database.read() as connection:
        found = sync.load_facts(connection, "clinic", [who])
    return set(record.decode(found[who])) if found else set()


def outcome(clinic: Practice, who: str, rule: str) -> str:
    with clinic.database.read() as connection:
        return str(care.decisions_of(connection, "clinic", [who])[who][rule].outcome)


def standing(clinic: Practice, name: str) -> Any:
    with clinic.database.read() as connection:
        return passport.fact(connection, "clinic", "Condition", name)


def told(network: Network, *entries: Json, **more: Any) -> Fault:
    """An answer to a history, whatever happened in the EMR."""
    body = {"resourceType": "Bundle", "type": "history", "entry": list(entries), **more}
    return Fault(False, Reply(200, json.dumps(body).encode(), {"Content-Type": "application/fhir+json"}))


@pytest.mark.parametrize("name", ["generous", "hapi", "medplum"])
def test_a_deleted_condition_is_seen_by_the_next_night_without_full(
    database: Database, tmp_path: Path, name: str
) -> None:
    emr = Store()
    with server.running(emr, personality=personality_named(name)) as base:
        emr.clock = lambda: AS_OF
        emr.load(world())
        clinic = Practice(database, emr, base, tmp_path)
        clinic.run()
        assert outcome(clinic, "p1", "CHR-MULTI") == "eligible"
        emr.clock = lambda: AS_OF + DAY - MINUTE
        emr.clinician_delete("Condition", "p1-htn")
        report = clinic.run(AS_OF + DAY)
    said = report["types"]["Condition"]
    assert (said["changes_only"], said["history"], said["tombstones"]) == (True, "shows changes", 1)
    assert (report["status"], report["removed"]) == ("complete", 1)
    assert "Condition/p1-htn" not in held(clinic, "p1")
    assert outcome(clinic, "p1", "CHR-MULTI") == "not_eligible"
    with database.read() as connection:
        assert passport.verb(connection, "clinic", "Condition", "history-type")["worked_status"] == 200


def test_what_was_deleted_and_made_again_is_there(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, world()) as clinic:
        clinic.run()
        clinic.emr.clock = lambda: AS_OF + DAY - 2 * MINUTE
        clinic.emr.clinician_delete("Condition", "p1-htn")
        clinic.emr.clock = lambda: AS_OF + DAY - MINUTE
        clinic.emr.load([condition("p1-htn", "I10")])
        report = clinic.run(AS_OF + DAY)
        assert (report["removed"], report["types"]["Condition"].get("tombstones")) == (0, None)
        assert "Condition/p1-htn" in held(clinic, "p1")


def test_1B_F51_too_many_tombstones_wait_for_a_person(database: Database, tmp_path: Path) -> None:
    many = [condition(f"c{number}", "I10", "p2") for number in range(25)]
    with practice(database, tmp_path, world(*many)) as clinic:
        clinic.run()
        clinic.emr.clock = lambda: AS_OF + DAY - MINUTE
        for number in range(25):
            clinic.emr.clinician_delete("Condition", f"c{number}")
        report = clinic.run(AS_OF + DAY)
        assert (report["status"], report["removed"]) == ("partial", 0)
        assert report["held_back"] == {"Condition": 25}
        assert len(held(clinic, "p2") & {f"Condition/c{number}" for number in range(25)}) == 25
        assert clinic.run(AS_OF + 2 * DAY)["held_back"] == {"Condition": 25}, "and is told every night"


def lacking(network: Network) -> Fault:
    gone = {"request": {"method": "DELETE", "url": "Condition/p1-htn"}}
    return told(network, gone)


def counted(network: Network) -> Fault:
    rows = [{"resource": {"resourceType": "Condition", "id": row["id"]}} for row in world()]
    gone = {"request": {"method": "DELETE", "url": "Condition/p1-htn"}}
    return told(network, gone, *rows, total=1000)


def ancient(network: Network) -> Fault:
    response = {"lastModified": "2020-01-01T00:00:00Z"}
    return told(network, {"request": {"method": "DELETE", "url": "Condition/p1-htn"}, "response": response})


def no_history(network: Network) -> Fault:
    return Fault(False, Reply(200, b'{"resourceType":"Bundle","type":"searchset"}', {}))


DISHONEST: dict[str, tuple[Callable[[Network], Fault], str | None]] = {
    "it lacks what the search shows": (lacking, "lacks changes"),
    "it counts more than it gives": (counted, "lacks changes"),
    "it does not use _since": (ancient, "ignores _since"),
    "it is no history": (no_history, None),
    "it falls over": (lambda _: answers(500), None),
    "it is refused": (lambda _: answers(403), None),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", DISHONEST)
def test_a_history_that_does_not_prove_itself_removes_nothing(
    database: Database, tmp_path: Path, name: str
) -> None:
    made, said = DISHONEST[name]
    with far_practice(database, tmp_path, world()) as (clinic, network):
        clinic.run()
        network.fail(HISTORY, made(network), made(network))
        report = clinic.run(AS_OF + DAY)
        assert (report["removed"], report["status"]) == (0, "complete")
        (note,) = [each for each in report["types"]["Condition"]["notes"] if "deletions" in each]
        assert "the next reading of everything" in note
        fact = standing(clinic, "history")
        assert (fact.value if fact else None) == said
        assert "Condition/p1-htn" in held(clinic, "p1")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_history_that_is_not_declared_or_was_refused_is_not_asked_for(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, world()) as (clinic, network):
        clinic.run()
        assert not [line for line in network.log if "_history" in line], "nothing is there to ask from"
        network.fail(HISTORY, answers(403))
        clinic.run(AS_OF + DAY)
        network.heal()
        network.log.clear()
        clinic.run(AS_OF + DAY + MINUTE)
        asked = [line for line in network.log if "_history" in line]
        assert [line for line in asked if "Observation" in line]
        assert not [line for line in asked if "Condition" in line]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_edit_while_it_is_read_is_no_deletion(database: Database, tmp_path: Path) -> None:
    """The history is asked after the search and shows more, never less."""
    with practice(database, tmp_path, world()) as clinic:
        clinic.run()
        clinic.emr.clock = lambda: AS_OF + DAY
        clinic.emr.load([a1c(9.9, "p2"), patient("p3"), condition("p3-htn", "I10", "p3")])
        assert (clinic.run(AS_OF + DAY)["removed"], held(clinic, "p3")) == (
            0,
            {"Patient/p3", "Condition/p3-htn"},
        )
