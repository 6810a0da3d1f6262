"""The passport of a FHIR server that nobody here wrote: what a look finds out, and what it leaves behind.

One story in the order of its nights: a look at an EMR that holds nothing of ours, a night that writes, a
week later a night that takes back what was written for somebody who has died.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from cm_service.flow import check
from tests.flow.night_world import condition, out_of_range
from tests.foreign.clinic import WORDS, Clinic, is_ours
from tests.real import loading
from tests.real.command import AS_OF, Home

pytestmark = pytest.mark.foreign_emr

KINDS = tuple(WORDS)
PEOPLE = ("ann", "ben", "cas", "dot")
MANY = 1050  # rows of one type: more than the 1,000 that a look asks for in one page
NEXT_WEEK = (dt.datetime.fromisoformat(AS_OF) + dt.timedelta(days=8)).isoformat()


class Look(NamedTuple):
    """What `emr check` said, and how many versions of whatever the server held before and after it."""

    report: dict[str, Any]
    table: str
    before: int
    after: int

    @property
    def facts(self) -> dict[tuple[str, str], str]:
        return {(each["resource"], each["name"]): each["value"] for each in self.report["passport"]["facts"]}

    def verb(self, resource: str, verb: str) -> dict[str, Any]:
        (row,) = [
            each
            for each in self.report["passport"]["verbs"]
            if (each["resource"], each["verb"]) == (resource, verb)
        ]
        found: dict[str, Any] = row
        return found


class Story(NamedTuple):
    clinic: Clinic
    first: Look
    night: dict[str, Any]
    later: dict[str, Any]
    last: Look


@pytest.fixture(scope="module")
def story(foreign_emr: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    loading.empty(foreign_emr)
    people = [each for who in PEOPLE for each in out_of_range(who)]
    rows = [condition(f"row-{number}", "I10", "ann") for number in range(MANY)]
    loading.load(foreign_emr, [*people, *rows])
    clinic = Clinic(foreign_emr)
    folder = tmp_path_factory.mktemp("passport")
    # Looks by hand go by the clock on the wall; an installation of its own keeps the nights' weeks apart.
    before, home = Home(folder / "before"), Home(folder / "data")
    for each in (before, home):
        each.add(foreign_emr, "--profile", "hapi")
    first = look(before, clinic)
    night = home.night()
    clinic.edit(clinic.read("Patient/dot"), deceasedDateTime="2026-11-21")
    later = home.night(as_of=NEXT_WEEK)
    yield Story(clinic, first, night, later, look(home, clinic))
    clinic.http.close()


def look(home: Home, clinic: Clinic) -> Look:
    before = versions(clinic)
    said = home.run("emr", "check", "clinic", "--json")
    assert said.exit in (0, 3), said.stderr
    return Look(said.answer["items"][0], said.stderr, before, versions(clinic))


def versions(clinic: Clinic) -> int:
    """Of every resource of any type that the server ever held, since it was emptied."""
    answer = clinic.http.get("/_history", params={"_summary": "count"}, headers={"Cache-Control": "no-cache"})
    return int(answer.raise_for_status().json()["total"])


def test_a_look_leaves_nothing_behind_in_the_server(story: Story) -> None:
    assert story.first.before == story.first.after > MANY
    assert story.last.before == story.last.after > story.first.after


def test_what_is_declared_is_told_and_nothing_is_proven_before_it_was_used(story: Story) -> None:
    for kind in KINDS:
        row = story.first.verb(kind, "create")
        assert row["declared"]["answer"] == "yes"
        assert row["declared"]["date"] and row["allowed"]["date"]
        assert (row["use"]["date"], row["standing"]) == (None, "not disproven")
    assert story.first.verb("Patient", "search")["standing"] == "proven", "the look itself searched"
    assert story.first.report["warnings"] == [check.BLIND]


@pytest.mark.parametrize("parameter", ["_lastUpdated", "patient"])
def test_search_parameters_are_seen_to_filter_where_there_are_rows(story: Story, parameter: str) -> None:
    assert story.first.facts["Condition", f"filter:{parameter}"] == "filters"
    assert ("Task", f"filter:{parameter}") not in story.first.facts, "no row, nothing to be seen"
    assert story.last.facts["Task", f"filter:{parameter}"] == "filters"


def test_codes_and_our_own_identifiers_are_seen_to_filter(story: Story) -> None:
    assert story.first.facts["Observation", "filter:code"] == "filters"
    for kind in KINDS:
        assert story.last.facts[kind, "filter:identifier"] == "filters"


def test_pages_versions_and_instants_are_as_this_server_has_them(story: Story) -> None:
    facts = story.first.facts
    assert 0 < int(facts["", "page-cap"]) <= 1000
    assert facts["", "next-link"].startswith("absolute, by ") and "_getpages" in facts["", "next-link"]
    assert facts["Patient", "version"] == "number"
    assert facts["Patient", "last-updated"] == "fraction"
    assert facts["", "last-updated-search"] == "instant"


def test_a_night_proves_creates_reads_identifiers_and_that_fresh_writes_are_found(story: Story) -> None:
    assert story.night["passport_changes"] == []
    for kind in KINDS:
        assert story.last.verb(kind, "create")["standing"] == "proven"
        assert story.last.verb(kind, "read")["standing"] == "proven"
        assert story.last.facts[kind, "identifiers"] == "kept"
        assert story.last.facts[kind, "read-after-write"] == "proven"


def test_an_old_version_is_really_refused_and_nothing_of_ours_was_touched_for_it(story: Story) -> None:
    (task,) = story.clinic.ours("Task", "dot")
    assert task["status"] == "cancelled"
    assert story.last.verb("Task", "update")["standing"] == "proven"
    assert story.last.facts["Task", "stale-if-match"] == "refused"
    assert task["meta"]["versionId"] == "2", "created, cancelled, and not touched again"
    for kind in ("Patient", "Condition", "Observation"):
        assert [each for each in story.clinic.everything(kind) if is_ours(each)] == []


def test_the_table_fits_a_terminal_and_says_the_facts(story: Story) -> None:
    passport = story.last.table.partition("declared on")[2].partition("warning:")[0]
    assert max(map(len, passport.splitlines())) <= 80
    for words in ("profile hapi", "stale-if-match", "read-after-write", "page-cap", "proven"):
        assert words in story.last.table
