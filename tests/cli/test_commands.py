"""The command line as people and cron use it: each command in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cm_service.sandbox.store import Store
from tests.flow.night_world import (
    a1c,
    condition,
    diabetes,
    emr_with,
    out_of_range,
    patient,
    stay,
)
from tests.real.command import AS_OF, ZONE, Home, Said
from tests.real.parts import free_port

HER: dict[str, Any] = {
    "name": [{"family": "Quackenbush", "given": ["Wilhelmina"]}],
    "birthDate": "1976-04-07",
    "telecom": [{"system": "phone", "value": "313-555-0199"}],
}
# The result has digits that no time and no rate has by chance.
PRIVATE = ("Quackenbush", "Wilhelmina", "1976-04-07", "313-555-0199", "8.637", "E11.9")
WORLD = [patient(**HER), diabetes(), a1c(8.637), condition("htn", "I10"), stay(), *out_of_range("p2")]


class Story:
    """One installation from its first command on; `said` keeps what every command said."""

    def __init__(self, home: Home, emr: Store, base_url: str) -> None:
        self.home, self.emr, self.base_url = home, emr, base_url
        self.said: list[Said] = []

    def run(self, *arguments: str) -> Said:
        self.said.append(self.home.run(*arguments))
        return self.said[-1]

    def exits(self, *commands: list[str]) -> set[int]:
        return {self.run(*words).exit for words in commands}

    def sync(self, *arguments: str) -> Said:
        return self.run("sync", "--as-of", AS_OF, "--json", *arguments)

    def add(self, slug: str, base_url: str) -> Said:
        return self.run("emr", "add", "--slug", slug, "--base-url", base_url, "--timezone", ZONE, "--json")


@pytest.fixture
def story(tmp_path: Path) -> Story:
    emr, base_url = emr_with(WORLD)
    return Story(Home(tmp_path / "data", CM_LOG_LEVEL="DEBUG", CM_READ_ATTEMPTS="1"), emr, base_url)


def private_words(said: Said) -> list[str]:
    return [word for word in PRIVATE if word in said.stderr]


def test_the_installed_program_starts() -> None:
    program = Path(sys.executable).parent / "cm-service"
    done = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "sync" in done.stdout) == (0, True)


def test_an_emr_is_added_listed_set_and_checked(story: Story) -> None:
    added = story.add("clinic", story.base_url)
    assert (added.exit, added.answer) == (0, {"slug": "clinic", "status": "complete"})
    assert story.run("emr", "set", "clinic", "a1c.target=7.5", "write-mode=auto").exit == 0
    assert story.exits(
        ["emr", "add", "--slug", "clinic", "--base-url", "http://x", "--timezone", ZONE],
        ["emr", "set", "clinic", "a1c.targets=7.5"],
        ["emr", "set", "clinic", "a1c.target=high"],
        ["emr", "check", "nobody"],
    ) == {2}
    listed = story.run("emr", "list", "--json")
    (one,) = listed.answer["items"]
    assert (listed.exit, one["slug"], one["write_mode"]) == (0, "clinic", "auto")
    assert one["settings"] == {"a1c.target": "7.5"}
    checked = story.run("emr", "check", "clinic", "--json")
    (report,) = checked.answer["items"]
    assert report["types"]["Task"]["conditional_create"] is True
    assert checked.exit == (3 if report["warnings"] else 0)


def test_two_nights_and_what_is_told_of_them(story: Story) -> None:
    story.add("clinic", story.base_url)
    dry = story.sync("--dry-run")
    assert (dry.exit, dry.answer["status"], dry.answer["written"]) == (0, "complete", 0)
    assert dry.answer["intents"] > 3
    first = story.sync("--max-new", "1")
    assert (first.exit, first.answer["status"]) == (0, "complete")
    assert first.answer["written"] == len(story.emr.written()) > 0
    assert first.answer["pending"] == 3
    second = story.sync("--emr", "clinic")
    assert (second.answer["written"], second.answer["pending"]) == (3, 0)
    expected = {"status", "patients", "decisions", "eligible", "insufficient_data", "rejects", "intents"}
    assert second.answer.keys() >= expected | {"written", "refused", "unknown", "pending", "seconds"}

    status = story.run("sync", "status", "--json")
    assert [run["status"] for run in status.answer["items"]] == ["complete"] * 3
    assert status.answer["items"][0]["types"]["Patient"]["status"] == "complete"
    (standing,) = status.answer["standing"]
    assert standing.keys() == {"emr", "state", "last_complete", "sample", "types"}
    assert standing["types"]["Patient"].keys() == {"oldest", "newest", "whole", "patients"}
    run = str(status.answer["items"][0]["id"])
    assert story.run("sync", "approve-deletions", run, "--json").exit == 2, "nothing was held back"
    items = story.run("ledger", "list", "--emr", "clinic", "--state", "written", "--json").answer["items"]
    assert len(items) == dry.answer["intents"]
    assert items[0].keys() >= {"id", "emr", "patient", "kind", "state", "rung", "reference", "reason"}
    assert story.exits(
        ["ledger", "list", "--state", "nonsense"],
        ["sync", "--emr", "nobody"],
        ["sync", "--as-of", "yesterday"],
        ["sync", "--from", "/nowhere"],
    ) == {2}
    assert [private_words(said) for said in story.said if private_words(said)] == []


def test_a_night_with_a_hole_ends_with_3_and_one_that_reads_nothing_with_1(
    story: Story, tmp_path: Path
) -> None:
    story.add("clinic", story.base_url)
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "Patient.ndjson").write_text(json.dumps(patient(**HER)) + "\n")
    cut = json.dumps(a1c(8.637))[:-9]
    (drop / "Observation.ndjson").write_text(cut + "\n")
    holes = story.sync("--from", str(drop))
    assert (holes.exit, holes.answer["status"], holes.answer["holes"]) == (3, "partial", 1)
    assert "Observation.ndjson line 1" in holes.stderr
    (tmp_path / "nothing").mkdir()
    nothing = story.sync("--from", str(tmp_path / "nothing"))
    assert (nothing.exit, nothing.answer["reason"]) == (1, "NothingToRead")
    story.add("gone", f"http://127.0.0.1:{free_port()}/fhir")
    gone = story.sync("--emr", "gone")
    assert (gone.exit, gone.answer["status"], gone.answer["reason"]) == (1, "failed", "EmrUnreachable")
    both = story.sync()
    assert both.exit == 1
    assert [item["status"] for item in both.answer["items"]] == ["complete", "failed"], "one stops not all"
    assert [private_words(said) for said in story.said if private_words(said)] == []


def test_evaluate_needs_no_store_and_says_holes_by_its_exit(story: Story, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    for resource in WORLD:
        with (drop / f"{resource['resourceType']}.ndjson").open("a") as file:
            file.write(json.dumps(resource) + "\n")
    ask = ["evaluate", "--from", str(drop), "--timezone", ZONE, "--as-of", AS_OF]
    good = story.run(*ask)
    lines = [json.loads(line) for line in good.stdout.splitlines()]
    assert (good.exit, len(lines)) == (0, 20)
    mine = {line["rule"]: line for line in lines if line["patient"] == "p1"}
    assert mine["A1C-OUT"]["outcome"] == mine["CHR-MULTI"]["outcome"] == "eligible"
    one = story.run(*ask, "--patient", "p2", "--rule", "A1C-OUT", "--set", "a1c.target=9")
    (line,) = [json.loads(line) for line in one.stdout.splitlines()]
    assert (line["patient"], line["outcome"]) == ("p2", "not_eligible")
    assert story.exits([*ask, "--rule", "A1C-NONE"], [*ask, "--patient", "nobody"]) == {2}
    with (drop / "Condition.ndjson").open("a") as file:
        file.write('{"resourceType":"Condition","id":\n')
    assert story.run(*ask).exit == 3
    assert not story.home.folder.exists(), "nothing was stored"


def test_another_identifier_base_stops_everything_with_a_clear_error(story: Story) -> None:
    story.add("clinic", story.base_url)
    other = Home(story.home.folder, CM_IDENTIFIER_BASE="https://other.example")
    said = other.run("sync", "--json")
    assert (said.exit, said.answer["reason"]) == (1, "Misconfigured")
    assert "https://other.example" in said.stderr
    assert story.emr.written() == []


def test_what_cannot_be_opened_or_understood_is_one_sentence(tmp_path: Path) -> None:
    nowhere = Home(tmp_path, database_url=f"postgresql+psycopg://me:secret@127.0.0.1:{free_port()}/x")
    unreadable = Home(tmp_path, database_url="mysterious://db")
    for home in (nowhere, unreadable):
        said = home.run("sync", "--json")
        assert (said.exit, said.answer["reason"]) == (1, "Misconfigured"), said.stderr
        assert "Traceback" not in said.stderr
        assert "secret" not in said.stderr + said.stdout
    for variable, value in (("CM_READ_CONCURRENCY", "many"), ("CM_LOG_LEVEL", "loud")):
        said = Home(tmp_path, **{variable: value}).run("doctor", "--json")
        assert said.exit == 2, said.stderr
        assert variable in said.stderr
        assert "Traceback" not in said.stderr


@pytest.mark.postgres
def test_a_server_is_migrated_on_request_only_and_then_works(empty_postgres_url: str, tmp_path: Path) -> None:
    emr, base_url = emr_with(WORLD)
    story = Story(Home(tmp_path / "data", database_url=empty_postgres_url), emr, base_url)
    unready = story.run("doctor", "--json")
    assert (unready.exit, unready.answer["status"]) == (1, "failed")
    assert "cm-service migrate" in unready.answer["database"]
    migrated = story.run("migrate", "--json")
    assert (migrated.exit, migrated.answer["status"]) == (0, "complete")
    story.add("clinic", base_url)
    assert story.sync().answer["written"] == len(emr.written()) > 3
    assert story.run("doctor", "--json").answer["status"] == "complete"
