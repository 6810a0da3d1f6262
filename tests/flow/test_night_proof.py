"""A night that calls itself complete has shown it; a doubtful one says so and mends itself."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from cm_service.db import care
from cm_service.db.engine import Database
from cm_service.errors import BadInput, Lost
from cm_service.flow import freshness
from tests.flow.bad_network import Fault, Network, Reply, answers
from tests.flow.night_world import (
    AS_OF,
    Json,
    Practice,
    a1c,
    condition,
    diabetes,
    far_practice,
    out_of_range,
    patient,
    practice,
)

DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)
THREE = [each for who in ("p1", "p2", "p3") for each in out_of_range(who)]


def page(network: Network, query: str, *rows: Json | None) -> Fault:
    """A correct answer to a search, whatever the EMR holds."""
    body = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "self", "url": f"{network.base}/{query}"}],
        "entry": [{"resource": row} for row in rows],
    }
    return Fault(False, Reply(200, json.dumps(body).encode(), {"Content-Type": "application/fhir+json"}))


def flags(clinic: Practice, who: str, rule: str) -> list[str]:
    with clinic.database.read() as connection:
        row = care.decisions_of(connection, "clinic", [who])[who][rule]
    return list(json.loads(row.line)["flags"])


def told(clinic: Practice, now: dt.datetime) -> Json:
    with clinic.database.read() as connection:
        return freshness.told(connection, "clinic", now=now)


def test_a_complete_night_has_compared_a_sample_of_its_patients(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, THREE) as clinic:
        report = clinic.run()
        assert report["status"] == "complete"
        assert report["sample"] == {
            "seed": "clinic-1",
            "patients": 3,
            "compared": 9,
            "wrong": 0,
            "gone": 0,
            "unproven": [],
        }
        assert clinic.run(AS_OF + DAY)["sample"]["seed"] == "clinic-2"


def test_five_patients_at_least_and_as_many_as_the_setting_says_at_most(
    database: Database, tmp_path: Path
) -> None:
    with practice(database, tmp_path, [patient(f"p{number}") for number in range(30)]) as clinic:
        assert clinic.run()["sample"]["patients"] == 5
        clinic.tools = clinic.tools._replace(settings=clinic.settings.model_copy(update={"sample_most": 2}))
        assert clinic.run()["sample"]["patients"] == 2


def test_1B_F49_a_row_that_the_list_hides_makes_the_night_partial_and_is_read_the_next_night(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, THREE) as (clinic, network):
        clinic.emr.clock = lambda: AS_OF - 5 * DAY
        clinic.emr.load([diabetes("p2")])
        shown = [v.resource for v in clinic.emr.live("Condition") if v.id != "p2-dm"]
        network.fail("GET Condition?_count", page(network, "Condition?_count=200", *shown))
        report = clinic.run()
        assert report["status"] == "partial"
        assert report["problems"] == ["1 Condition of a sample of 3 patients are not as the EMR has them"]
        healed = clinic.run(AS_OF + DAY)
        assert (healed["status"], healed["types"]["Condition"].get("changes_only")) == ("complete", None)


def test_what_changed_since_it_was_read_is_no_difference(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, THREE) as (clinic, network):
        clinic.run()

        def meanwhile() -> None:
            clinic.emr.clock = lambda: AS_OF + DAY + MINUTE
            clinic.emr.load([a1c(9.9, who=who) for who in ("p1", "p2", "p3")])

        network.fail("GET Patient?_id=", Fault(reaches=True, first=meanwhile, late=-1))
        report = clinic.run(AS_OF + DAY)
        assert (report["status"], report["sample"]["wrong"]) == ("complete", 0)
        assert clinic.run(AS_OF + DAY + MINUTE)["changed_records"] == 3


def test_a_deletion_that_the_sample_meets_is_taken_in_by_the_next_night(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, [*THREE, condition("htn", "I10")]) as (clinic, network):
        clinic.run()
        network.fail("GET Condition/_history", answers(403), always=True)  # which would tell of it at once
        clinic.emr.clinician_delete("Condition", "htn")
        report = clinic.run(AS_OF + DAY)
        assert (report["status"], report["sample"]["gone"], report["removed"]) == ("complete", 1, 0)
        assert clinic.run(AS_OF + 2 * DAY)["removed"] == 1


def test_decisions_that_rest_on_an_earlier_night_say_so(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, THREE) as (clinic, network):
        clinic.run()
        assert "stale_input" not in flags(clinic, "p1", "A1C-OUT")
        network.fail("GET Condition?", answers(503), always=True)
        assert clinic.run(AS_OF + DAY)["status"] == "partial"
        assert "stale_input" in flags(clinic, "p1", "A1C-OUT")
        assert "stale_input" not in flags(clinic, "p1", "DIS-TCM")
        network.heal()
        clinic.run(AS_OF + 2 * DAY)
        assert "stale_input" not in flags(clinic, "p1", "A1C-OUT")


def test_the_first_night_rests_on_nothing_old(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, THREE) as (clinic, network):
        network.fail("GET Condition?", answers(503), always=True)
        clinic.run()
        assert "stale_input" not in flags(clinic, "p1", "A1C-OUT")


def test_the_standing_tells_as_of_when_each_type_is_held(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, THREE) as (clinic, network):
        assert told(clinic, AS_OF)["state"] == "never"
        clinic.run()
        assert told(clinic, AS_OF)["state"] == "complete"
        network.fail("GET Condition?", answers(503), always=True)
        clinic.run(AS_OF + DAY)
        found = told(clinic, AS_OF + DAY)
        assert (found["state"], found["last_complete"]) == ("partial", "2026-11-21T01:00:00+00:00")
        assert found["types"]["Condition"]["oldest"] == "2026-11-21T01:00:00+00:00"
        assert found["types"]["Patient"]["oldest"] == "2026-11-22T01:00:00+00:00"
        assert told(clinic, AS_OF + 2 * DAY)["state"] == "stale"


MANY = [patient(f"p{number:02}") for number in range(30)]


def test_1B_F50_1B_F51_a_mass_deletion_waits_for_a_person(database: Database, tmp_path: Path) -> None:
    with practice(
        database, tmp_path, [*MANY, *(condition(f"c{n}", "I10", f"p{n:02}") for n in range(30))]
    ) as clinic:
        clinic.run()
        for number in range(25):
            clinic.emr.clinician_delete("Condition", f"c{number}")
        report = clinic.run(AS_OF + 7 * DAY)
        assert (report["status"], report["removed"], report["held_back"]) == ("partial", 0, {"Condition": 25})
        assert clinic.run(AS_OF + 8 * DAY)["held_back"] == {"Condition": 25}, "and is looked at every night"
        run = clinic.run(AS_OF + 9 * DAY)["run"]
        assert freshness.approve_deletions(database, run, now=AS_OF) == ("clinic", {"Condition": 25})
        after = clinic.run(AS_OF + 10 * DAY)
        assert (after["status"], after["removed"], after["held_back"]) == ("complete", 25, {})


def test_an_approval_holds_once_and_for_no_more_than_was_seen(database: Database, tmp_path: Path) -> None:
    with practice(
        database, tmp_path, [*MANY, *(condition(f"c{n}", "I10", f"p{n:02}") for n in range(30))]
    ) as clinic:
        clinic.run()
        for number in range(22):
            clinic.emr.clinician_delete("Condition", f"c{number}")
        run = clinic.run(AS_OF, full=True)["run"]
        freshness.approve_deletions(database, run, now=AS_OF)
        for number in range(22, 30):
            clinic.emr.clinician_delete("Condition", f"c{number}")
        report = clinic.run(AS_OF + DAY)
        assert (report["removed"], report["held_back"]) == (0, {"Condition": 30})
        with pytest.raises(BadInput, match="a later run"):
            freshness.approve_deletions(database, run, now=AS_OF)


def test_a_run_that_held_nothing_back_cannot_be_approved(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, THREE) as clinic:
        run = clinic.run()["run"]
        with pytest.raises(BadInput, match="nothing missing"):
            freshness.approve_deletions(database, run, now=AS_OF)
        with pytest.raises(Lost):
            freshness.approve_deletions(database, 999, now=AS_OF)
