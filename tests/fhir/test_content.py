"""What stands inside an answer: odd content passes through untouched, no content is a failure."""

from __future__ import annotations

import json

import pytest

from cm_service.errors import AnswerTooBig, NotFhir
from tests.fhir.builders import lines, observation, pages
from tests.fhir.scripted import Reply, ScriptedEmr, as_json, bundle, outcome, searchset, zipped

JSON = {"Content-Type": "application/fhir+json"}


def raw_page(resource: bytes) -> Reply:
    body = b'{"resourceType":"Bundle","type":"searchset","entry":[{"resource":' + resource + b"}]}"
    return Reply(200, body, dict(JSON))


def test_1B_F16_a_warning_of_the_emr_is_no_data(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", searchset(observation(), outcome("warning")))
    page = pages(emr)[0]
    assert len(page.resources) == 1
    assert (page.warned, page.failed) == (1, 0)


def test_1B_F16_an_error_inside_a_good_answer_is_counted_as_a_failure(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", searchset(observation(), outcome("fatal")))
    assert pages(emr)[0].failed == 1


def test_1B_F17_an_operation_outcome_as_the_whole_body_is_no_searchset(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", as_json(outcome("error", "Maria Meyer")))
    with pytest.raises(NotFhir, match="an OperationOutcome in place of a searchset") as caught:
        lines(emr)
    assert "Maria" not in str(caught.value)


@pytest.mark.parametrize("kind", ["collection", "batch-response", "history", None])
def test_only_a_searchset_answers_a_search(emr: ScriptedEmr, kind: str | None) -> None:
    emr.on("GET Observation", as_json(bundle(observation(), type=kind)))
    with pytest.raises(NotFhir, match="another Bundle"):
        lines(emr)


@pytest.mark.parametrize("empty", [b"null", b"{}"])
def test_1B_F18_an_entry_without_a_resource_is_counted(emr: ScriptedEmr, empty: bytes) -> None:
    emr.on("GET Observation", raw_page(empty))
    assert pages(emr)[0].hollow == 1


def test_1B_F18_an_entry_with_nothing_but_its_url_is_counted(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", searchset(observation(), None))
    assert pages(emr)[0].hollow == 1


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(b'{"resourceType":"Basic","id":"b"}', id="1B_F19_wrong_type"),
        pytest.param(b'{"resourceType":"Observation"}', id="1B_F20_no_id"),
        pytest.param(b'{"resourceType":"Observation","id":7}', id="a_number_as_id"),
        pytest.param(b'{"resourceType":"Observation","id":"o"}', id="1B_F21_no_meta"),
        pytest.param(b'{"id":"o","meta":{"lastUpdated":"2126-01-01T00:00:00Z"}}', id="1B_F22_future"),
        pytest.param(b'{"id":"o","meta":{"lastUpdated":"2026-01-01T00:00:00.123456789Z"}}', id="1B_F23"),
        pytest.param(b'{"id":"o","issued":"2026-01-01T00:00:00+05:30"}', id="1B_F24_offset"),
        pytest.param(b'{"id":"o","issued":"2016-12-31T23:59:60Z"}', id="1B_F25_leap_second"),
        pytest.param(b'{"id":"o","valueQuantity":{"value":1.00}}', id="1B_F26_trailing_zeros"),
        pytest.param(b'{"id":"o","valueQuantity":{"value":1e400}}', id="1B_F26_huge"),
        pytest.param(b'{"id":"o","status":"final","status":"amended"}', id="1B_F27_duplicate_keys"),
        pytest.param(b'{"id":"o","contained":[{"resourceType":"Patient","id":"p"}]}', id="1B_F37_contained"),
        pytest.param(b'{"id":"o","subject":{"reference":"https://other/Patient/1"}}', id="1B_F38_elsewhere"),
        pytest.param(b'["no","object"]', id="no_object"),
        pytest.param(b'"text"', id="a_string"),
    ],
)
def test_odd_content_is_handed_on_byte_for_byte_for_the_sieve_to_judge(
    emr: ScriptedEmr, resource: bytes
) -> None:
    emr.on("GET Observation", raw_page(resource))
    assert lines(emr) == [resource]


def test_a_resource_written_over_several_lines_becomes_one(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", raw_page(b'{\r\n  "id": "o",\n  "note": "a\\nb"\n}'))
    (line,) = lines(emr)
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line) == {"id": "o", "note": "a\nb"}


def test_1B_F28_a_byte_order_mark_is_taken_off(emr: ScriptedEmr) -> None:
    page = raw_page(b'{"id":"o"}')
    page.body = b"\xef\xbb\xbf" + page.body
    emr.on("GET Observation", page)
    assert lines(emr) == [b'{"id":"o"}']


def test_a_gzipped_answer_is_read(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", zipped(raw_page(b'{"id":"o"}').body))
    assert lines(emr) == [b'{"id":"o"}']
    assert emr.requests[0].headers["accept-encoding"] == "gzip"


def test_1B_F29_a_gzip_bomb_is_stopped_at_the_cap(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", zipped(b" " * 50_000_000))
    with pytest.raises(AnswerTooBig, match="larger than 1000000 bytes"):
        lines(emr, max_body_bytes=1_000_000)
    assert len(emr.requests) == 1


def test_a_gzip_body_that_was_cut_or_is_none_is_named(emr: ScriptedEmr) -> None:
    cut = zipped(raw_page(b'{"id":"o"}').body)
    cut.body = cut.body[:-12]
    emr.on("GET Observation", cut)
    with pytest.raises(NotFhir, match="gzip body was cut"):
        lines(emr)
    emr.on("GET Observation", Reply(200, b"plain", JSON | {"Content-Encoding": "gzip"}))
    with pytest.raises(NotFhir, match="gzip body is broken"):
        lines(emr)


def test_a_content_encoding_that_we_did_not_ask_for_is_named(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", Reply(200, b"??", JSON | {"Content-Encoding": "br"}))
    with pytest.raises(NotFhir, match="content encoding"):
        lines(emr)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b'{"resourceType":"Bundle","x":"\xff"}', "no UTF-8", id="1B_F30_invalid_utf8"),
        pytest.param(b"", "the body is empty", id="1B_F32_empty"),
        pytest.param(b"  \n", "the body is empty", id="1B_F32_blank"),
        pytest.param(b'{"resourceType":"Bundle","type":"sea', "no FHIR JSON", id="1B_F33_truncated"),
        pytest.param(b'{"resourceType":"Bundle","x":NaN}', "no FHIR JSON", id="not_a_number"),
        pytest.param(b'{"resourceType":"Bundle","entry":{}}', "no FHIR JSON", id="entry_is_no_list"),
        pytest.param(b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "nested too deeply", id="deep"),
        pytest.param(b'<Bundle xmlns="http://hl7.org/fhir"/>', "HTML page", id="xml"),
        pytest.param(b"[]", "no FHIR JSON", id="a_list"),
    ],
)
def test_a_body_that_cannot_be_read_is_named_and_not_quoted(
    emr: ScriptedEmr, body: bytes, words: str
) -> None:
    emr.on("GET Observation", Reply(200, body, dict(JSON)))
    with pytest.raises(NotFhir, match=words):
        lines(emr)


def test_an_empty_searchset_is_a_good_answer(emr: ScriptedEmr) -> None:
    for page in ({"resourceType": "Bundle", "type": "searchset"}, bundle(), bundle(entry=None, link=None)):
        emr.on("GET Observation", as_json(page))
        assert lines(emr) == []


def test_1B_F12_an_odd_total_does_not_break_a_page(emr: ScriptedEmr) -> None:
    for total, read in ((None, None), ("3", None), (-1, -1), (True, None), (5, 5)):
        emr.on("GET Observation", as_json(bundle(observation(), total=total)))
        assert pages(emr)[0].total == read
