"""Reading over a bad line: what is tried again, what is not, and what the operator is told."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from cm_service.errors import AnswerTooBig, EmrRefused, EmrUnreachable, Misconfigured, NotFhir
from cm_service.fhir.client import FhirClient
from cm_service.fhir.credentials import StaticBearer
from tests.fhir.builders import Waits, ask, lines, observation, pages
from tests.fhir.scripted import Reply, Request, ScriptedEmr, as_json, html, outcome, searchset

GOOD = searchset(observation())


def test_a_search_sends_what_a_fhir_server_wants_to_hear(emr: ScriptedEmr) -> None:
    pages(emr, credentials=StaticBearer("t0ken"))
    sent = emr.requests[0].headers
    assert sent["accept"] == "application/fhir+json"
    assert sent["prefer"] == "handling=strict"
    assert sent["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize("status", [408, 425, 500, 502, 504])
def test_1B_F44_a_status_that_may_pass_is_tried_again(emr: ScriptedEmr, status: int) -> None:
    emr.on("GET Observation", as_json(outcome(), status), GOOD)
    assert len(lines(emr)) == 1


def test_a_status_that_does_not_end_is_named_after_the_last_try(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", as_json(outcome(), 502))
    with pytest.raises(EmrUnreachable, match="answered 502 to search of Observation") as caught:
        lines(emr, attempts=3)
    assert caught.value.status == 502
    assert len(emr.requests) == 3


@pytest.mark.parametrize(
    ("said", "waited"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "Fri, 20 Nov 2026 20:00:09 GMT"}, 9.0),
        ({"Retry-After": "1795204811"}, 11.0),
    ],
)
def test_1B_F42_the_wait_that_a_429_asks_for_is_kept(
    emr: ScriptedEmr, said: dict[str, str], waited: float
) -> None:
    emr.on("GET Observation", Reply(429, headers=said), GOOD)
    waits = Waits()
    assert len(lines(emr, waits=waits)) == 1
    assert sum(waits.seconds) == waited


@pytest.mark.parametrize(
    "said", ["soon", "-5", "nan", "inf", "Fri, 20 Nov 2020 20:00:09 GMT", "99999999999999", None]
)
def test_1B_F42_a_retry_after_that_makes_no_sense_falls_back_to_our_own_wait(
    emr: ScriptedEmr, said: str | None
) -> None:
    emr.on("GET Observation", Reply(429, headers={"Retry-After": said} if said else {}), GOOD)
    waits = Waits()
    assert len(lines(emr, waits=waits)) == 1
    assert 0.3 < waits.seconds[0] < 0.7


def test_1B_F43_a_503_with_retry_after_is_waited_for(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", Reply(503, headers={"Retry-After": "3"}), GOOD)
    waits = Waits()
    assert len(lines(emr, waits=waits)) == 1
    assert waits.seconds == [3.0]


def test_1B_F39_one_401_is_answered_with_renewed_credentials(emr: ScriptedEmr) -> None:
    kept = iter(("stale", "fresh"))  # a file that somebody renews while a night runs
    emr.on("GET Observation", Reply(401), GOOD)
    assert len(lines(emr, credentials=StaticBearer(lambda: next(kept)))) == 1
    assert [r.headers["authorization"] for r in emr.requests] == ["Bearer stale", "Bearer fresh"]


@pytest.mark.parametrize(("renewable", "requests"), [(True, 2), (False, 1)])
def test_1B_F40_a_401_that_stays_is_a_refusal_and_is_not_hammered(
    emr: ScriptedEmr, renewable: bool, requests: int
) -> None:
    class Credentials(StaticBearer):
        async def renew(self, rejected: str | None) -> bool:
            return renewable

    emr.on("GET Observation", Reply(401))
    with pytest.raises(EmrRefused, match="refused search of Observation with 401"):
        lines(emr, credentials=Credentials("t0ken"))
    assert len(emr.requests) == requests


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 422, 501])
def test_1B_F41_a_refusal_is_asked_for_once(emr: ScriptedEmr, status: int) -> None:
    emr.on("GET Observation", as_json(outcome(text="Patient Maria Meyer"), status))
    with pytest.raises(EmrRefused) as caught:
        lines(emr)
    assert caught.value.status == status
    assert "Maria" not in str(caught.value)
    assert "Maria" in caught.value.outcome
    assert len(emr.requests) == 1


def test_1B_F45_a_reset_in_the_middle_of_a_body_is_read_again(emr: ScriptedEmr) -> None:
    broken = as_json({"resourceType": "Bundle", "type": "searchset"})
    broken.cut = 10
    emr.on("GET Observation", broken, Reply(reset=True), GOOD)
    assert len(lines(emr)) == 1


def test_1B_F34_a_body_shorter_than_its_length_is_read_again(emr: ScriptedEmr) -> None:
    short = as_json({"resourceType": "Bundle", "type": "searchset"})
    short.length = 5000
    emr.on("GET Observation", short, GOOD)
    assert len(lines(emr)) == 1
    assert len(emr.requests) == 2


def test_1B_F46_a_body_that_drips_does_not_hold_us_for_ever(emr: ScriptedEmr) -> None:
    slow = as_json({"resourceType": "Bundle", "type": "searchset"})
    slow.drip = 0.05
    emr.on("GET Observation", slow)
    began = time.monotonic()
    with pytest.raises(EmrUnreachable, match="it took too long"):
        lines(emr, timeout_seconds=0.2, attempts=2)
    assert time.monotonic() - began < 2


def test_1B_F47_a_304_that_nobody_asked_for_is_no_answer(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", Reply(304))
    with pytest.raises(EmrRefused, match="304"):
        lines(emr)


def test_a_redirect_is_never_followed_so_the_token_stays_here(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", Reply(302, headers={"Location": f"{emr.base}/elsewhere"}))
    with pytest.raises(EmrRefused, match="redirects search of Observation"):
        lines(emr, credentials=StaticBearer("t0ken"))
    assert emr.seen("GET elsewhere") == []


def test_an_emr_that_is_not_there_is_unreachable_in_one_sentence() -> None:
    with pytest.raises(EmrUnreachable, match=r"no answer from 127\.0\.0\.1:9 to GET metadata: no connection"):
        ask("http://127.0.0.1:9/fhir", lambda client: client.capability(), attempts=2)


def test_without_authentication_nothing_leaves_for_another_host() -> None:
    with pytest.raises(Misconfigured, match="loopback only"):
        ask("http://emr.example.invalid/fhir", lambda client: client.capability())


@pytest.mark.parametrize("host", ["127.0.0.1.example.org", "localhost.example.org", "10.0.0.1", "0.0.0.0"])
def test_a_host_that_only_looks_like_loopback_is_none(host: str) -> None:
    with pytest.raises(Misconfigured, match="loopback only"):
        ask(f"http://{host}/fhir", lambda client: client.capability())


@pytest.mark.parametrize(
    "base", ["ftp://emr/fhir", "http://user:secret@emr/fhir", "http://emr/fhir?x=1", "emr", ""]
)
def test_a_base_url_with_anything_beside_host_and_path_is_refused(base: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        ask(base, lambda client: client.capability())
    assert "secret" not in str(caught.value)


def test_no_more_requests_run_at_once_than_allowed(emr: ScriptedEmr) -> None:
    running, most = [0], [0]

    def counted(request: Request) -> Reply:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.05)
        running[0] -= 1
        return GOOD(request)

    emr.on("GET Observation", counted)

    async def many(client: FhirClient) -> None:
        async def one() -> None:
            async for _ in client.search("Observation", []):
                pass

        await asyncio.gather(*(one() for _ in range(8)))

    ask(emr, many, concurrency=3)
    assert most[0] == 3


def test_no_log_and_no_error_holds_a_query_or_a_token(
    emr: ScriptedEmr, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    emr.on("GET Observation", Reply(403))
    with pytest.raises(EmrRefused) as caught:
        lines(emr, params=[("patient", "Meyer-1944")], credentials=StaticBearer("t0ken"))
    told = caplog.text + str(caught.value) + "".join(capsys.readouterr())
    assert "Meyer" not in told
    assert "t0ken" not in told


def test_1B_F31_an_html_page_with_status_200_is_tried_again(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", html(), GOOD)
    assert len(lines(emr)) == 1


def test_1B_F31_an_html_page_that_stays_is_named(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", html())
    with pytest.raises(NotFhir, match="search of Observation: the body is an HTML page"):
        lines(emr)


def test_a_body_over_the_cap_is_not_asked_for_again(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", searchset(observation(note=[{"text": "x" * 5000}])))
    with pytest.raises(AnswerTooBig, match="larger than 1000 bytes"):
        lines(emr, max_body_bytes=1000)
    assert len(emr.requests) == 1


def test_a_resource_is_read_with_its_decimals(emr: ScriptedEmr) -> None:
    body = b'{"resourceType":"Goal","id":"g","target":[{"detailQuantity":{"value":7.00}}]}'
    emr.on("GET Goal/g", Reply(200, body, {"Content-Type": "application/fhir+json"}))
    goal: dict[str, Any] = ask(emr, lambda client: client.read("Goal", "g"))
    assert str(goal["target"][0]["detailQuantity"]["value"]) == "7.00"


@pytest.mark.parametrize("status", [404, 410])
def test_deleted_and_unknown_are_told_apart(emr: ScriptedEmr, status: int) -> None:
    emr.on("GET Goal/g", as_json(outcome(), status))
    with pytest.raises(EmrRefused) as caught:
        ask(emr, lambda client: client.read("Goal", "g"))
    assert caught.value.status == status


def test_another_resource_than_the_one_asked_for_is_no_answer(emr: ScriptedEmr) -> None:
    emr.on("GET Goal/g", as_json({"resourceType": "Task", "id": "g"}))
    with pytest.raises(NotFhir, match="no Goal"):
        ask(emr, lambda client: client.read("Goal", "g"))
