"""EMRs that answer only about one patient at a time: a night asks about each, and loses nobody by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cm_service import wiring
from cm_service.db import care, connections, sync
from cm_service.db.engine import Database
from cm_service.fhir.vendor import NO_PROFILE
from cm_service.flow import passport
from cm_service.flow.nightly import NightOptions, night
from cm_service.sandbox.personality import adapted, personality_named
from cm_service.settings import Settings
from tests.flow.bad_network import Fault, Network, Reply, answers, bad_network
from tests.flow.night_world import AS_OF, BASE, Json, a1c, diabetes, patient
from tests.flow.passport_world import serve

WHO = ("p1", "p2", "p3")
WORLD = [each for who in WHO for each in (patient(who), diabetes(who), a1c(who=who))]
PROFILE = {"nextgen": "nextgen-enterprise"}


class Limited:
    """One practice on an EMR of this kind, with everybody in a roster file."""

    def __init__(self, database: Database, folder: Path, kind: str, **columns: Any) -> None:
        known = personality_named(kind)
        self.database, self.folder = database, folder
        self.emr, self.base_url = serve(known)
        self.emr.clock = lambda: AS_OF
        few = {"sample_most": 0} if known.calls_a_minute else {}  # its minute does not pass here
        self.emr.load(adapted(WORLD, known))
        self.ids = [version.id for version in self.emr.live("Patient")]
        settings = Settings(data_dir=folder / "data", identifier_base=BASE, read_attempts=1, **few)
        self.tools = wiring.night_tools(settings, database)
        self.roster(self.ids)
        usual: Json = {
            "slug": "clinic",
            "base_url": self.base_url,
            "timezone": "America/Detroit",
            "auth": "none",
            "token_reference": None,
            "group_id": None,
            "practice": None,
            "owner": None,
            "write_mode": "propose",
            "settings": {},
            "profile": PROFILE.get(kind, kind),
            "roster": f"file:{folder / 'roster'}",
        }
        with database.write() as connection:
            connections.add_emr(connection, now=AS_OF, **{**usual, **columns})

    @contextmanager
    def network(self) -> Iterator[Network]:
        """The way to the EMR, which can be told to fail."""
        with bad_network(self.base_url) as network:
            self.set(base_url=network.base)
            yield network

    def roster(self, ids: list[str]) -> None:
        (self.folder / "roster").write_text("# the panel\n" + "\n".join(ids))

    def set(self, **columns: Any) -> None:
        with self.database.write() as connection:
            connections.update_emr(connection, "clinic", **columns)

    def run(self, **options: Any) -> Json:
        return night(self.tools, "clinic", NightOptions(AS_OF, **{"max_new": 0, **options}), lambda _: None)

    def held(self) -> dict[str, tuple[str, ...]]:
        """Patient -> types of which the record may miss some."""
        with self.database.read() as connection:
            return {who: row.holes for who, row in sync.held_records(connection, "clinic").items()}

    def outcomes(self, rule: str = "A1C-OUT") -> list[str]:
        with self.database.read() as connection:
            rows = care.decisions_of(connection, "clinic", self.ids)
        return [rows[who][rule].outcome for who in sorted(rows)]


LIMITED = ("epic", "oracle", "athena", "ecw", "meditech", "nextgen")


@pytest.mark.parametrize("kind", LIMITED)
def test_a_night_reads_everybody_of_the_roster(database: Database, tmp_path: Path, kind: str) -> None:
    clinic = Limited(database, tmp_path, kind)
    told = clinic.run()
    assert told["problems"] == []
    assert (told["status"], told["patients"], told["eligible"]) == ("complete", 3, 3)
    assert told["types"]["Condition"]["patients"] == 3


def test_one_patient_who_cannot_be_read_is_a_hole_in_that_record_alone(
    database: Database, tmp_path: Path
) -> None:
    clinic = Limited(database, tmp_path, "nextgen")
    assert clinic.run()["status"] == "complete"
    with clinic.network() as network:
        network.fail("GET Condition?patient=p2&", answers(500), always=True)
        told = clinic.run()
    assert told["status"] == "partial"
    assert [p for p in told["problems"] if "Condition" in p] == [
        f"Condition of 1 patients was not read: {network.base.split('/')[2]} answered 500 to search of "
        "Condition, and again after every wait"
    ]
    assert told["removed"] == 0
    assert clinic.held() == {"p1": (), "p2": ("Condition",), "p3": ()}
    assert clinic.outcomes() == ["eligible"] * 3, "what is held of the diagnosis still counts"
    assert clinic.outcomes("CHR-MULTI") == ["not_eligible", "insufficient_data", "not_eligible"]
    clinic.set(base_url=clinic.base_url)
    assert clinic.run()["status"] == "complete"
    assert clinic.held()["p2"] == ()
    assert clinic.outcomes("CHR-MULTI") == ["not_eligible"] * 3


def test_an_emr_that_refuses_everybody_is_asked_about_three(database: Database, tmp_path: Path) -> None:
    clinic = Limited(database, tmp_path, "nextgen")
    for number in range(20):
        clinic.emr.load([patient(f"q{number:02}")])
    clinic.roster([version.id for version in clinic.emr.live("Patient")])
    with clinic.network() as network:
        network.fail("GET Goal?", answers(403), always=True)
        told = clinic.run()
        pulled = [line for line in network.log if line.startswith("GET Goal?") and line.endswith("=200")]
        assert len(pulled) == 3
    assert (told["status"], told["types"]["Goal"]["status"]) == ("partial", "refused")


def test_whoever_is_no_longer_on_the_list_keeps_the_record_and_gets_no_all_clear(
    database: Database, tmp_path: Path
) -> None:
    clinic = Limited(database, tmp_path, "nextgen")
    clinic.run()
    clinic.roster(["p1", "p2"])
    told = clinic.run()
    assert (told["status"], told["removed"], len(clinic.held())) == ("complete", 0, 3)
    assert clinic.outcomes("CHR-MULTI") == ["not_eligible", "not_eligible", "insufficient_data"]


def test_what_was_deleted_of_somebody_who_was_read_goes(database: Database, tmp_path: Path) -> None:
    clinic = Limited(database, tmp_path, "nextgen")
    clinic.run()
    clinic.emr.clinician_delete("Condition", "p2-dm")
    assert clinic.run()["removed"] == 1
    assert clinic.outcomes() == ["eligible", "not_eligible", "eligible"]


def group(*members: Json) -> Fault:
    body = {"resourceType": "Group", "id": "panel", "member": list(members)}
    return Fault(False, Reply(200, json.dumps(body).encode(), {"Content-Type": "application/fhir+json"}))


def test_the_members_of_the_group_are_the_roster_where_no_list_is_named(
    database: Database, tmp_path: Path
) -> None:
    clinic = Limited(database, tmp_path, "nextgen", roster=None, group_id="panel")
    members = [
        {"entity": {"reference": "Patient/p1"}},
        {"entity": {"reference": "Patient/p2"}, "inactive": True},
        {"entity": {"reference": "https://elsewhere.example/fhir/Patient/p3"}},
    ]
    with clinic.network() as network:
        network.fail("GET Group/panel", group(*members), always=True)
        told = clinic.run()
    assert (told["status"], told["types"]["Condition"]["patients"]) == ("complete", 1)
    assert list(clinic.held()) == ["p1"]


def test_a_group_that_cannot_be_read_leaves_the_panel_of_the_store_and_a_partial_night(
    database: Database, tmp_path: Path
) -> None:
    clinic = Limited(database, tmp_path, "nextgen")
    clinic.run()
    clinic.set(roster=None, group_id="panel")
    told = clinic.run()
    assert (told["status"], told["types"]["Condition"]["patients"]) == ("partial", 3)
    assert "Group of the panel could not be read" in told["problems"][0]


def test_an_emr_that_wants_a_patient_and_nobody_known_says_what_to_do(
    database: Database, tmp_path: Path
) -> None:
    clinic = Limited(database, tmp_path, "nextgen", roster=None)
    told = clinic.run()
    assert told["status"] == "partial"
    assert "emr set roster=file:PATH" in told["problems"][0]


def test_without_a_profile_the_refusal_itself_shows_that_a_patient_is_needed(
    database: Database, tmp_path: Path
) -> None:
    clinic = Limited(database, tmp_path, "meditech")
    with database.read() as connection:
        known = passport.load(connection, "clinic", NO_PROFILE)
    assert known.value("Condition", "search-needs") == "unknown"
    told = clinic.run()
    assert "patient by patient" in told["types"]["Condition"]["notes"][0]
    again = clinic.run()
    assert "notes" not in again["types"]["Condition"], "the passport remembers"
    assert (told["status"], again["status"]) == ("complete", "complete")


def test_that_nobody_is_known_is_said_once_for_all_types(database: Database, tmp_path: Path) -> None:
    problems = Limited(database, tmp_path, "nextgen", roster=None).run()["problems"]
    said = [text for text in problems if "tells nothing without a patient" in text]
    assert len(said) == 1 and said[0].startswith("Appointment, CarePlan, "), problems


@pytest.mark.parametrize(
    ("kind", "asked"), [("nextgen", "ge2026-11-21T00:50:00Z"), ("athena", "ge2026-11-19")]
)
def test_where_changes_can_be_asked_for_within_a_patient_the_next_night_asks_for_them(
    database: Database, tmp_path: Path, kind: str, asked: str
) -> None:
    """athenahealth compares whole days: the server's day and the one before are read again."""
    clinic = Limited(database, tmp_path, kind)
    clinic.run()
    clinic.emr.load([a1c(6.1, who="p2")])
    with clinic.network() as network:
        told = clinic.run()
        log = list(network.log)
    assert (told["status"], told["types"]["Observation"]["changes_only"]) == ("complete", True)
    assert clinic.outcomes() == ["eligible", "not_eligible", "eligible"]
    searches = [line for line in log if line.startswith("GET Condition?patient=p1&_lastUpdated")]
    assert len(searches) == 1
    assert f"_lastUpdated={asked}" in searches[0]


def test_where_nothing_tells_what_changed_every_night_reads_everything(
    database: Database, tmp_path: Path
) -> None:
    clinic = Limited(database, tmp_path, "meditech")
    clinic.run()
    clinic.emr.load([a1c(6.1, who="p2")])
    clinic.emr.clinician_delete("Condition", "p3-dm")
    told = clinic.run()
    assert (told["status"], told["removed"]) == ("complete", 1)
    assert "changes_only" not in told["types"]["Observation"]
    assert clinic.outcomes() == ["eligible", "not_eligible", "not_eligible"]


def test_a_roster_that_names_nobody_of_this_emr_is_no_empty_practice(
    database: Database, tmp_path: Path
) -> None:
    clinic = Limited(database, tmp_path, "nextgen")
    clinic.roster(["nobody", "nowhere"])
    told = clinic.run()
    assert told["status"] == "partial"
    assert "none of the 2 patients of the roster is in this EMR" in " ".join(told["problems"])
    clinic.roster([*clinic.ids, "nobody"])
    told = clinic.run()
    assert told["types"]["Patient"]["notes"] == ["1 of 4 patients of the roster are not in this EMR"]
