"""The night on a population that nobody here wrote, from a folder, written into a running EMR.

The counts were read off the raw files a second time, by other means, before they were written down.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cm_service.sandbox import server
from cm_service.sandbox.store import Store
from tests.real import loading
from tests.real.command import AS_OF, ZONE, Home

SYNTHEA = Path(__file__).parents[1] / "data" / "synthea"
FROM = ("--from", str(SYNTHEA))
PATIENTS, DEAD = 109, 29
ELIGIBLE, UNDECIDED, NOT = "eligible", "insufficient_data", "not_eligible"
# rule: eligible, cannot be told, not eligible (the 29 dead are among the last)
EXPECTED = {
    "A1C-OUT": (0, 8, 101),
    "A1C-OVERDUE": (9, 1, 99),
    "A1C-NODX": (0, 0, 109),
    "DIS-TCM": (1, 0, 108),
    "DIS-AMA": (0, 0, 109),
    "DIS-SNF": (0, 0, 109),
    "DIS-READMIT": (0, 0, 109),
    "ED-FU": (0, 0, 109),
    "ED-OVERUSE": (1, 0, 108),
    "CHR-MULTI": (0, 41, 68),
}
WRITTEN = {
    ("CarePlan", "longitudinal"): 9,
    ("CarePlan", "transition"): 1,
    ("Goal", "ed-visits"): 1,
    ("Goal", "no-unplanned-readmission"): 1,
    ("Task", "a1c-test-due"): 9,
    ("Task", "discharge-summary-request"): 1,
    ("Task", "ed-overuse-outreach"): 1,
    ("Task", "medication-reconciliation"): 1,
    ("Task", "post-discharge-contact"): 1,
    ("Task", "post-discharge-visit"): 1,
}


class Nights(NamedTuple):
    """The EMR, the installation, and the summaries of two nights at the same instant."""

    emr: Store
    home: Home
    first: dict[str, Any]
    second: dict[str, Any]
    writes_of_first: int


@pytest.fixture(scope="module")
def emr() -> Store:
    """The sandbox EMR with the records that the rules can refer to."""
    types = ("Organization", "Location", "Patient", "CareTeam", "Encounter", "Condition", "CarePlan")
    resources = loading.read_folder(SYNTHEA, *types)
    resources += loading.read_folder(SYNTHEA, "Observation", mentioning='"4548-4"')
    targets = [*resources, *loading.read_folder(SYNTHEA, "Practitioner")]
    store = Store()
    store.load(loading.with_plain_references(resources, targets))
    return store


@pytest.fixture(scope="module")
def nights(emr: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    home = Home(tmp_path_factory.mktemp("folder-nights") / "data")
    with server.running(emr) as base_url:
        home.add(base_url)
        first = home.night(*FROM)
        writes = len(emr.written())
        yield Nights(emr, home, first, home.night(*FROM), writes)


@pytest.fixture(scope="module")
def decided(nights: Nights) -> dict[tuple[str, str], dict[str, Any]]:
    return nights.home.decisions()


def test_the_night_is_complete_and_nothing_of_the_input_is_a_hole(nights: Nights) -> None:
    first = nights.first
    figures = {name: first[name] for name in ("patients", "evaluated", "holes", "problems")}
    assert figures == {"patients": PATIENTS, "evaluated": PATIENTS, "holes": 0, "problems": []}
    assert (first["eligible"], first["insufficient_data"]) == (11, 50)


@pytest.mark.parametrize("rule", EXPECTED)
def test_every_rule_comes_to_its_known_counts(
    decided: dict[tuple[str, str], dict[str, Any]], rule: str
) -> None:
    found = Counter(decision["outcome"] for (_, own), decision in decided.items() if own == rule)
    assert (found[ELIGIBLE], found[UNDECIDED], found[NOT]) == EXPECTED[rule]


def test_nobody_who_has_died_is_found_by_any_rule(decided: dict[tuple[str, str], dict[str, Any]]) -> None:
    people = loading.read_folder(SYNTHEA, "Patient")
    dead = {person["id"] for person in people if "deceasedDateTime" in person}
    assert len(dead) == DEAD
    of_the_dead = [decision for (who, _), decision in decided.items() if who in dead]
    assert len(of_the_dead) == DEAD * len(EXPECTED)
    assert {(each["outcome"], "GX-01" in each["reasons"]) for each in of_the_dead} == {(NOT, True)}


class Read(NamedTuple):
    """One patient as read in the raw files, and what rules.md makes of it."""

    story: str
    patient: str
    rule: str
    outcome: str
    reason: str
    facts: dict[str, Any]


BY_HAND = [
    Read(
        "home from detoxification on 2026-10-27, a Tuesday: day 24 of 30",
        "e9a8cc5a",
        "DIS-TCM",
        ELIGIBLE,
        "community_discharge",
        {"discharge_date": "2026-10-27", "contact_due": "2026-10-29T23:59:59-04:00"},
    ),
    Read(
        "home on 2026-10-19: the thirty days ended on 2026-11-17",
        "0b87ae11",
        "DIS-TCM",
        NOT,
        "period_over",
        {"discharge_date": "2026-10-19", "period_end": "2026-11-17"},
    ),
    Read(
        "eleven emergency visits in 365 days, the first on the first day of the window",
        "6e1b5dba",
        "ED-OVERUSE",
        ELIGIBLE,
        "",
        {"value": 11},
    ),
    Read("an emergency visit that ended in the hospital", "3266b648", "ED-OVERUSE", NOT, "became_stay", {}),
    Read(
        "7.04 % at 84 with two groups beside diabetes: the target is 7.5",
        "580ec417",
        "A1C-OUT",
        NOT,
        "at_target",
        {"value": 7.04, "threshold": 7.5},
    ),
    Read(
        "88 years old and on dialysis after a failed transplant: no number applies",
        "61fa4da5",
        "A1C-OUT",
        NOT,
        "older_adult_very_complex",
        {},
    ),
    Read(
        "2.83 % cannot be, but blood was taken 176 days ago",
        "8401ca86",
        "A1C-OVERDUE",
        UNDECIDED,
        "no_usable_result",
        {"last_test": "2026-05-28"},
    ),
    Read(
        "2.92 % cannot be, and was 187 days ago",
        "93231218",
        "A1C-OVERDUE",
        ELIGIBLE,
        "test_overdue",
        {"last_test": "2026-05-17"},
    ),
    Read(
        "2.81 % cannot be, and the older 3.22 % is out of the year",
        "b3dc14fa",
        "A1C-OUT",
        UNDECIDED,
        "no_usable_result",
        {},
    ),
    Read(
        "at target 290 days ago, on dialysis but not 65",
        "3266b648",
        "A1C-OVERDUE",
        ELIGIBLE,
        "test_overdue",
        {"last_test": "2026-02-03"},
    ),
    Read(
        "obesity is no category by default: one group is left",
        "02520300",
        "CHR-MULTI",
        NOT,
        "too_few_groups",
        {"possible": ["copd"]},
    ),
    Read(
        "diabetes written down once, within the year: possible, not persisting",
        "7bd4fb1d",
        "A1C-OUT",
        NOT,
        "no_diabetes",
        {},
    ),
]


@pytest.mark.parametrize("read", BY_HAND, ids=[f"{each.rule}: {each.story}" for each in BY_HAND])
def test_a_patient_is_judged_as_the_raw_files_read(
    decided: dict[tuple[str, str], dict[str, Any]], read: Read
) -> None:
    (decision,) = [
        each for (who, rule), each in decided.items() if rule == read.rule and who.startswith(read.patient)
    ]
    assert (decision["outcome"], decision["facts"] | read.facts) == (read.outcome, decision["facts"])
    assert decision["reasons"] == ([read.reason] if read.reason else [])


def test_what_was_written_is_what_the_decisions_ask_for_and_each_is_there_once(nights: Nights) -> None:
    items = nights.home.ledger()
    assert Counter((item["kind"], item["code"]) for item in items) == WRITTEN
    assert {item["state"] for item in items} == {"written"}
    assert nights.first["written"] == nights.writes_of_first == sum(WRITTEN.values())
    for item in items:
        assert nights.emr.count_identifier(item["kind"], *item["identifier"].split("|"), ever=True) == 1


def test_plans_and_teams_of_others_are_as_they_were(nights: Nights) -> None:
    touched = {version.key for version in nights.emr.written()}
    others = loading.read_folder(SYNTHEA, "CarePlan", "CareTeam")
    assert len(others) == 674
    assert touched.isdisjoint(f"{other['resourceType']}/{other['id']}" for other in others)


def test_the_second_night_evaluates_nobody_and_writes_nothing(nights: Nights) -> None:
    figures = {name: nights.second[name] for name in ("evaluated", "intents", "written")}
    assert figures == {"evaluated": 0, "intents": 0, "written": 0}
    assert len(nights.emr.written()) == nights.writes_of_first


def test_the_folder_alone_gives_the_same_decisions(
    nights: Nights, decided: dict[tuple[str, str], dict[str, Any]]
) -> None:
    said = nights.home.run("evaluate", *FROM, "--timezone", ZONE, "--as-of", AS_OF)
    assert said.exit == 0, said.stderr
    lines = map(json.loads, said.stdout.splitlines())
    assert {(line["patient"], line["rule"]): line for line in lines} == decided


def test_a_new_store_that_reads_the_same_folder_doubles_nothing(nights: Nights, tmp_path: Path) -> None:
    """Our resources are not in the folder, so they cannot be adopted from it: the EMR has to say so."""
    with server.running(nights.emr) as base_url:
        home = Home(tmp_path / "data")
        home.add(base_url)
        again = home.night(*FROM)
        assert (again["written"], home.night(*FROM)["written"]) == (0, 0)
        items = home.ledger()
    assert {item["state"] for item in items} == {"written"}
    for item in items:
        assert nights.emr.count_identifier(item["kind"], *item["identifier"].split("|"), ever=True) == 1
