"""Names, addresses and secrets as people type them: refused in a sentence, never kept, never a trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.command import ZONE, Home, Said


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


def add(home: Home, *options: str, slug: str = "clinic", base_url: str = "https://emr.example/fhir") -> Said:
    return home.run("emr", "add", "--slug", slug, "--base-url", base_url, "--timezone", ZONE, *options)


@pytest.mark.parametrize("slug", ["../../elsewhere", "..", "", "a/b", "[/x]"])
def test_a_slug_that_is_no_plain_name_is_refused_since_folders_are_named_after_it(
    home: Home, slug: str
) -> None:
    said = add(home, slug=slug)
    assert (said.exit, "Traceback" in said.stderr) == (2, False)


def test_a_secret_in_place_of_its_whereabouts_is_neither_kept_nor_said_again(home: Home) -> None:
    add(home)
    told = [
        add(home, "--auth", "bearer", "--token", "s3cret", slug="other"),
        add(home, base_url="https://me:s3cret@emr.example/fhir", slug="other"),
        home.run("emr", "set", "clinic", "base-url=https://me:s3cret@emr.example/fhir"),
    ]
    assert [said.exit for said in told] == [2, 2, 2]
    assert not [said for said in told if "s3cret" in said.stdout + said.stderr]
    assert b"s3cret" not in b"".join(file.read_bytes() for file in home.folder.rglob("cm-service.sqlite3*"))


def test_words_in_brackets_are_shown_as_they_are(home: Home) -> None:
    said = home.run("sync", "--emr", "[/bold]", "--json")
    assert (said.exit, said.answer["status"], said.answer["advice"]) == (2, "failed", "tell a person")
    said = home.run("emr", "check", "[/bold]")
    assert (said.exit, "[/bold]" in said.stderr) == (2, True)
    assert home.run("demo", "--as-of", "[/red]").exit == 2


def test_a_local_code_is_mapped_though_its_system_holds_an_equals_sign(home: Home) -> None:
    add(home)
    pair = "map:http://lab.example/?list=1|HBA1C=http://loinc.org|4548-4"
    said = home.run("emr", "set", "clinic", pair, "--json")
    assert (said.exit, list(said.answer["settings"])) == (0, ["map:http://lab.example/?list=1|HBA1C"])
