"""The service as people run it, a server that nobody here wrote, and a network between them that fails on
every seventh request, while the service is killed now and then.

What counts is what the foreign server holds in the end, by our identifiers.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from cm_service.sandbox import panel
from tests.flow.bad_network import DROPPED_BEFORE, answers, bad_network
from tests.foreign.clinic import BASE, WORDS, Clinic, quantity
from tests.real import loading
from tests.real.bad_network import FAULTS, STRIPPED, Weather
from tests.real.command import AS_OF, EVERYBODY, ZONE, Home
from tests.real.program import Running

pytestmark = pytest.mark.foreign_emr

SEED, SHARE = 31, 0.15
KILLS = (50, 20, 40)  # at which of its requests a night is killed, one night after the other
ENOUGH = 25  # nights; fewer are needed
SETTINGS = {"CM_UNKNOWN_QUIET_SECONDS": "1"}


class Campaign(NamedTuple):
    """`nights` are exit codes, `rests` how many found nothing to do, `unknown` the longest list of unknowns
    that anybody could see after a night, `copies` what the server held after each night: identifier -> how
    often, at most."""

    clinic: Clinic
    home: Home
    weather: Weather
    nights: list[int]
    rests: int
    unknown: int
    copies: Counter[str]


@pytest.fixture(scope="module")
def clinic(foreign_emr: str) -> Iterator[Clinic]:
    loading.empty(foreign_emr)
    loading.load(foreign_emr, some_people())
    opened = Clinic(foreign_emr)
    yield opened
    opened.http.close()


def some_people() -> list[dict[str, Any]]:
    """Two thirds of the panel, and the practice: enough to have a hundred things to write."""
    size, moment = len(panel.SCENARIOS), dt.datetime.fromisoformat(AS_OF)
    others = {f"Patient/{id_}" for number, id_ in enumerate(panel.cast(size)) if number % 3 == 2}
    everything = panel.build_panel(as_of=moment, zone=ZoneInfo(ZONE), patients=size)
    return [each for each in everything if not mentioned(each) & others]


def mentioned(resource: dict[str, Any]) -> set[str]:
    """`Patient/id` of the patients whom it is about."""
    text = json.dumps({"reference": f"{resource['resourceType']}/{resource['id']}"} | resource)
    return set(re.findall(r"Patient/[A-Za-z0-9.-]+", text))


@pytest.fixture(scope="module")
def campaign(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Nights until one is complete and has nothing to do; then new results come in, and more nights until
    they have come to rest again. Of both the first nights are killed, at the pull or later."""
    home = Home(tmp_path_factory.mktemp("campaign") / "data", **SETTINGS)
    weather = Weather(clinic.base_url, seed=SEED, share=SHARE)
    nights: list[int] = []
    most: Counter[str] = Counter()
    unknown, rests, kills = 0, 0, list(KILLS)
    with bad_network(clinic.base_url, weather):
        home.add(weather.base, "--practice", "Organization/practice")
        while len(nights) < ENOUGH and rests < 2:
            exit_, last = one_night(home, weather, kills.pop(0) if kills else None)
            nights.append(exit_)
            most |= copies(clinic)
            unknown = max(unknown, len(listed(home, "unknown")))
            if exit_ == 0 and last["written"] == last["pending"] == 0:
                rests += 1
                if rests == 1:
                    new_results(clinic, home)
                    kills = list(KILLS)
    return Campaign(clinic, home, weather, nights, rests, unknown, most)


def new_results(clinic: Clinic, home: Home) -> None:
    """What the Tasks about HbA1c say is of yesterday."""
    people = {f"Patient/{row['patient']}" for row in home.ledger() if row["code"] == "a1c-outreach"}
    for result in clinic.everything("Observation", code="4548-4"):
        if result["subject"]["reference"] in people and "valueQuantity" in result:
            clinic.edit(result, status="corrected", valueQuantity=quantity(13.1))


def one_night(home: Home, weather: Weather, kill_at: int | None) -> tuple[int, dict[str, Any]]:
    """One `cm-service sync`, killed at that request if it lives to see it; exit code and summary."""
    arguments = ["sync", "--emr", "clinic", "--as-of", AS_OF, "--max-new", EVERYBODY, "--json"]
    own = {"CM_DATA_DIR": str(home.folder), "CM_DATABASE_URL": home.database_url, **home.settings}
    process = Running(arguments, own)
    if kill_at is not None:
        weather.kill_at(kill_at, process.kill)
    ended = process.end()
    weather.spare()
    return ended.exit, json.loads(ended.stdout) if ended.exit >= 0 else {}


def copies(clinic: Clinic) -> Counter[str]:
    """Our identifiers in the foreign server, and how many of its resources carry each."""
    return Counter(
        f"{each['system']}|{each['value']}"
        for kind in WORDS
        for resource in clinic.everything(kind)
        for each in resource.get("identifier", ())
        if each.get("system", "").startswith(f"{BASE}/id/")
    )


def listed(home: Home, state: str) -> list[dict[str, Any]]:
    return list(home.run("ledger", "list", "--emr", "clinic", "--state", state, "--json").answer["items"])


def test_every_fault_was_met_on_the_way_there_and_back(campaign: Campaign) -> None:
    met = campaign.weather.met
    assert {name for _, name in met} == {*FAULTS, STRIPPED, "killed"}
    assert len({name for method, name in met if method == "POST"}) >= 6
    assert sum(number for (method, _), number in met.items() if method == "PUT") >= 2
    faults = sum(number for (_, name), number in met.items() if name in FAULTS)
    assert 0.1 < faults / campaign.weather.requests < 0.2
    assert campaign.nights.count(-9) >= 4


def test_the_nights_come_to_rest(campaign: Campaign) -> None:
    assert campaign.rests == 2, campaign.nights


def test_nothing_was_there_twice_at_any_time(campaign: Campaign) -> None:
    assert len(campaign.copies) > 80
    assert {key: number for key, number in campaign.copies.items() if number > 1} == {}


def test_every_intent_is_there_once_or_is_listed_as_unknown(campaign: Campaign) -> None:
    there, unknown = copies(campaign.clinic), {row["id"] for row in listed(campaign.home, "unknown")}
    rows = campaign.home.ledger()
    assert {row["state"] for row in rows} <= {"written", "unknown", "superseded"}
    assert {there[row["identifier"]] for row in rows if row["state"] == "written"} == {1}
    assert {row["id"] for row in rows if row["state"] == "unknown"} == unknown
    assert set(there) <= {row["identifier"] for row in rows}


def test_what_was_unknown_was_listed_meanwhile(campaign: Campaign) -> None:
    assert campaign.unknown > 0


def test_another_installation_in_good_weather_finds_nothing_missing(
    campaign: Campaign, tmp_path: Path
) -> None:
    """It wants the same, under the same identifiers: what it does not find, it writes."""
    home = Home(tmp_path / "data")
    home.add(campaign.clinic.base_url, "--practice", "Organization/practice")
    figures = home.night()
    assert figures["written"] == len(listed(campaign.home, "unknown"))
    assert figures["adopted"] == len(copies(campaign.clinic)) - figures["written"]


def test_what_cannot_be_looked_up_stays_listed_and_is_not_sent_again(clinic: Clinic, tmp_path: Path) -> None:
    """The answer to a create that never arrived is lost, and searches are refused."""
    home = Home(tmp_path / "data", **SETTINGS, CM_IDENTIFIER_BASE="https://second.example")
    few = ("--emr", "clinic", "--as-of", AS_OF, "--json", "--max-new")
    with bad_network(clinic.base_url) as network:
        home.add(network.base, "--practice", "Organization/practice")
        network.fail("POST Task", DROPPED_BEFORE)
        for search in ("GET Task?identifier=", "GET Task?patient="):
            network.fail(search, answers(403), always=True)
        home.run("sync", *few, "2")
        (lost,) = listed(home, "unknown")
        home.run("sync", *few, "0")
        assert [row["id"] for row in listed(home, "unknown")] == [lost["id"]]
        assert clinic.find("Task", lost["identifier"]) == []
        network.heal()
        for _ in range(2):
            home.run("sync", *few, "0")
        (row,) = listed(home, "unknown")  # searches came back, but were never seen to show a fresh Task
        assert (row["id"], "ledger resolve" in row["reason"]) == (lost["id"], True)
        assert clinic.find("Task", lost["identifier"]) == []
        assert home.run("ledger", "resolve", str(row["id"]), "--not-written").exit == 0
        home.run("sync", *few, "0")
    assert listed(home, "unknown") == []
    assert len(clinic.find("Task", lost["identifier"])) == 1
