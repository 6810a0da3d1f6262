"""One night, end to end, with the real command line against a FHIR server that nobody here wrote.

Tests share one server and one installation, and each has people of its own; what is read before it is
changed stands first.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import httpx
import pytest

from cm_service import wiring
from cm_service.fhir.client import FhirClient
from cm_service.fhir.credentials import NoCredentials
from cm_service.fhir.http import EmrHttp
from cm_service.flow import check
from cm_service.flow.nightly import NightOptions, night
from cm_service.sandbox import panel
from cm_service.settings import Settings
from tests.foreign.clinic import BASE, WORDS, Clinic, is_ours, quantity
from tests.real import loading, practice
from tests.real.command import AS_OF, ZONE, Home

pytestmark = pytest.mark.foreign_emr

NOW = dt.datetime.fromisoformat(AS_OF)
KINDS = tuple(WORDS)
DecisionOf = dict[tuple[str, str], dict[str, Any]]


class World(NamedTuple):
    """The EMR as people see it, our installation, and the summaries of its first two nights."""

    clinic: Clinic
    home: Home
    first: dict[str, Any]
    second: dict[str, Any]


@pytest.fixture(scope="module")
def clinic(foreign_emr: str) -> Iterator[Clinic]:
    """The EMR with everybody in it; what other modules had left there is gone."""
    loading.empty(foreign_emr)
    loading.load(foreign_emr, practice.resources())
    opened = Clinic(foreign_emr)
    yield opened
    opened.http.close()


def installed(folder: Path, clinic: Clinic, *, database_url: str = "") -> Home:
    home = Home(folder, database_url=database_url)
    home.add(clinic.base_url, "--practice", "Organization/practice")
    return home


@pytest.fixture(scope="module")
def world(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> World:
    home = installed(tmp_path_factory.mktemp("night") / "data", clinic)
    return World(clinic, home, home.night(), home.night())


# --- what the EMR declares ------------------------------------------------------------------------


def test_emr_check_says_what_the_emr_declares(clinic: Clinic, tmp_path: Path) -> None:
    said = installed(tmp_path / "data", clinic).run("emr", "check", "clinic", "--json")
    (report,) = said.answer["items"]
    assert report["fhir_version"] == "4.0.1"
    for kind in KINDS:
        declared = report["types"][kind]
        assert {"create", "update", "read", "search-type"} <= set(declared["interactions"])
        assert declared["conditional_create"]
    assert set(report["warnings"]) <= {check.BLIND}  # the last stay grows old as the calendar goes on


@pytest.mark.parametrize(("days", "warnings"), [(0, []), (400, [check.BLIND])])
def test_the_warning_of_blindness_depends_on_the_last_sixty_days(
    clinic: Clinic, days: int, warnings: list[str]
) -> None:
    async def ask() -> dict[str, Any]:
        async with EmrHttp(clinic.base_url, NoCredentials()) as http:
            moment = NOW + dt.timedelta(days=days)
            return await check.check(FhirClient(http), as_of=moment, zone=ZoneInfo(ZONE))

    assert asyncio.run(ask())["warnings"] == warnings


# --- the first night and the second ---------------------------------------------------------------


def test_the_first_night_is_complete_and_writes_plans_goals_and_tasks(world: World) -> None:
    first = world.first
    assert first["problems"] == []
    assert first["patients"] == sum(each["resourceType"] == "Patient" for each in practice.resources())
    assert {name: first[name] for name in ("refused", "unknown", "conflict", "parked", "pending")} == {
        "refused": 0,
        "unknown": 0,
        "conflict": 0,
        "parked": 0,
        "pending": 0,
    }
    written = Counter(kind for kind in KINDS for each in world.clinic.everything(kind) if is_ours(each))
    assert sum(written.values()) == first["written"]
    assert min(written[kind] for kind in KINDS) > 40


def test_every_patient_of_the_panel_is_judged_as_the_story_goes(world: World) -> None:
    decided = world.home.decisions()
    for who, scenario in panel.cast(practice.PANEL_SIZE).items():
        outcomes = {rule: each["outcome"] for (own, rule), each in decided.items() if own == who}
        assert {rule for rule, outcome in outcomes.items() if outcome == "eligible"} == scenario.eligible
        undecided = {rule for rule, outcome in outcomes.items() if outcome == "insufficient_data"}
        assert undecided >= scenario.undecided, scenario.story


def test_foreign_patients_are_judged_as_from_their_files(world: World) -> None:
    """Over HTTP they come in pages, with other references, and with versions."""
    said = world.home.run("evaluate", "--from", str(practice.SYNTHEA), "--timezone", ZONE, "--as-of", AS_OF)
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    people = set(practice.foreign_people())
    from_files = {(line["patient"], line["rule"]): line for line in lines if line["patient"] in people}
    decided = world.home.decisions()
    assert len(from_files) == len(people) * 10
    for key, line in from_files.items():
        for name in ("outcome", "reasons", "flags", "facts"):
            assert decided[key][name] == line[name], (key, name)


def test_the_second_night_writes_nothing(world: World) -> None:
    assert (world.second["written"], world.second["intents"], world.second["adopted"]) == (0, 0, 0)


def test_everything_written_is_found_again_once_by_its_identifier(world: World) -> None:
    items = world.home.ledger()
    assert len(items) == world.first["written"]
    for item in items:
        (found,) = world.clinic.find(item["kind"], item["identifier"])
        assert f"{item['kind']}/{found['id']}" == item["reference"]


def test_nothing_of_others_was_touched(world: World) -> None:
    others = [each for kind in KINDS for each in world.clinic.everything(kind) if not is_ours(each)]
    assert len(others) == sum(each["resourceType"] in KINDS for each in practice.resources()) > 80
    assert {each["meta"]["versionId"] for each in others} == {"1"}


def test_the_servers_own_validation_finds_no_error_in_what_we_wrote(world: World) -> None:
    """Its warnings are two: Tasks and Goals have no text for people, which R4 only recommends."""
    errors, warnings = [], Counter[str]()
    for kind in KINDS:
        for resource in filter(is_ours, world.clinic.everything(kind)):
            answer = world.clinic.http.post(f"/{kind}/$validate", json=resource).json()
            for issue in answer["issue"]:
                if issue["severity"] in ("error", "fatal"):
                    errors.append(f"{kind}: {issue['diagnostics']}")
                elif issue["severity"] == "warning":
                    warnings[f"{kind} {issue['diagnostics'][:5]}"] += 1
    assert errors == []
    assert warnings.keys() == {"Goal dom-6", "Task dom-6"}


def test_a_stricter_server_would_find_nothing_to_refuse(world: World) -> None:
    """Newer ones refuse a reference that leads nowhere, and some an empty element or a coding without
    a system; $validate here looks at none of these."""
    loaded = {f"{each['resourceType']}/{each['id']}" for each in practice.resources()}
    ours = [each for kind in KINDS for each in world.clinic.everything(kind) if is_ours(each)]
    there = loaded | {f"{each['resourceType']}/{each['id']}" for each in ours}
    elements = [element for resource in ours for element in _elements(resource)]
    references = {each["reference"] for each in elements if isinstance(each, dict) and "reference" in each}
    assert len(references) > 300
    assert references <= there
    assert [each for each in elements if each in (None, "", [], {})] == []
    codings = [each for each in elements if isinstance(each, dict) and "code" in each and "value" not in each]
    assert all("system" in each for each in codings if isinstance(each["code"], str))
    systems = {each["system"] for each in elements if isinstance(each, dict) and "system" in each}
    assert all(system.startswith(("http://", "https://")) for system in systems)


def _elements(value: Any) -> Iterator[Any]:
    yield value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from _elements(part)


# --- a lost store ---------------------------------------------------------------------------------


def test_a_store_that_was_lost_adopts_what_it_finds_and_writes_nothing(world: World, tmp_path: Path) -> None:
    home = installed(tmp_path / "data", world.clinic)  # an empty folder, as after its loss
    again = home.night()
    assert (again["adopted"], again["written"], again["intents"]) == (world.first["written"], 0, 0)
    after = home.night()
    assert (after["adopted"], after["written"], after["evaluated"]) == (0, 0, 0)


@pytest.mark.postgres
def test_a_new_store_on_postgresql_adopts_the_same_and_writes_what_is_new(
    world: World, tmp_path: Path, postgres_url: str
) -> None:
    who = practice.playing("at_target_in_mmol_per_mol")
    home = installed(tmp_path / "data", world.clinic, database_url=postgres_url)
    adopted = home.night()
    assert (adopted["adopted"], adopted["written"]) == (world.first["written"], 0)
    assert home.decisions() == world.home.decisions()
    result = world.clinic.result(who)
    world.clinic.edit(result, status="corrected", valueQuantity=result["valueQuantity"] | {"value": 75})
    assert home.night()["written"] == 3  # a Goal, a plan, a Task
    assert home.night()["written"] == 0
    assert world.clinic.task(who, "a1c-outreach")["status"] == "requested"
    # The other installation finds them there, under the identifiers that it would have minted itself.
    after = world.home.night()
    assert (after["adopted"], after["written"]) == (3, 0)


# --- one correction -------------------------------------------------------------------------------


def test_one_corrected_result_changes_the_decisions_of_that_patient_alone(world: World) -> None:
    who = practice.playing("far_above_target")
    before = world.home.decisions()
    world.clinic.edit(world.clinic.result(who), status="corrected", valueQuantity=quantity(6.4))
    figures = world.home.night()
    after = world.home.decisions()
    assert (figures["changed_records"], figures["evaluated"]) == (1, 1)
    changed = {key for key in before if before[key] != after[key]}
    assert {patient for patient, _ in changed} == {who}
    assert (who, "A1C-OUT") in changed
    assert after[who, "A1C-OUT"]["reasons"] == ["at_target"]
    assert world.clinic.task(who, "a1c-outreach")["status"] == "cancelled"


# --- people ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuesday(world: World) -> World:
    """A day in the clinic, the night after it, a day with new results, and the night after that."""
    clinic, home = world.clinic, world.home
    accepted, deleted = practice.playing("above_target"), practice.playing("exactly_nine")
    nurse = {"reference": "Practitioner/care-manager-1"}
    clinic.edit(clinic.task(accepted, "a1c-outreach"), status="in-progress", owner=nurse)
    goal = clinic.goal(accepted)
    agreed = [goal["target"][0] | {"detailQuantity": quantity(7.8) | {"comparator": "<="}}]
    clinic.edit(goal, lifecycleStatus="active", target=agreed)
    clinic.delete(clinic.task(deleted, "a1c-outreach"))
    wrong = clinic.result(practice.playing("beyond_the_measuring_range"))
    clinic.edit(wrong, status="entered-in-error")
    home.night()
    for who in (accepted, deleted):
        clinic.edit(clinic.result(who), status="corrected", valueQuantity=quantity(11.2))
    home.night()
    return world


def test_what_a_clinician_changed_stays_and_the_rest_is_kept_up(tuesday: World) -> None:
    who = practice.playing("above_target")
    task, goal = tuesday.clinic.task(who, "a1c-outreach"), tuesday.clinic.goal(who)
    assert (task["status"], task["owner"]["reference"]) == ("in-progress", "Practitioner/care-manager-1")
    assert (goal["lifecycleStatus"], goal["target"][0]["detailQuantity"]["value"]) == ("active", 7.8)
    assert task["priority"] == "urgent"
    assert "11.2 %" in json.dumps(task["input"])
    decision = tuesday.home.decisions()[who, "A1C-OUT"]
    assert (decision["outcome"], decision["facts"]["threshold"]) == ("eligible", 7.8)


def test_what_a_clinician_deleted_is_not_made_again_although_the_server_would(tuesday: World) -> None:
    who = practice.playing("exactly_nine")
    (item,) = [
        each
        for each in tuesday.home.ledger()
        if (each["patient"], each["kind"], each["code"]) == (who, "Task", "a1c-outreach")
    ]
    assert item["deleted"]
    assert tuesday.clinic.find("Task", item["identifier"]) == []
    assert tuesday.home.decisions()[who, "A1C-OUT"]["outcome"] == "eligible"


def test_a_result_entered_in_error_withdraws_task_and_proposed_goal(tuesday: World) -> None:
    who = practice.playing("beyond_the_measuring_range")
    task, goal = tuesday.clinic.task(who, "a1c-outreach"), tuesday.clinic.goal(who)
    assert (task["status"], goal["lifecycleStatus"]) == ("cancelled", "cancelled")
    assert "error" in task["statusReason"]["text"]


def test_what_was_changed_is_valid_too(tuesday: World) -> None:
    people = ("above_target", "exactly_nine", "beyond_the_measuring_range", "far_above_target")
    for who in map(practice.playing, people):
        for kind in KINDS:
            for resource in tuesday.clinic.ours(kind, who):
                assert loading.errors_found_by(tuesday.clinic.base_url, resource) == []


def test_a_change_between_our_reading_and_our_writing_is_a_conflict_and_theirs_stays(world: World) -> None:
    """Our If-Match is stale then: this server answers 409."""
    who = practice.playing("result_as_text")
    clinic = world.clinic
    clinic.edit(clinic.result(who), status="corrected", valueString="9,9 %")
    seen: list[str] = []

    def meanwhile(text: str) -> None:
        # Patients are counted once everything was read, and before anything is written.
        if "patients" in text and not seen:
            task = clinic.task(who, "a1c-outreach")
            seen.append(task["meta"]["versionId"])
            clinic.edit(task, status="accepted", note=[{"text": "She prefers mornings"}])

    settings = Settings(data_dir=world.home.folder, database_url="")
    tools = wiring.night_tools(settings, wiring.open_database(settings))
    figures = night(tools, "clinic", NightOptions(as_of=NOW), meanwhile)
    tools.database.engine.dispose()
    assert _landed(world.home, "Task", clinic.task(who, "a1c-outreach")["id"])["meta"]["versionId"] == seen[0]
    assert (figures["status"], figures["conflict"], figures["written"]) == ("complete", 0, 1)
    task = clinic.task(who, "a1c-outreach")
    assert (task["status"], task["priority"]) == ("accepted", "urgent")
    assert task["note"] == [{"text": "She prefers mornings"}]
    assert int(task["meta"]["versionId"]) == int(seen[0]) + 2
    assert world.home.night()["written"] == 0


def _landed(home: Home, kind: str, id_: str) -> dict[str, Any]:
    """What the last night had read of one resource."""
    folder = max((home.folder / "landing" / "clinic").iterdir())
    lines = map(json.loads, (folder / f"{kind}.ndjson").read_text().splitlines())
    return next(line for line in lines if line["id"] == id_)


def test_the_server_would_have_refused_the_stale_version(world: World) -> None:
    task = world.clinic.task(practice.playing("unit_missing"), "a1c-outreach")
    path = f"{world.clinic.base_url}/Task/{task['id']}"
    world.clinic.edit(task, note=[{"text": "Seen"}])
    stale = httpx.put(path, json=task, headers={"If-Match": f'W/"{task["meta"]["versionId"]}"'})
    assert stale.status_code == 409


def test_in_the_end_nothing_of_ours_is_there_twice(tuesday: World) -> None:
    values = Counter(
        each["value"]
        for kind in KINDS
        for resource in tuesday.clinic.everything(kind)
        for each in resource.get("identifier", ())
        if each.get("system", "").startswith(f"{BASE}/id/")
    )
    assert set(values.values()) == {1}
