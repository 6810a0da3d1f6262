"""Everything lands as the EMR sent it, and a type with a hole is never called complete."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cm_service.errors import EmrRefused, EmrUnreachable, Misconfigured, NotFhir
from cm_service.fhir.client import FhirClient
from cm_service.fhir.credentials import StaticBearer
from cm_service.flow.landing import MANIFEST, PullReport, TypeReport, prune, run_folder
from cm_service.flow.pull import Source, pull
from cm_service.flow.sieve.reading import read_folder
from cm_service.flow.wanted import CODED, REFERENCED, WHOLE
from tests.fhir.builders import ask, observation
from tests.fhir.scripted import (
    Json,
    Reply,
    ScriptedEmr,
    as_json,
    bundle,
    html,
    outcome,
    scripted_emr,
    searchset,
)

MAIN = (*WHOLE, *CODED)


@pytest.fixture
def emr() -> Iterator[ScriptedEmr]:
    with scripted_emr() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run_folder(tmp_path, "east", "run-1")


def read(
    emr: ScriptedEmr | str,
    folder: Path,
    *,
    source: Source | None = None,
    heard: list[str] | None = None,
    **http: Any,
) -> PullReport:
    def progress(report: TypeReport) -> None:
        if heard is not None:
            heard.append(f"{report.type} {report.status} {report.resources}")

    async def run(client: FhirClient) -> PullReport:
        return await pull(client, source or Source("east"), folder, progress=progress)

    return ask(emr, run, attempts=http.pop("attempts", 2), **http)


def landed(folder: Path, type_: str) -> list[Json]:
    path = folder / f"{type_}.ndjson"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def patient(id: str) -> Json:
    return {"resourceType": "Patient", "id": id}


def declare(emr: ScriptedEmr, *parameters: str) -> None:
    resource = {"type": "Observation", "searchParam": [{"name": name} for name in parameters]}
    rest = [{"mode": "server", "resource": [resource]}]
    emr.on("GET metadata", as_json({"resourceType": "CapabilityStatement", "rest": rest}))


def test_pages_land_in_one_file_a_type_with_a_manifest(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Patient?_count", searchset(patient("1"), patient("2"), next="?page=2"))
    emr.on("GET Patient?page=2", searchset(patient("3")))
    report = read(emr, folder)
    assert [p["id"] for p in landed(folder, "Patient")] == ["1", "2", "3"]
    assert report.complete
    assert report.types.keys() == {*MAIN, *REFERENCED}
    told = report.types["Patient"]
    assert (told.status, told.pages, told.resources) == ("complete", 4, 3)  # read twice
    assert msgspec.json.decode((folder / MANIFEST).read_bytes(), type=PullReport) == report


def test_bytes_land_as_they_were_sent(emr: ScriptedEmr, folder: Path) -> None:
    raw = b'{"resourceType":"Goal","id":"g","x":1.00,"y":1e400,"z":"\xc3\xa4"}'
    body = b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":' + raw + b"}]}"
    emr.on("GET Goal", Reply(200, body, {"Content-Type": "application/fhir+json"}))
    read(emr, folder)
    assert (folder / "Goal.ndjson").read_bytes() == raw + b"\n"


def test_nobody_else_may_look_into_the_landing_folder(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Patient", searchset(patient("1")))
    read(emr, folder)
    for path in (folder, folder.parent, folder.parent.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_run_does_not_write_into_the_folder_of_the_first(emr: ScriptedEmr, folder: Path) -> None:
    read(emr, folder)
    with pytest.raises(FileExistsError):
        read(emr, folder)


def test_an_emr_without_any_data_is_read_completely(emr: ScriptedEmr, folder: Path) -> None:
    assert read(emr, folder).complete
    assert all(path.read_bytes() == b"" for path in folder.glob("*.ndjson"))
    reading = read_folder(folder, base_url=emr.base, concept_map={}, max_line_bytes=1_000_000)
    assert list(reading.patients()) == []
    assert reading.unread == frozenset()


def test_progress_is_heard_page_by_page_and_at_the_end(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Patient?_count", searchset(patient("1"), next="?page=2"))
    emr.on("GET Patient?page=2", searchset(patient("2")))
    heard: list[str] = []
    read(emr, folder, heard=heard)
    told = [line for line in heard if line.startswith("Patient")]
    again = ["Patient reading 2"] * 2  # two pages are read twice: a row may have slipped between them
    assert told == ["Patient reading 1", "Patient reading 2", *again, "Patient complete 2"]


def test_1B_F10_what_comes_twice_lands_once(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Patient?_count", searchset(patient("1"), patient("2"), next="?page=2"))
    emr.on("GET Patient?page=2", searchset(patient("2"), patient("3")))
    assert read(emr, folder).types["Patient"].resources == 3
    assert [p["id"] for p in landed(folder, "Patient")] == ["1", "2", "3"]


def test_1B_F08_a_search_that_began_anew_lands_once(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Patient?_count", searchset(patient("1"), next="?page=2"))
    emr.on("GET Patient?page=2", Reply(410), searchset(patient("2")))
    assert read(emr, folder).types["Patient"].status == "complete"
    assert [p["id"] for p in landed(folder, "Patient")] == ["1", "2"]


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_1B_F41_one_refused_type_is_named_and_stops_no_other(
    emr: ScriptedEmr, folder: Path, status: int
) -> None:
    emr.on("GET Patient", searchset(patient("1")))
    emr.on("GET Consent", as_json(outcome(text="not for Maria Meyer"), status))
    report = read(emr, folder)
    refused = report.types["Consent"]
    assert (refused.status, refused.http_status) == ("refused", status)
    assert refused.reason == f"{emr.base.split('/')[2]} refused search of Consent with {status}"
    assert report.of_status("refused") == {"Consent"}
    assert report.of_status("complete") == {*MAIN, *REFERENCED} - {"Consent"}
    assert not report.complete
    assert "Maria" not in (folder / "manifest.json").read_text()


def cut(reply: Reply) -> Reply:
    reply.length = len(reply.body) + 100
    return reply


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        pytest.param(html(), "HTML page", id="1B_F31_html_with_200"),
        pytest.param(Reply(200), "the body is empty", id="1B_F32_empty_200"),
        pytest.param(Reply(200, b'{"resourceType":"Bundle","ty'), "no FHIR JSON", id="1B_F33_truncated"),
        pytest.param(cut(as_json(bundle())), "connection broke", id="1B_F34_cut_body"),
        pytest.param(Reply(200, b'{"x":"\xff"}'), "no UTF-8", id="1B_F30_invalid_utf8"),
        pytest.param(as_json(outcome()), "an OperationOutcome in place", id="1B_F17_outcome_with_200"),
        pytest.param(Reply(reset=True), "connection broke", id="1B_F45_reset"),
        pytest.param(Reply(503), "answered 503", id="1B_F44_503_for_ever"),
        pytest.param(Reply(429), "answered 429", id="1B_F42_429_for_ever"),
        pytest.param(
            as_json(bundle(patient("9"), self_link="x", next="x")), "circle", id="1B_F01_next_is_self"
        ),
        pytest.param(
            as_json(bundle(next="http://evil.example/fhir?p")), "evil.example", id="1B_F03_elsewhere"
        ),
    ],
)
def test_a_page_that_cannot_be_read_fails_its_type_and_keeps_what_was_read(
    emr: ScriptedEmr, folder: Path, reply: Reply, words: str
) -> None:
    emr.on("GET Patient?_count", searchset(patient("1"), next="?page=2"))
    emr.on("GET Patient?page=2", reply)
    report = read(emr, folder)
    assert report.types["Patient"].status == "failed"
    assert words in report.types["Patient"].reason
    assert "Patient" in report.types["Patient"].reason
    assert landed(folder, "Patient")[0] == patient("1")
    assert report.types["Encounter"].status == "complete"


def test_1B_F18_an_entry_without_a_resource_is_a_hole(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Patient", searchset(patient("1"), None))
    report = read(emr, folder).types["Patient"]
    assert report.status == "failed"
    assert "1 entries without a resource" in report.reason
    assert landed(folder, "Patient") == [patient("1")]


def test_1B_F16_an_error_inside_a_good_answer_is_a_hole(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Patient", searchset(patient("1"), outcome("error")))
    report = read(emr, folder).types["Patient"]
    assert (report.status, landed(folder, "Patient")) == ("failed", [patient("1")])


def test_1B_F16_a_warning_is_noted_and_no_hole(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Patient", searchset(patient("1"), outcome("warning")))
    report = read(emr, folder).types["Patient"]
    assert (report.status, report.notes) == ("complete", ["the EMR sent a warning with its answer"])


@pytest.mark.parametrize("total", [None, 0, 1, 2])
def test_1B_F12_a_total_that_is_missing_or_too_low_is_no_hole(
    emr: ScriptedEmr, folder: Path, total: int | None
) -> None:
    emr.on("GET Patient", searchset(patient("1"), patient("2"), total=total))
    assert read(emr, folder).types["Patient"].status == "complete"


def test_1B_F49_fewer_resources_than_the_emr_counts_are_a_hole(emr: ScriptedEmr, folder: Path) -> None:
    """HAPI's public server stops handing out pages at 10,000; others hide rows that we may not see."""
    emr.on("GET Patient", searchset(patient("1"), patient("2"), total=3))
    report = read(emr, folder).types["Patient"]
    assert report.status == "failed"
    assert report.reason.endswith("counts 3 of Patient, but its pages held 2")


def test_1B_F12_two_versions_of_one_resource_are_one_of_those_that_the_emr_counts(
    emr: ScriptedEmr, folder: Path
) -> None:
    """Somebody edited it between two pages, and so another one slipped past both."""
    edited = {**patient("1"), "active": True}
    pages = [searchset(patient("1"), next="/fhir/Patient?page=2", total=2), searchset(edited, total=2)]
    emr.on("GET Patient", *pages * 4)
    report = read(emr, folder).types["Patient"]
    assert report.status == "failed"
    assert report.reason.endswith("counts 2 of Patient, but its pages held 1")


def test_a_count_that_was_right_the_second_time_is_believed(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Patient", searchset(patient("1"), total=2), searchset(patient("1"), total=1))
    assert read(emr, folder).types["Patient"].status == "complete"


def test_rules_codes_are_searched_in_components_too_where_the_emr_can(emr: ScriptedEmr, folder: Path) -> None:
    declare(emr, "code", "combo-code")
    read(emr, folder)
    (request,) = emr.seen("GET Observation")
    assert {"4548-4", "59261-8", "71802-3"} <= set(request.params["combo-code"].split(","))
    assert "status" not in request.params


def test_without_combo_code_both_places_are_asked(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Observation?code", searchset(observation("1")))
    emr.on("GET Observation?component-code", searchset(observation("1"), observation("2")))
    report = read(emr, folder)
    assert report.types["Observation"].status == "complete"
    assert [o["id"] for o in landed(folder, "Observation")] == ["1", "2"]


def test_the_practices_own_codes_are_asked_for(emr: ScriptedEmr, folder: Path) -> None:
    declare(emr, "combo-code")
    a1c, unrelated = ("http://loinc.org", "4548-4"), ("http://loinc.org", "2345-7")
    source = Source("east", {("urn:lab", "A1C"): (a1c,), ("urn:lab", "GLU"): (unrelated,)})
    read(emr, folder, source=source)
    codes = emr.seen("GET Observation")[0].params["combo-code"].split(",")
    assert "A1C" in codes
    assert "GLU" not in codes


def test_a_refused_parameter_is_answered_with_a_wider_search(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Observation?component-code", as_json(outcome(), 400))
    emr.on("GET Observation?_count", searchset(observation("1")))
    report = read(emr, folder).types["Observation"]
    assert report.status == "complete"
    assert "asked again more widely" in report.notes[0]
    assert [o["id"] for o in landed(folder, "Observation")] == ["1"]


def test_1B_F48_a_dropped_filter_is_noticed_and_answered_with_a_wider_search(
    emr: ScriptedEmr, folder: Path
) -> None:
    """An ignored parameter brings everything on most servers, and nothing on one (Medplum)."""
    emr.on("GET Observation", searchset(observation("1")))
    emr.on(
        "GET Observation?component-code", as_json(bundle(self_link="http://emr/fhir/Observation?_count=200"))
    )
    report = read(emr, folder).types["Observation"]
    assert report.status == "complete"
    assert "ignored the parameter component-code" in report.notes[0]


def test_a_wider_search_that_is_refused_too_is_a_refusal(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Observation", as_json(outcome(), 400))
    report = read(emr, folder).types["Observation"]
    assert (report.status, report.http_status) == ("refused", 400)
    assert len(emr.seen("GET Observation")) == 2


def test_a_forbidden_search_is_not_made_wider(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Observation", as_json(outcome(), 403))
    assert read(emr, folder).types["Observation"].status == "refused"
    assert len(emr.seen("GET Observation")) == 1


def test_a_long_list_of_codes_goes_by_post(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("POST Procedure/_search", searchset({"resourceType": "Procedure", "id": "1"}))
    report = read(emr, folder)
    assert report.types["Procedure"].status == "complete"
    assert emr.seen("GET Procedure") == []
    codes = emr.seen("POST Procedure/_search")[0].params["code"].split(",")
    assert len(codes) > 300
    assert "385763009" in codes  # hospice care


@pytest.mark.parametrize("status", [400, 404, 405, 415])
def test_without_search_by_post_the_list_goes_in_parts(emr: ScriptedEmr, folder: Path, status: int) -> None:
    emr.on("POST Procedure/_search", Reply(status))
    emr.on("POST ServiceRequest/_search", Reply(status))
    report = read(emr, folder)
    assert report.of_status("complete") >= {"Procedure", "ServiceRequest"}
    parts = emr.seen("GET Procedure?code")
    assert len(parts) > 1
    assert all(len(part.target) < 2000 for part in parts)
    asked = [code for part in parts for code in part.params["code"].split(",")]
    assert len(asked) == len(set(asked)) > 300


def encounter(id: str, place: str, provider: str) -> Json:
    where = [{"location": {"reference": place}}]
    return {
        "resourceType": "Encounter",
        "id": id,
        "location": where,
        "serviceProvider": {"reference": provider},
    }


def test_places_and_specimens_are_read_where_something_refers_to_them(emr: ScriptedEmr, folder: Path) -> None:
    emr.on(
        "GET Encounter",
        searchset(
            encounter("1", "Location/a", "Organization/o/_history/2"),
            encounter("2", f"{emr.base}/Location/b", "https://other.example/fhir/Organization/x"),
            encounter("3", "Location?identifier=a|b", "#contained"),
        ),
    )
    emr.on("GET Observation?code", searchset(observation(specimen={"reference": "Specimen/s"})))
    emr.on("GET Location", searchset({"resourceType": "Location", "id": "a"}))
    report = read(emr, folder)
    assert emr.seen("GET Location")[0].params["_id"] == "a,b"
    assert emr.seen("GET Organization")[0].params["_id"] == "o"
    assert emr.seen("GET Specimen")[0].params["_id"] == "s"
    assert report.complete
    assert landed(folder, "Location") == [{"resourceType": "Location", "id": "a"}]


def test_places_are_not_complete_where_encounters_are_not(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Encounter?_count", searchset(encounter("1", "Location/a", "x"), next="?page=2"))
    emr.on("GET Encounter?page=2", Reply(500))
    report = read(emr, folder)
    assert report.of_status("failed") == {"Encounter", "Location", "Organization"}
    assert "Encounter was not read to its end" in report.types["Location"].reason


def test_odd_lines_land_for_the_sieve_and_break_no_reference(emr: ScriptedEmr, folder: Path) -> None:
    odd = [{"resourceType": "Encounter", "location": "x"}, {"location": [1], "serviceProvider": 3}]
    emr.on("GET Encounter", searchset(*odd))
    assert read(emr, folder).complete
    assert landed(folder, "Encounter") == odd


def test_an_emr_that_is_not_there_fails_the_run_in_one_sentence(folder: Path) -> None:
    with pytest.raises(EmrUnreachable, match=r"no answer from 127\.0\.0\.1:9 to GET metadata"):
        read("http://127.0.0.1:9/fhir", folder)


def test_1B_F40_401_everywhere_fails_the_run_in_one_sentence(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET ", Reply(401))
    emr.on("POST ", Reply(401))
    emr.on("GET metadata", Reply(401))
    with pytest.raises(EmrRefused, match="refused every read with 401") as caught:
        read(emr, folder, credentials=StaticBearer("old"))
    assert caught.value.status == 401
    assert (folder / MANIFEST).exists()


@pytest.mark.parametrize(
    ("reply", "error"), [(Reply(503), EmrUnreachable), (html(), NotFhir), (Reply(404), EmrRefused)]
)
def test_an_address_that_answers_nothing_useful_fails_the_run(
    emr: ScriptedEmr, folder: Path, reply: Reply, error: type[Exception]
) -> None:
    for key in ("GET ", "POST ", "GET metadata"):
        emr.on(key, reply)
    with pytest.raises(error):
        read(emr, folder)


def test_without_metadata_the_pull_goes_on_and_says_so(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET metadata", Reply(401))
    report = read(emr, folder)
    assert report.complete
    assert "what the EMR can do is unknown" in report.notes[0]


def test_without_authentication_nothing_is_asked_of_another_host(folder: Path) -> None:
    with pytest.raises(Misconfigured):
        read("http://emr.example.invalid/fhir", folder)


DIES = """
import asyncio, os, sys
from pathlib import Path
from cm_service.fhir.client import FhirClient
from cm_service.fhir.credentials import NoCredentials
from cm_service.fhir.http import EmrHttp
from cm_service.flow.pull import Source, pull

async def run():
    async with EmrHttp(sys.argv[1], NoCredentials()) as http:
        die = lambda report: report.type == "Patient" and os._exit(9)
        await pull(FhirClient(http), Source("east"), Path(sys.argv[2]), progress=die)

asyncio.run(run())
"""


def test_1B_F57_a_run_that_died_has_pages_and_no_manifest(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Patient?_count", searchset(patient("1"), next="?page=2"))
    died = subprocess.run([sys.executable, "-c", DIES, emr.base, str(folder)], check=False, timeout=60)
    assert died.returncode == 9
    assert landed(folder, "Patient") == [patient("1")]
    assert not (folder / MANIFEST).exists()


def test_old_runs_go_and_the_newest_stay(tmp_path: Path, emr: ScriptedEmr) -> None:
    for number in range(4):
        read(emr, run_folder(tmp_path, "east", f"run-{number}"))
    assert prune(tmp_path / "landing" / "east", keep=2) == 2
    assert sorted(path.name for path in (tmp_path / "landing" / "east").iterdir()) == ["run-2", "run-3"]


def test_1B_F06_a_token_in_a_link_lands_nowhere(emr: ScriptedEmr, folder: Path) -> None:
    emr.on("GET Patient?_count", searchset(patient("1"), next="?access_token=t0ken"))
    emr.on("GET Patient?access", Reply(404))
    read(emr, folder, credentials=StaticBearer("t0ken"))
    assert all(b"t0ken" not in path.read_bytes() for path in folder.iterdir())
