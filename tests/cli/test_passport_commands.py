"""`emr add --profile`, `emr set profile=`, `emr check`: the passport as an operator sees it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.flow.night_world import emr_with, out_of_range
from tests.real.command import Home
from tests.real.parts import free_port


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data", CM_READ_ATTEMPTS="1")


def test_a_profile_is_named_when_an_emr_is_added_and_changed_later(home: Home) -> None:
    home.add("http://127.0.0.1:1/fhir", "--profile", "epic")
    (row,) = home.run("emr", "list", "--json").answer["items"]
    assert (row["profile"], row["test_patient"]) == ("epic", None)
    assert home.run("emr", "set", "clinic", "profile=canvas", "test-patient=zz-test").exit == 0
    (row,) = home.run("emr", "list", "--json").answer["items"]
    assert (row["profile"], row["test_patient"]) == ("canvas", "zz-test")
    assert home.run("emr", "set", "clinic", "profile=", "test-patient=").exit == 0
    (row,) = home.run("emr", "list", "--json").answer["items"]
    assert (row["profile"], row["test_patient"]) == (None, None)
    refused = home.run("emr", "set", "clinic", "profile=epicc")
    assert refused.exit == 2
    assert "there is no vendor profile epicc; known are athena, canvas" in refused.stderr


def test_a_profile_of_ones_own_is_a_file_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    rules = [{"resources": ["Task"], "verbs": ["create"], "allowed": "no", "note": "not in our contract"}]
    own = {"name": "mine", "title": "Mine", "source": "our contract", "date": "2026-11-20", "rules": rules}
    (folder / "mine.json").write_text(json.dumps(own))
    home = Home(tmp_path / "data", CM_PROFILE_DIR=str(folder))
    _, base_url = emr_with(out_of_range())
    home.add(base_url, "--profile", "mine")
    (report,) = home.run("emr", "check", "clinic", "--json").answer["items"]
    (create,) = [
        row for row in report["passport"]["verbs"] if (row["resource"], row["verb"]) == ("Task", "create")
    ]
    assert (create["standing"], create["declared"]["answer"]) == ("disproven", "yes")
    assert create["reason"] == "the vendor profile (2026-11-20) says no: not in our contract"


def test_check_prints_the_passport_and_keeps_what_it_always_said(home: Home) -> None:
    _, base_url = emr_with(out_of_range())
    home.add(base_url, "--profile", "hapi")
    said = home.run("emr", "check", "clinic", "--json")
    (report,) = said.answer["items"]
    assert report.keys() == {"slug", "fhir_version", "types", "warnings", "passport", "ladder"}
    assert report["warnings"] == ["no inpatient encounters in 60 days: discharge rules are blind here"]
    assert said.exit == 3
    assert report["types"]["Task"]["conditional_create"] is True
    passport = report["passport"]
    assert passport["profile"]["name"] == "hapi"
    assert passport["changes"] == []
    facts = {(fact["resource"], fact["name"]): fact["value"] for fact in passport["facts"]}
    assert facts["Patient", "filter:_lastUpdated"] == "filters"
    assert facts["", "checked"] == "yes"
    for words in (
        "profile hapi of 2026-11",
        "DocumentReference",
        "last used",
        "untried",
        "filter:_lastUpdated",
    ):
        assert words in said.stderr


def test_a_change_is_told_by_the_next_check_and_an_old_refusal_can_be_forgotten(home: Home) -> None:
    _, base_url = emr_with(out_of_range())
    home.add(base_url)
    home.run("emr", "check", "clinic")
    home.run("emr", "set", "clinic", "profile=nextgen-office")
    said = home.run("emr", "check", "clinic", "--json")
    texts = [change["text"] for change in said.answer["items"][0]["passport"]["changes"]]
    assert any(text.startswith("Task create: was not disproven, is disproven (the vendor") for text in texts)
    assert "changed on" in said.stderr
    assert home.run("emr", "check", "clinic", "--forget").exit in (0, 3)


def test_an_emr_that_hides_its_metadata_declares_nothing_and_denies_nothing(home: Home) -> None:
    class Gate(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Gate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home.add(f"http://127.0.0.1:{server.server_address[1]}", "--profile", "elation")
    said = home.run("emr", "check", "clinic", "--json")
    server.shutdown()
    server.server_close()
    (report,) = said.answer["items"]
    assert "the EMR does not show /metadata: what it declares is unknown" in report["warnings"]
    assert {row["standing"] for row in report["passport"]["verbs"]} == {"not disproven"}
    assert "non_visit_notes" in {row["name"] for row in report["passport"]["profile"]["rest"]}


def test_an_emr_that_is_not_there_fails_the_check(home: Home) -> None:
    home.add(f"http://127.0.0.1:{free_port()}/fhir")
    assert home.run("emr", "check", "clinic").exit == 1
