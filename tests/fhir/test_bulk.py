"""The client of `$export` against a server that answers what a test tells it to. Ids as in the fault list."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cm_service.errors import (
    EmrRefused,
    EmrUnreachable,
    ExportBroken,
    ExportGone,
    ExportUnderWay,
    IncompleteAnswer,
    LinkExpired,
)
from cm_service.fhir.bulk import Bulk, File, Manifest
from cm_service.fhir.bulk_files import download, lines_of
from cm_service.fhir.credentials import StaticBearer
from tests.fhir.builders import Waits, ask
from tests.fhir.scripted import Reply, ScriptedEmr, as_json, outcome, scripted_emr

START = dt.datetime(2026, 11, 20, 20, 0, tzinfo=dt.UTC)
TOKEN = "Bearer of-the-night"
T = TypeVar("T")


@pytest.fixture
def emr() -> Iterator[ScriptedEmr]:
    with scripted_emr() as running:
        yield running


def with_bulk(
    emr: ScriptedEmr,
    question: Callable[[Bulk], Awaitable[T]],
    *,
    hours: float = 1,
    waits: Waits | None = None,
    **http: Any,
) -> T:
    """By a clock that only waiting moves."""
    slept = waits or Waits()

    def now() -> dt.datetime:
        return START + dt.timedelta(seconds=slept.clock())

    def asked(client: Any) -> Awaitable[T]:
        until = START + dt.timedelta(hours=hours)
        return question(Bulk(client.http, until=until, clock=now, sleep=slept))

    return ask(emr, asked, waits=slept, credentials=StaticBearer(TOKEN.removeprefix("Bearer ")), **http)


def kick_off(emr: ScriptedEmr, **options: Any) -> str:
    return with_bulk(emr, lambda bulk: bulk.kick_off("Group/g", [("_type", "Patient,Task")]), **options)


def manifest(emr: ScriptedEmr, *, begun: dt.datetime = START, **options: Any) -> Manifest:
    return with_bulk(emr, lambda bulk: bulk.manifest(f"{emr.base}/jobs/1", begun=begun), **options)


def fetched(emr: ScriptedEmr, path: Path, url: str = "", *, lines: int | None = None, **options: Any) -> Any:
    """The lines of a file."""
    with_token = options.pop("with_token", True)
    file = File("Patient", url or f"{emr.base}/files/1", lines)
    with_bulk(emr, lambda bulk: download(bulk, file, path / "file", with_token=with_token), **options)
    return list(lines_of(path / "file"))


def taken(place: str | None) -> Reply:
    return Reply(202, b"", {"Content-Location": place} if place else {})


def still(**headers: str) -> Reply:
    return Reply(202, b"", {name.replace("_", "-"): value for name, value in headers.items()})


def done(**more: Any) -> Reply:
    body = {"transactionTime": "2026-11-20T19:00:00Z", "requiresAccessToken": True, "output": [], "error": []}
    return as_json(body | more)


def failed(status: int, code: str) -> Reply:
    said = outcome()
    said["issue"][0]["code"] = code
    return as_json(said, status)


def ndjson(text: bytes, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(200, text, {"Content-Type": "application/fhir+ndjson"} | named)


def test_a_kick_off_says_what_it_wants_and_that_it_waits(emr: ScriptedEmr) -> None:
    emr.on("GET Group/g/$export", taken(f"{emr.base}/jobs/1"))
    assert kick_off(emr) == f"{emr.base}/jobs/1"
    (request,) = emr.seen("GET Group/g/$export")
    assert request.headers["prefer"] == "respond-async"
    assert request.headers["accept"] == "application/fhir+json"
    assert request.params == {"_type": "Patient,Task"}


@pytest.mark.parametrize("status", [200, 204])
def test_1c_f01_a_kick_off_that_is_answered_otherwise_is_no_export(emr: ScriptedEmr, status: int) -> None:
    emr.on("GET Group/g/$export", Reply(status, b"", {"Content-Location": f"{emr.base}/jobs/1"}))
    with pytest.raises(ExportBroken):
        kick_off(emr)


def test_1c_f01_a_200_that_says_duplicate_is_an_export_under_way(emr: ScriptedEmr) -> None:
    emr.on("GET Group/g/$export", failed(200, "duplicate"))
    with pytest.raises(ExportUnderWay):
        kick_off(emr)


@pytest.mark.parametrize("place", [None, "https://elsewhere.example/jobs/1", "http://u:p@127.0.0.1/jobs"])
def test_1c_f02_an_export_without_a_place_of_its_own_server_is_none(
    emr: ScriptedEmr, place: str | None
) -> None:
    emr.on("GET Group/g/$export", taken(place))
    with pytest.raises(ExportBroken):
        kick_off(emr)


def test_1c_f02_a_relative_place_is_understood(emr: ScriptedEmr) -> None:
    emr.on("GET Group/g/$export", taken("/fhir/jobs/1"))
    assert kick_off(emr) == f"{emr.base}/jobs/1"


def test_1c_f03_a_node_that_does_not_know_it_yet_is_asked_again(emr: ScriptedEmr) -> None:
    emr.on("GET jobs/1", failed(404, "not-found"), still(), done())
    assert manifest(emr).output == ()


def test_1c_f03_an_export_that_is_not_known_any_more_is_no_empty_one(emr: ScriptedEmr) -> None:
    emr.on("GET jobs/1", failed(404, "not-found"))
    with pytest.raises(ExportGone):
        manifest(emr, begun=START - dt.timedelta(hours=1))
    assert len(emr.seen("GET jobs/1")) == 1


def test_1c_f04_a_transient_error_is_asked_again(emr: ScriptedEmr) -> None:
    emr.on("GET jobs/1", failed(500, "transient"), failed(400, "transient"), done())
    assert manifest(emr).with_token


def test_1c_f05_a_bare_500_may_be_a_proxys_and_is_not_believed_for_ever(emr: ScriptedEmr) -> None:
    emr.on("GET jobs/1", Reply(500), Reply(502), done())
    assert manifest(emr).output == ()
    emr.on("GET jobs/1", Reply(500))
    with pytest.raises(EmrRefused):
        manifest(emr)


def test_1c_f05_an_export_that_failed_is_not_asked_again(emr: ScriptedEmr) -> None:
    emr.on("GET jobs/1", failed(500, "exception"))
    with pytest.raises(EmrRefused):
        manifest(emr)
    assert len(emr.seen("GET jobs/1")) == 1


def test_1c_f06_an_export_that_takes_for_ever_costs_a_night_only_its_time(emr: ScriptedEmr) -> None:
    emr.on("GET jobs/1", still())
    waits = Waits()
    with pytest.raises(ExportUnderWay):
        manifest(emr, hours=4, waits=waits)
    assert 3.8 * 3600 < waits.clock() <= 4 * 3600
    assert len(emr.seen("GET jobs/1")) < 70


def test_1c_f07_what_an_emr_writes_of_its_progress_is_not_quoted(emr: ScriptedEmr) -> None:
    emr.on("GET jobs/1", still(X_Progress="now at Jane Doe, 31% of all"))
    with pytest.raises(ExportUnderWay) as told:
        manifest(emr)
    assert "31%" in str(told.value) and "Jane" not in str(told.value)


@pytest.mark.parametrize(
    ("said", "waited"),
    [
        ("0", 1),
        ("90", 90),
        ("Fri, 20 Nov 2026 20:01:00 GMT", 60),
        ("Fri, 20 Nov 2026 19:00:00 GMT", 2),
        (str(int(START.timestamp()) + 45), 45),
        (str(int(START.timestamp() + 45) * 1000), 45),
        ("soon", 2),
        ("-5", 2),
    ],
)
def test_1c_f08_a_retry_after_is_obeyed_however_it_is_written(
    emr: ScriptedEmr, said: str, waited: float
) -> None:
    emr.on("GET jobs/1", still(Retry_After=said), done())
    waits = Waits()
    manifest(emr, waits=waits)
    assert waits.seconds == [waited]


def test_1c_f08_nobody_waits_longer_than_he_was_told(emr: ScriptedEmr) -> None:
    emr.on("GET jobs/1", still(Retry_After="86400"), done())
    waits = Waits()
    with pytest.raises(ExportUnderWay):
        manifest(emr, waits=waits)
    assert waits.seconds == []


def test_1c_f09_a_storm_of_429_ends_the_waiting_and_not_the_export(emr: ScriptedEmr) -> None:
    emr.on("GET jobs/1", failed(429, "throttled"))
    emr.on("GET Group/g/$export", failed(429, "throttled"))
    for asked in (manifest, kick_off):
        with pytest.raises(ExportUnderWay):
            asked(emr)
    assert len(emr.seen("GET")) < 60


def test_1c_f12_a_file_that_is_listed_twice_is_one(emr: ScriptedEmr) -> None:
    entry = {"type": "Patient", "url": f"{emr.base}/files/1", "count": 1}
    emr.on("GET jobs/1", done(output=[entry, entry]))
    assert len(manifest(emr).output) == 1


def test_a_manifest_of_several_pages_is_one(emr: ScriptedEmr) -> None:
    entries = [{"type": "Patient", "url": f"files/{number}"} for number in range(2)]
    link = [{"relation": "next", "url": f"{emr.base}/jobs/1?page=2"}]
    emr.on("GET jobs/1", done(output=entries[:1], link=link, transactionTime="2026-11-20T19:30:00Z"))
    emr.on("GET jobs/1?page=2", done(output=entries[1:]))
    found = manifest(emr)
    assert [file.url for file in found.output] == [f"{emr.base}/jobs/files/{number}" for number in range(2)]
    assert found.moment == START - dt.timedelta(hours=1)


def test_1c_f13_a_file_elsewhere_never_sees_our_token(emr: ScriptedEmr, tmp_path: Path) -> None:
    with scripted_emr() as store:
        store.on("GET files/1", ndjson(b"{}\n"))
        assert fetched(emr, tmp_path, f"{store.base}/files/1", with_token=False) == [b"{}"]
        (request,) = store.requests
        assert "authorization" not in request.headers
        with pytest.raises(ExportBroken):
            fetched(emr, tmp_path, f"{store.base}/files/1", with_token=True)
        assert len(store.requests) == 1


def test_1c_f13_a_redirect_to_a_store_of_files_leaves_the_token_behind(
    emr: ScriptedEmr, tmp_path: Path
) -> None:
    with scripted_emr() as store:
        store.on("GET files/1", ndjson(b"{}\n"))
        emr.on("GET files/1", Reply(307, b"", {"Location": f"{store.base}/files/1"}))
        assert fetched(emr, tmp_path) == [b"{}"]
        assert emr.requests[0].headers["authorization"] == TOKEN
        assert "authorization" not in store.requests[0].headers


def test_1c_f13_no_token_goes_where_none_is_required(emr: ScriptedEmr, tmp_path: Path) -> None:
    emr.on("GET files/1", ndjson(b"{}\n"))
    fetched(emr, tmp_path, with_token=False)
    assert "authorization" not in emr.requests[0].headers


@pytest.mark.parametrize(
    "url", ["http://files.example/1", "https://169.254.169.254/1", "https://10.0.0.1/1", "ftp://x/1", "//"]
)
def test_1c_f13_a_file_inside_our_walls_is_not_asked_for(emr: ScriptedEmr, tmp_path: Path, url: str) -> None:
    with pytest.raises(ExportBroken):
        fetched(emr, tmp_path, url, with_token=False)
    assert emr.requests == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_1c_f14_an_address_that_expired_is_no_empty_file(
    emr: ScriptedEmr, tmp_path: Path, status: int
) -> None:
    emr.on("GET files/1", Reply(status))
    with pytest.raises(LinkExpired):
        fetched(emr, tmp_path)


ONE, TWO = b'{"resourceType":"Patient","id":"1"}', b'{"resourceType":"Patient","id":"2"}'


@pytest.mark.parametrize(
    "reply",
    [
        ndjson(ONE + b"\n" + TWO + b"\n"),
        ndjson(ONE + b"\n" + TWO),
        ndjson(ONE + b"\r\n\r\n" + TWO + b"\r\n"),
        ndjson(b"\xef\xbb\xbf" + ONE + b"\n\n  \n" + TWO + b"\n"),
        ndjson(gzip.compress(ONE + b"\n" + TWO + b"\n"), Content_Encoding="gzip"),
        ndjson(gzip.compress(ONE + b"\n" + TWO + b"\n")),
        ndjson(ONE + b"\n" + TWO + b"\n", Content_Encoding="gzip"),
        ndjson(ONE + b"\n" + TWO + b"\n", Content_Type="application/ndjson"),
    ],
    ids=["plain", "no end", "CRLF", "BOM", "zipped", "zipped unsaid", "zipped by name only", "other type"],
)
def test_1c_f15_lines_are_lines_however_they_are_wrapped(
    emr: ScriptedEmr, tmp_path: Path, reply: Reply
) -> None:
    emr.on("GET files/1", reply)
    assert fetched(emr, tmp_path, lines=2) == [ONE, TWO]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


CUT = {
    "in a line": Reply(200, ONE + b"\n" + TWO[:20]),
    "at a line": Reply(200, ONE + b"\n"),
    "on the wire": Reply(200, ONE + b"\n" + TWO + b"\n", cut=40),
    "in the zip": Reply(200, gzip.compress(ONE + b"\n" + TWO + b"\n")[:-9]),
}


@pytest.mark.parametrize("how", CUT)
def test_1c_f15_half_a_file_is_none(emr: ScriptedEmr, tmp_path: Path, how: str) -> None:
    emr.on("GET files/1", CUT[how])
    with pytest.raises(IncompleteAnswer):
        fetched(emr, tmp_path, lines=2)


@pytest.mark.parametrize("how", CUT)
def test_1c_f15_a_cut_file_is_asked_for_again(emr: ScriptedEmr, tmp_path: Path, how: str) -> None:
    emr.on("GET files/1", CUT[how], Reply(503), ndjson(ONE + b"\n" + TWO + b"\n"))
    assert fetched(emr, tmp_path, lines=2) == [ONE, TWO]


def test_1c_f15_one_line_may_be_very_long(emr: ScriptedEmr, tmp_path: Path) -> None:
    line = json.dumps({"resourceType": "Patient", "id": "x" * 50_000_000}).encode()
    emr.on("GET files/1", ndjson(gzip.compress(line + b"\n", compresslevel=1)))
    assert fetched(emr, tmp_path, lines=1, timeout_seconds=60.0) == [line]


def test_a_file_that_never_comes_is_no_hole_without_a_word(emr: ScriptedEmr, tmp_path: Path) -> None:
    emr.on("GET files/1", Reply(503))
    with pytest.raises(EmrUnreachable):
        fetched(emr, tmp_path)


def test_an_emr_that_does_not_delete_keeps_nobody(emr: ScriptedEmr) -> None:
    for reply in (Reply(202), Reply(404), Reply(500), Reply(reset=True)):
        emr.on("DELETE jobs/1", reply)
        with_bulk(emr, lambda bulk: bulk.delete(f"{emr.base}/jobs/1"))
