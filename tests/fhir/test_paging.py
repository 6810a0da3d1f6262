"""Following `next` links: opaque, within our EMR, and never for ever."""

from __future__ import annotations

import json
import logging

import pytest

from cm_service.errors import FilterDropped, PagingBroken
from cm_service.fhir.credentials import StaticBearer
from tests.fhir.builders import ask, lines, observation, pages
from tests.fhir.scripted import Reply, Request, ScriptedEmr, as_json, bundle, outcome, scripted_emr, searchset


def ids(found: list[bytes]) -> list[str]:
    return [json.loads(line)["id"] for line in found]


def test_pages_are_followed_through_links_that_nobody_could_build(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", searchset(observation("1"), next=f"{emr.base}?_getpages=a%7Cb&x=%C3%A4"))
    emr.on("GET ?_getpages", searchset(observation("2")))
    assert ids(lines(emr)) == ["1", "2"]
    assert emr.requests[1].target == "?_getpages=a%7Cb&x=%C3%A4"


def test_1B_F01_a_next_link_to_itself_ends_the_search(emr: ScriptedEmr) -> None:
    here = f"{emr.base}/Observation?page=1"
    emr.on("GET Observation", as_json(bundle(observation(), self_link=here + "&_count=2", next=here)))
    emr.on("GET Observation?page=1", as_json(bundle(observation(), self_link=here, next=here)))
    with pytest.raises(PagingBroken, match="in a circle after 2 pages"):
        lines(emr)


def test_1B_F02_two_pages_that_point_at_each_other_end_the_search(emr: ScriptedEmr) -> None:
    for page, other in (("a", "b"), ("b", "a")):
        emr.on(
            f"GET Observation?{page}", searchset(observation(page), next=f"{emr.base}/Observation?{other}")
        )
    emr.on("GET Observation?_count", searchset(observation("1"), next=f"{emr.base}/Observation?a"))
    with pytest.raises(PagingBroken, match="in a circle after 3 pages"):
        lines(emr)


@pytest.mark.parametrize(
    "link",
    [
        "http://evil.example/fhir/Observation?page=2",
        "https://127.0.0.1:{port}/fhir/Observation?page=2",
        "http://127.0.0.1:1/fhir/Observation?page=2",
        "http://localhost:{port}/fhir/Observation?page=2",
        "//evil.example/fhir/Observation?page=2",
        "http://127.0.0.1:{port}/other/Observation?page=2",
        "http://127.0.0.1:{port}/fhirother?page=2",
        "http://127.0.0.1:{port}/fhir/../other?page=2",
        "http://127.0.0.1:{port}/fhir/%2e%2e/other?page=2",
        "/other?page=2",
        "ftp://127.0.0.1:{port}/fhir?page=2",
        "http://[::1",
    ],
)
def test_1B_F03_a_next_link_that_leaves_the_emr_is_not_followed(emr: ScriptedEmr, link: str) -> None:
    port = emr.base.split(":")[2].partition("/")[0]
    emr.on("GET Observation", searchset(observation(), next=link.format(port=port)))
    with pytest.raises(PagingBroken, match="next link of Observation"):
        lines(emr, credentials=StaticBearer("t0ken"))
    assert len(emr.requests) == 1


def test_1B_F03_another_emr_never_sees_our_token(emr: ScriptedEmr) -> None:
    with scripted_emr() as other:
        emr.on("GET Observation", searchset(observation(), next=f"{other.base}/Observation?page=2"))
        with pytest.raises(PagingBroken):
            lines(emr, credentials=StaticBearer("t0ken"))
        assert other.requests == []


def test_1B_F04_a_next_link_with_a_user_name_is_not_followed(emr: ScriptedEmr) -> None:
    emr.on(
        "GET Observation", searchset(next=emr.base.replace("//", "//user:secret@") + "/Observation?page=2")
    )
    with pytest.raises(PagingBroken, match="carries a user name") as caught:
        lines(emr)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("link", ["Observation?page=2", "?page=2", "/fhir/Observation?page=2"])
def test_1B_F05_a_relative_next_link_is_resolved(emr: ScriptedEmr, link: str) -> None:
    emr.on("GET Observation?_count", searchset(observation("1"), next=link))
    emr.on("GET Observation?page=2", searchset(observation("2")))
    assert ids(lines(emr)) == ["1", "2"]


def test_1B_F06_a_token_echoed_in_a_next_link_reaches_no_log_and_no_error(
    emr: ScriptedEmr, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    emr.on("GET Observation?_count", searchset(observation(), next="?access_token=t0ken"))
    emr.on("GET Observation?access", Reply(403))
    with pytest.raises(Exception, match="403") as caught:
        lines(emr, credentials=StaticBearer("t0ken"))
    assert "t0ken" not in caplog.text + str(caught.value) + "".join(capsys.readouterr())


def _endless(emr: ScriptedEmr) -> None:
    def answer(request: Request) -> Reply:
        page = int(request.params.get("page", "0")) + 1
        return searchset(observation(str(page)), next=f"?page={page}")(request)

    emr.on("GET Observation", answer)


def test_1B_F07_links_that_differ_for_ever_end_at_the_cap_of_pages(emr: ScriptedEmr) -> None:
    _endless(emr)
    with pytest.raises(PagingBroken, match="does not end: stopped after 30 pages"):
        lines(emr, max_pages=30)
    assert len(emr.requests) == 30


def test_1B_F07_links_that_differ_for_ever_end_at_the_cap_of_bytes(emr: ScriptedEmr) -> None:
    _endless(emr)
    with pytest.raises(PagingBroken, match="does not end"):
        lines(emr, max_bytes=5000)


@pytest.mark.parametrize("status", [400, 404, 410])
def test_1B_F08_an_expired_link_starts_the_search_anew(emr: ScriptedEmr, status: int) -> None:
    emr.on("GET Observation?_count", searchset(observation("1"), next="?page=2"))
    emr.on("GET Observation?page=2", as_json(outcome(), status), searchset(observation("2")))
    assert ids(lines(emr)) == ["1", "1", "2"]


def test_1B_F08_links_that_always_expire_are_a_failure(emr: ScriptedEmr) -> None:
    emr.on("GET Observation?_count", searchset(observation("1"), next="?page=2"))
    emr.on("GET Observation?page=2", as_json(outcome(), 410))
    with pytest.raises(PagingBroken, match="expire before they are read"):
        lines(emr)


def test_1B_F09_an_empty_page_with_a_next_link_is_not_the_end(emr: ScriptedEmr) -> None:
    emr.on("GET Observation?_count", searchset(next="?page=2"))
    emr.on("GET Observation?page=2", searchset(observation("2")))
    assert ids(lines(emr)) == ["2"]


def test_1B_F11_the_size_of_a_page_is_the_emrs_affair(emr: ScriptedEmr) -> None:
    emr.on("GET Observation?_count", searchset(*map(observation, "abc"), next="?page=2"))
    emr.on("GET Observation?page=2", searchset(observation("d"), next="?page=3"))
    emr.on("GET Observation?page=3", searchset())
    assert ids(lines(emr, params=[("_count", "2")])) == ["a", "b", "c", "d"]


def test_1B_F13_what_only_came_along_is_not_counted_as_found(emr: ScriptedEmr) -> None:
    along = {"resource": {"resourceType": "Patient", "id": "p"}, "search": {"mode": "include"}}
    page = bundle(observation("1"))
    page["entry"].append(along)
    emr.on("GET Observation", as_json(page))
    found = pages(emr)[0]
    assert ids(list(found.resources)) == ["1"]
    assert found.included == 1


@pytest.mark.parametrize(
    "used",
    [
        "http://emr/fhir/Observation?_count=2",
        "http://emr/fhir/Observation",
        "http://emr/fhir/Observation?code=",
        "http://emr/fhir/Observation?code=4548-4",
        "/Observation?subject=x",
    ],
)
def test_1B_F48_a_self_link_without_our_filter_ends_the_search(emr: ScriptedEmr, used: str) -> None:
    emr.on("GET Observation", as_json(bundle(observation(), self_link=used)))
    with pytest.raises(FilterDropped, match="ignored the parameter code"):
        lines(emr, params=[("code", "4548-4,17856-6"), ("_count", "2")])


@pytest.mark.parametrize(
    "used",
    [
        "http://emr/fhir/Observation?code=4548-4%2C17856-6",
        "http://inner:1/Observation?_count=1&code:in=17856-6,4548-4&_format=json",
        "Observation?code=http%3A%2F%2Floinc.org%7C4548-4&code=http%3A%2F%2Floinc.org%7C17856-6",
    ],
)
def test_a_self_link_may_say_the_same_filter_in_other_words(emr: ScriptedEmr, used: str) -> None:
    emr.on("GET Observation", as_json(bundle(observation(), self_link=used)))
    assert len(lines(emr, params=[("code", "4548-4,17856-6"), ("_count", "200")])) == 1


def test_a_missing_self_link_is_borne(emr: ScriptedEmr) -> None:
    emr.on("GET Observation", as_json(bundle(observation())))
    assert pages(emr, params=[("code", "4548-4")])[0].self_link is None


def test_a_search_by_post_keeps_its_list_out_of_the_url(emr: ScriptedEmr) -> None:
    emr.on("POST Observation/_search", searchset(observation("1"), next="?page=2"))
    emr.on("GET Observation?page=2", searchset(observation("2")))

    async def search(client):  # type: ignore[no-untyped-def]
        return [page async for page in client.search("Observation", [("code", "a,b")], post=True)]

    assert len(ask(emr, search)) == 2
    first, second = emr.requests
    assert (first.method, first.target, first.params) == ("POST", "Observation/_search", {"code": "a,b"})
    assert first.headers["content-type"] == "application/x-www-form-urlencoded"
    assert second.method == "GET"
    assert "content-type" not in second.headers
