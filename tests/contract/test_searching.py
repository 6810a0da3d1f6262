"""Searches: what filters, what is refused, and pages."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.contract.servers import SYSTEM, Json, Server, link, refused, token


def test_a_fresh_write_is_found_by_its_identifier(server: Server) -> None:
    made = server.made().json()
    value = made["identifier"][0]["value"]
    for asked in (f"{SYSTEM}|{value}", value):
        assert server.found(f"/Task?identifier={asked}") == [made["id"]]
    assert server.found(f"/Task?identifier=https://other.example|{value}") == []
    assert server.found(f"/Goal?identifier={SYSTEM}|{value}") == []


def test_a_list_of_identifiers_finds_each(server: Server) -> None:
    first, second = server.made().json(), server.made().json()
    wanted = sorted([first["id"], second["id"]])
    assert server.found(f"/Task?identifier={token(first)},{token(second)}") == wanted


@pytest.mark.parametrize("name", ["patient={}", "patient=Patient/{}", "subject=Patient/{}"])
def test_a_patient_is_asked_for_in_three_ways(server: Server, name: str) -> None:
    mine = sorted(server.made().json()["id"] for _ in range(2))
    assert server.found("/Task?" + name.format(server.patient)) == mine
    assert server.found("/Task?" + name.format("nobody-knows-them")) == []


def test_codes_filter_with_their_system_and_without(server: Server) -> None:
    coding = {"system": "https://cm-service.example/task-code", "code": "a1c-outreach"}
    made = server.made(code={"coding": [coding]}).json()
    server.made()
    mine = f"/Task?patient={server.patient}"
    for asked in (
        "a1c-outreach",
        f"{coding['system']}|a1c-outreach",
        f"other,{coding['system']}|a1c-outreach",
    ):
        assert server.found(f"{mine}&code={asked}") == [made["id"]]
    assert server.found(f"{mine}&code=https://other.example|a1c-outreach") == []


def test_several_parameters_must_all_hold_and_a_list_means_or(server: Server) -> None:
    first = server.made().json()["id"]
    second = server.made(status="accepted").json()["id"]
    mine = f"/Task?patient={server.patient}"
    assert server.found(f"{mine}&status=accepted") == [second]
    assert server.found(f"{mine}&status=accepted,requested") == sorted([first, second])
    assert server.found(f"{mine}&status=accepted&status=requested") == []
    assert server.found(f"/Task?_id={first},nobody-knows-it") == [first]


@pytest.mark.parametrize(
    ("prefix", "past", "future"),
    [("gt", 1, 0), ("ge", 1, 0), ("lt", 0, 1), ("le", 0, 1), ("eq", 0, 0), ("", 0, 0)],
)
def test_last_updated_compares_by_its_prefix(server: Server, prefix: str, past: int, future: int) -> None:
    one = f"/Task?_id={server.made().json()['id']}&_lastUpdated={prefix}"
    assert (len(server.found(f"{one}2020-01-01")), len(server.found(f"{one}2999-01-01"))) == (past, future)


def test_last_updated_knows_instants(server: Server) -> None:
    made = server.made().json()
    one, moment = f"/Task?_id={made['id']}&_lastUpdated=", made["meta"]["lastUpdated"].replace("+", "%2B")
    assert server.found(f"{one}ge{moment}") == server.found(f"{one}le{moment}") == [made["id"]]
    assert server.found(f"{one}gt{moment}") == server.found(f"{one}lt{moment}") == []


@pytest.mark.parametrize("prefix", ["ne", "sa", "eb"])
def test_last_updated_refuses_the_prefixes_that_it_does_not_know(server: Server, prefix: str) -> None:
    refused(server.get(f"/Task?patient={server.patient}&_lastUpdated={prefix}2020-01-01"), 400)


@pytest.mark.parametrize("handling", ["strict", "lenient", ""])
def test_an_unknown_parameter_is_refused_whatever_handling_is_preferred(
    server: Server, handling: str
) -> None:
    prefer = {"Prefer": f"handling={handling}"} if handling else {}
    refused(server.get(f"/Task?patient={server.patient}&no-such=x", **prefer), 400)


def test_a_count_that_is_no_number_is_refused(server: Server) -> None:
    refused(server.get(f"/Task?patient={server.patient}&_count=many"), 400)


@pytest.mark.parametrize("how", ["_summary=count", "_count=0"])
def test_counting_shows_no_entries(server: Server, how: str) -> None:
    server.made()
    page = server.get(f"/Task?patient={server.patient}&{how}").json()
    assert (page["total"], page.get("entry", [])) == (1, [])


def test_the_self_link_names_the_filters_that_were_used(server: Server) -> None:
    page = server.get(f"/Task?patient={server.patient}&status=requested&_lastUpdated=gt2020-01-01").json()
    assert (page["resourceType"], page["type"]) == ("Bundle", "searchset")
    assert set(httpx.URL(link(page, "self")).params) == {"patient", "status", "_lastUpdated"}
    assert link(page, "self").startswith(f"{server.base}/Task?")


def test_entries_say_where_they_are_and_why_they_are_there(server: Server) -> None:
    made = server.made().json()
    (found,) = server.get(f"/Task?_id={made['id']}").json()["entry"]
    assert found["fullUrl"] == f"{server.base}/Task/{made['id']}"
    assert found["search"]["mode"] == "match"
    assert found["resource"]["meta"]["versionId"] == "1"


def test_pages_follow_opaque_links_and_show_everything_once(server: Server) -> None:
    mine = sorted(server.made().json()["id"] for _ in range(5))
    pages = list(_pages(server, f"{server.base}/Task?patient={server.patient}&_count=2"))
    assert [len(page["entry"]) for page in pages] == [2, 2, 1]
    assert sorted(each["resource"]["id"] for page in pages for each in page["entry"]) == mine
    assert {link(page, "next").partition("=")[0] for page in pages[:-1]} == {f"{server.base}?_getpages"}


def test_a_page_can_be_asked_for_again_and_is_of_the_moment_of_the_search(server: Server) -> None:
    made = [server.made().json() for _ in range(3)]
    first = server.get(f"/Task?patient={server.patient}&_count=2").json()
    last = next(each for each in made if each["id"] not in {e["resource"]["id"] for e in first["entry"]})
    server.made()
    again = [server.get(link(first, "next")).json() for _ in range(2)]
    assert [[each["resource"]["id"] for each in page["entry"]] for page in again] == [[last["id"]]] * 2


def _pages(server: Server, url: str) -> Iterator[Json]:
    while url:
        page = server.get(url).raise_for_status().json()
        yield page
        url = link(page, "next")


def test_elements_of_a_search_are_marked_as_subsetted(server: Server) -> None:
    made = server.made().json()
    (found,) = server.get(f"/Task?_id={made['id']}&_elements=status,intent").json()["entry"]
    assert [tag["code"] for tag in found["resource"]["meta"]["tag"]] == ["SUBSETTED"]
    assert set(found["resource"]) == {"resourceType", "id", "meta", "status", "intent"}


def test_a_search_can_be_posted_as_a_form(server: Server) -> None:
    made = server.made().json()
    form = {"identifier": token(made)}
    answer = server.http.post("/Task/_search", data=form, headers={"Cache-Control": "no-cache"})
    assert [each["resource"]["id"] for each in answer.json()["entry"]] == [made["id"]]


def test_what_was_deleted_is_not_found(server: Server) -> None:
    made = server.made().json()
    server.delete(f"/Task/{made['id']}").raise_for_status()
    assert server.found(f"/Task?identifier={token(made)}") == []
    assert server.found(f"/Task?patient={server.patient}") == []
