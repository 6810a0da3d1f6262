"""A write goes out once, and only what an answer proves is believed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cm_service.errors import (
    EmrBusy,
    EmrRefused,
    EmrUnreachable,
    FilterDropped,
    Misconfigured,
    WriteConflict,
    WriteOutcomeUnknown,
)
from cm_service.fhir import rawjson
from cm_service.fhir.writes import WriteResult
from tests.fhir.builders import ask, task
from tests.fhir.scripted import Reply, ScriptedEmr, as_json, bundle, html, outcome, searchset

SYSTEM = "https://cm.example/id/task"
STORED = task(id="7", meta={"versionId": "3"})


def create(emr: ScriptedEmr | str, *, if_none_exist: str | None = None, **http: Any) -> WriteResult:
    return ask(emr, lambda client: client.create(task(), if_none_exist=if_none_exist), **http)


def update(emr: ScriptedEmr, *, if_match: str | None = None) -> WriteResult:
    return ask(emr, lambda client: client.update(task(id="7"), if_match=if_match))


def test_a_create_sends_its_condition_and_asks_for_what_was_stored(emr: ScriptedEmr) -> None:
    emr.on("POST Task", as_json(STORED, 201, Location=f"{emr.base}/Task/7/_history/3", ETag='W/"3"'))
    result = create(emr, if_none_exist=f"identifier={SYSTEM}|abc")
    assert (result.status, result.id, result.version, result.etag) == (201, "7", "3", 'W/"3"')
    assert result.body == STORED
    sent = emr.requests[0].headers
    assert sent["if-none-exist"] == f"identifier={SYSTEM}|abc"
    assert sent["prefer"] == "return=representation"
    assert sent["content-type"] == "application/fhir+json"


@pytest.mark.parametrize(
    ("location", "version"),
    [
        ("http://inner.host:8080/x/Task/7/_history/3", "3"),
        ("Task/7/_history/3", "3"),
        ("Task/7", None),
        ("/fhir/Task/7/", None),
        ("http://emr/fhir/Task/7/_history/2026-11-20T20:00:00.000Z", "2026-11-20T20:00:00.000Z"),
    ],
)
def test_2_F10_an_empty_201_is_understood_by_its_location(
    emr: ScriptedEmr, location: str, version: str | None
) -> None:
    emr.on("POST Task", Reply(201, headers={"Location": location}))
    result = create(emr)
    assert (result.id, result.version, result.body) == ("7", version, None)


def test_an_id_of_88_characters_is_an_id(emr: ScriptedEmr) -> None:
    long = "e" + "x" * 87
    emr.on("POST Task", Reply(201, headers={"Location": f"Task/{long}"}))
    assert create(emr).id == long


def test_a_200_after_a_conditional_create_says_that_it_was_there_already(emr: ScriptedEmr) -> None:
    emr.on("POST Task", as_json(STORED, 200))
    result = create(emr, if_none_exist="identifier=a|b")
    assert (result.status, result.id, result.version) == (200, "7", "3")


def test_a_bare_200_after_a_conditional_create_is_looked_up(emr: ScriptedEmr) -> None:
    """Azure's server answers so (microsoft/fhir-server 2431)."""
    emr.on("POST Task", Reply(200))
    with pytest.raises(WriteOutcomeUnknown, match="does not say what was done"):
        create(emr, if_none_exist="identifier=a|b")


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(reset=True), id="2_F01_reset"),
        pytest.param(as_json(outcome(), 500), id="500"),
        pytest.param(as_json(outcome(), 502), id="502"),
        pytest.param(as_json(outcome(), 504), id="504"),
        pytest.param(Reply(503), id="503_that_promises_nothing"),
        pytest.param(Reply(408), id="408"),
        pytest.param(Reply(302, headers={"Location": "/login"}), id="redirect"),
        pytest.param(Reply(202), id="accepted_is_not_done"),
        pytest.param(html(), id="html_with_200"),
        pytest.param(as_json(outcome(), 200), id="an_error_with_200"),
        pytest.param(Reply(201, b'{"resourceType":"Task","id":"7"', length=900), id="cut_body"),
        pytest.param(
            Reply(201, b'{"resourceType":"Ta', {"Content-Type": "application/json"}), id="half_json"
        ),
        pytest.param(as_json({"resourceType": "Patient", "id": "7"}, 201), id="another_resource"),
    ],
)
def test_an_answer_that_proves_nothing_is_unknown_and_is_not_sent_again(
    emr: ScriptedEmr, reply: Reply
) -> None:
    emr.on("POST Task", reply)
    with pytest.raises(WriteOutcomeUnknown, match="POST Task"):
        create(emr)
    assert len(emr.requests) == 1


def test_a_write_that_takes_too_long_is_unknown(emr: ScriptedEmr) -> None:
    emr.on("POST Task", Reply(201, headers={"Location": "Task/7"}, delay=0.6))
    with pytest.raises(WriteOutcomeUnknown, match="it took too long"):
        create(emr, timeout_seconds=0.2)
    assert len(emr.requests) == 1


def test_a_cut_body_after_a_location_is_known_to_be_written(emr: ScriptedEmr) -> None:
    emr.on("POST Task", Reply(201, b'{"resourceType', {"Location": "Task/7/_history/1"}, length=900))
    assert create(emr).id == "7"


def test_a_connection_that_never_was_means_nothing_was_sent() -> None:
    with pytest.raises(EmrUnreachable, match="no connection"):
        create("http://127.0.0.1:9/fhir")


def test_without_authentication_no_write_leaves_for_another_host() -> None:
    with pytest.raises(Misconfigured, match="loopback only"):
        create("http://emr.example.invalid/fhir")


@pytest.mark.parametrize("status", [409, 412])
def test_409_and_412_are_the_same_conflict(emr: ScriptedEmr, status: int) -> None:
    emr.on("PUT Task/7", as_json(outcome(), status))
    emr.on("POST Task", as_json(outcome(), status))
    with pytest.raises(WriteConflict):
        update(emr, if_match='W/"3"')
    with pytest.raises(WriteConflict):
        create(emr)


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [(429, {}, None), (429, {"Retry-After": "9"}, 9), (503, {"Retry-After": "9"}, 9)],
)
def test_2_F27_a_busy_emr_took_nothing_and_says_when_to_come_back(
    emr: ScriptedEmr, status: int, headers: dict[str, str], wait: float | None
) -> None:
    emr.on("POST Task", Reply(status, headers=headers))
    with pytest.raises(EmrBusy) as caught:
        create(emr)
    assert caught.value.retry_after == wait
    assert len(emr.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406, 410, 413, 415, 422, 501])
def test_a_no_is_a_no_and_its_words_stay_off_the_message(emr: ScriptedEmr, status: int) -> None:
    said = outcome("error", "59189 Reading already exists for Maria Meyer")
    emr.on("POST Task", as_json(said, status))
    with pytest.raises(EmrRefused, match=f"refused POST Task with {status}") as caught:
        create(emr)
    assert "Maria" not in str(caught.value)
    assert caught.value.outcome == "error 59189 Reading already exists for Maria Meyer"
    assert len(emr.requests) == 1


def test_an_update_carries_the_etag_as_given_and_learns_the_next(emr: ScriptedEmr) -> None:
    emr.on("PUT Task/7", as_json(STORED, 200, ETag='"4"'))
    result = update(emr, if_match='W/"3"')
    assert emr.requests[0].headers["if-match"] == 'W/"3"'
    assert (result.version, result.etag) == ("4", '"4"')


@pytest.mark.parametrize("reply", [Reply(200), Reply(204), as_json(outcome("information"))])
def test_an_update_may_be_answered_without_the_resource(emr: ScriptedEmr, reply: Reply) -> None:
    emr.on("PUT Task/7", reply)
    result = update(emr)
    assert (result.id, result.version, result.body) == ("7", None, None)
    assert "if-match" not in emr.requests[0].headers


@pytest.mark.parametrize(
    "reply", [html(), as_json(outcome(), 200), Reply(200, b'{"resourceType":"Task"', length=99)]
)
def test_an_update_with_an_answer_that_cannot_be_read_is_unknown(emr: ScriptedEmr, reply: Reply) -> None:
    emr.on("PUT Task/7", reply)
    with pytest.raises(WriteOutcomeUnknown):
        update(emr)


def test_2_F19_a_version_that_is_no_number_is_a_version(emr: ScriptedEmr) -> None:
    emr.on("PUT Task/7", as_json(task(id="7", meta={"versionId": "a-b-c"})))
    assert update(emr).version == "a-b-c"


def test_a_clinicians_decimals_and_unknown_elements_go_back_as_they_came(emr: ScriptedEmr) -> None:
    theirs = (
        b'{"resourceType":"Goal","id":"g","x-vendor":{"y":[1.00,0.10]},"n":123456789012345678901234567890}'
    )
    emr.on("PUT Goal/g", Reply(200))
    ask(emr, lambda client: client.update(rawjson.loads(theirs)))
    assert emr.requests[0].body == theirs


def test_a_decimal_is_sent_with_the_digits_it_has() -> None:
    assert rawjson.dumps({"value": Decimal("7.00")}) == b'{"value":7.00}'


def test_what_is_ours_is_found_by_its_identifier_past_every_cache(emr: ScriptedEmr) -> None:
    ours = task(id="7", identifier=[{"system": SYSTEM, "value": "a"}])
    emr.on("GET Task", searchset(ours))
    assert ask(emr, lambda client: client.find_by_identifier("Task", SYSTEM, "a")) == [ours]
    assert emr.requests[0].headers["cache-control"] == "no-cache"
    assert emr.requests[0].params["identifier"] == f"{SYSTEM}|a"


def test_2_F05_a_lookup_that_brings_others_is_not_believed(emr: ScriptedEmr) -> None:
    emr.on("GET Task", as_json(bundle(task(id="8", identifier=[{"system": SYSTEM, "value": "b"}]))))
    with pytest.raises(FilterDropped, match="ignored the identifier"):
        ask(emr, lambda client: client.find_by_identifier("Task", SYSTEM, "a"))


def test_nothing_found_and_not_asked_are_told_apart(emr: ScriptedEmr) -> None:
    emr.on("GET Task", searchset())
    assert ask(emr, lambda client: client.find_by_identifier("Task", SYSTEM, "a")) == []
    emr.on("GET Task", as_json(bundle(self_link="http://emr/fhir/Task")))
    with pytest.raises(FilterDropped):
        ask(emr, lambda client: client.find_by_identifier("Task", SYSTEM, "a"))


def test_the_separators_of_a_token_are_escaped(emr: ScriptedEmr) -> None:
    ours = task(id="7", identifier=[{"system": SYSTEM, "value": "a|b,c"}])
    emr.on("GET Task", as_json(bundle(ours)))
    assert ask(emr, lambda client: client.find_by_identifier("Task", SYSTEM, "a|b,c")) == [ours]
    assert emr.requests[0].params["identifier"] == f"{SYSTEM}|a\\|b\\,c"
