"""`emr set auth= token=` and `emr remove`: a connection as it changes over the years."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.night_world import emr_with, out_of_range
from tests.real.command import AS_OF, Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data", CM_READ_ATTEMPTS="1", CLINIC_TOKEN="t0ken")


def test_a_token_is_named_later_and_taken_back(home: Home) -> None:
    _, base_url = emr_with(out_of_range())
    home.add(base_url)
    assert home.run("emr", "set", "clinic", "auth=bearer").exit == 2, "bearer of what?"
    assert home.run("emr", "set", "clinic", "auth=bearer", "token=t0ken").exit == 2, "not the token itself"
    assert home.run("emr", "set", "clinic", "auth=secrecy", "token=env:CLINIC_TOKEN").exit == 2
    assert home.run("emr", "set", "clinic", "auth=bearer", "token=env:CLINIC_TOKEN").exit == 0
    listed = home.run("emr", "list", "--json")
    assert listed.answer["items"][0]["auth"] == "bearer"
    assert "CLINIC_TOKEN" not in listed.stdout
    assert home.run("emr", "check", "clinic").exit in (0, 3)
    assert home.run("emr", "set", "clinic", "token=").exit == 2, "bearer still needs one"
    assert home.run("emr", "set", "clinic", "auth=none", "token=").exit == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), (b"", "is not where"), (b"two words", "is no token"), (b"\xff", "cannot")],
    ids=["not there", "empty", "two words", "no text"],
)
def test_a_token_that_cannot_be_used_is_one_sentence_that_holds_neither_it_nor_its_place(
    content: bytes | None, words: str, home: Home, tmp_path: Path
) -> None:
    place = tmp_path / "hidden-token"
    if content is not None:
        place.write_bytes(content)
    _, base_url = emr_with(out_of_range())
    home.add(base_url, "--auth", "bearer", "--token", f"file:{place}")
    for command in (["emr", "check", "clinic"], ["sync", "--emr", "clinic"]):
        said = home.run(*command, "--json")
        assert (said.exit, said.answer["reason"]) == (1, "Misconfigured")
        assert words in said.stderr
        assert "Traceback" not in said.stderr
        assert "hidden-token" not in said.stderr
        assert "two words" not in said.stderr


def test_an_emr_is_removed_only_on_a_clear_yes_and_recognised_when_it_comes_back(home: Home) -> None:
    emr, base_url = emr_with(out_of_range())
    home.add(base_url)
    home.night()
    written = len(emr.written())
    asked = home.run("emr", "remove", "clinic")
    assert (asked.exit, "1 patients" in asked.stderr, "--yes" in asked.stderr) == (2, True, True)
    said = home.run("emr", "remove", "clinic", "--yes", "--json")
    assert (said.exit, said.answer) == (0, {"slug": "clinic", "status": "complete", "patients": 1})
    assert home.run("emr", "list", "--json").answer["items"] == []
    assert home.run("emr", "remove", "clinic", "--yes").exit == 2
    assert not (home.folder / "landing" / "clinic").exists()
    home.add(base_url)
    again = home.night(as_of=AS_OF)
    assert (again["written"], again["adopted"], len(emr.written())) == (0, written, written)
