"""What attackers and odd browsers do before a launch comes back: 3A-F01 to 3A-F04 (EL-1 to EL-5)."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cm_service.api.launch.registered import canonical
from cm_service.db import launches
from tests.api.door_world import add_emr, open_doors
from tests.api.launch_attack_world import (
    SCRIPT,
    Both,
    launched,
    refused,
    rs256,
    session_of_page,
)
from tests.api.launch_world import (
    PATIENT,
    Odd,
    begin,
    come_back,
    token_in,
)

# --- iss


def _near(base: str) -> dict[str, str]:
    host = urlsplit(base).netloc
    return {
        "nothing": "",
        "another": "https://other.example/fhir",
        "suffix in the host": base.replace(host, f"{host}.evil.example"),
        "userinfo": base.replace(host, f"{host}@evil.example"),
        "empty userinfo": base.replace(host, f"@{host}"),
        "trailing dot": base.replace("127.0.0.1", "127.0.0.1."),
        "https": base.replace("http:", "https:"),
        "homograph": base.replace("127", "１２７"),
        "percent": base.replace("fhir", "%66hir"),
        "dots": f"{base}/../x",
        "dot": f"{base}/.",
        "dots inside": base.replace("/fhir", "/x/../fhir"),
        "query": f"{base}?a=b",
        "empty query": f"{base}?",
        "fragment": f"{base}#a",
        "empty fragment": f"{base}#",
        "two slashes": f"{base}//",
        "backslash": base.replace("/fhir", "\\fhir"),
        "8 kB": f"{base}/{'a' * 8000}",
        "suffix in the path": f"{base}/more",
        "upper-case path": base.replace("fhir", "FHIR"),
        "other port": base.replace(host, "127.0.0.1:1"),
        "no port": base.replace(host, "127.0.0.1"),
        "port 0": base.replace(host, "127.0.0.1:0"),
        "localhost": base.replace("127.0.0.1", "localhost"),
        "loopback 6": base.replace("127.0.0.1", "[::1]"),
        "metadata service": "http://169.254.169.254/latest",
        "decimal": base.replace("127.0.0.1", "2130706433"),
        "space before": f" {base}",
        "NUL before": f"\0{base}",
        "newline after": f"{base}\n",
        "tab inside": base.replace("fhir", "fh\tir"),
        "javascript": "javascript:alert(1)",
        "script": SCRIPT,
    }


@pytest.mark.parametrize("name", _near("http://127.0.0.1:80/fhir"))
def test_3a_f01_f02_an_iss_that_is_not_on_the_list_is_refused_before_any_call(
    shared: Both, name: str
) -> None:
    world, emr = shared
    iss = _near(emr.base)[name]
    refused(begin(world, emr, iss=iss), *([iss] if iss else []))
    assert emr.calls == []


def test_3a_f02_two_iss_or_none_are_refused(shared: Both) -> None:
    world, emr = shared
    for params in (
        [("iss", emr.base), ("iss", emr.base), ("launch", "x")],
        [("iss", emr.base), ("iss", "https://evil.example"), ("launch", "x")],
        [("launch", "x")],
    ):
        refused(world.http.get("/launch", params=params, follow_redirects=False))
    assert emr.calls == []


def test_3a_f02_what_is_the_same_base_is_the_same_base() -> None:
    base = canonical("https://ehr.example/fhir")
    for same in ("https://EHR.example/fhir", "https://ehr.example:443/fhir", "https://ehr.example/fhir/"):
        assert canonical(same) == base
    for other in (
        "https://ehr.example:0/fhir",
        "https://ehr.example/fhir//",
        "https://ehr.example:8443/fhir",
    ):
        assert canonical(other) != base


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("url", ["https://evil.example/x", "http://10.0.0.1/x", "javascript:alert(1)", ""])
def test_3a_f02_metadata_that_leads_elsewhere_is_not_followed(shared: Both, name: str, url: str) -> None:
    world, emr = shared
    emr.configuration = {name: url}
    refused(begin(world, emr), "evil.example")
    assert set(emr.calls) <= {
        "/fhir/.well-known/smart-configuration",
        "/fhir/.well-known/openid-configuration",
    }


@pytest.mark.parametrize(
    "odd",
    [
        Odd(302, headers={"Location": "http://169.254.169.254/latest"}),
        Odd(200, b"<html>"),
        Odd(200, b"[]"),
        Odd(200, b" " * 2_000_000),
        Odd(404),
        Odd(500),
    ],
    ids=["redirect", "html", "list", "2 MB", "404", "500"],
)
def test_3a_f02_metadata_that_is_none_is_refused(shared: Both, odd: Odd) -> None:
    world, emr = shared
    emr.odd["/fhir/.well-known/smart-configuration"] = odd
    refused(begin(world, emr))


def test_3a_f02_metadata_that_was_bad_once_is_not_kept(both: Both) -> None:
    world, emr = both
    emr.configuration = {"token_endpoint": "https://evil.example/token"}
    refused(begin(world, emr))
    emr.configuration = {}
    assert begin(world, emr).status_code == 302


@pytest.mark.parametrize("methods", [None, [], ["plain"], ["S256", "plain"], "S256", [["S256"]]])
def test_3a_f02_a_server_without_pkce_as_smart_wants_it_is_refused(shared: Both, methods: Any) -> None:
    world, emr = shared
    emr.configuration = {"code_challenge_methods_supported": methods}
    refused(begin(world, emr))


# --- state, nonce, code


def test_3a_f03_a_state_that_is_missing_wrong_or_doubled_is_refused(both: Both) -> None:
    world, emr = both
    state = parse_qs(urlsplit(begin(world, emr).headers["location"]).query)["state"][0]
    path = "/launch/callback/clinic"
    for params in (
        [("code", "c")],
        [("code", "c"), ("state", "")],
        [("code", "c"), ("state", "x" * 64)],
        [("code", "c"), ("state", state[:-1])],
        [("code", "c"), ("state", f"{state}\0")],
        [("code", "c"), ("state", state), ("state", state)],
        [("code", "c"), ("state", "x" * 10_000)],
    ):
        refused(world.http.get(path, params=params))
    assert emr.seen == []


def test_3a_f03_a_state_is_good_once(both: Both) -> None:
    world, emr = both
    away = begin(world, emr)
    assert come_back(world, emr, away).status_code == 200
    refused(come_back(world, emr, away))  # 3A-F04: a double click does not exchange again
    assert len(emr.seen) == 1


def test_3a_f03_a_callback_in_another_browser_is_refused_and_burns_the_state(both: Both) -> None:
    world, emr = both
    away = begin(world, emr)
    cookies = dict(world.http.cookies)
    world.http.cookies.clear()
    world.http.cookies.set(next(iter(cookies)), "another-browser")
    refused(come_back(world, emr, away))
    world.http.cookies.clear()
    world.http.cookies.update(cookies)
    refused(come_back(world, emr, away))
    assert emr.seen == []


def test_3a_f03_a_state_lives_for_minutes(both: Both) -> None:
    world, emr = both
    away = begin(world, emr)
    world.now += dt.timedelta(minutes=5)
    refused(come_back(world, emr, away))
    assert emr.seen == []


def test_3a_f03_a_state_of_another_emrs_launch_is_refused(both: Both) -> None:
    world, emr = both
    add_emr(
        world,
        "other",
        base_url="http://127.0.0.1:9/other",
        launch_options={"client-id": "o", "public": "yes"},
    )
    for slug in ("other", "nowhere", "x" * 300):
        refused(come_back(world, emr, begin(world, emr), slug=slug))
    assert emr.seen == []


def test_3a_f03_a_nonce_that_is_missing_or_wrong_is_refused(both: Both) -> None:
    _, emr = both
    for nonce in (None, "wrong", 1, ""):
        emr.forge = lambda claims, n=nonce: rs256(emr, {**claims, "nonce": n})
        refused(launched(both))


def test_3a_f03_the_answer_of_another_server_is_refused(both: Both) -> None:
    """RFC 9207: named when it is said, and required where it was promised."""
    _, emr = both
    refused(launched(both, iss="https://evil.example"))
    emr.configuration = {"authorization_response_iss_parameter_supported": True}
    refused(launched(both))
    assert emr.seen == []
    assert launched(both, iss=emr.base).status_code == 200


def test_3a_f04_an_error_is_told_without_its_words(both: Both) -> None:
    _, emr = both
    refused(launched(both, error="access_denied", error_description=SCRIPT))
    refused(launched(both, code=None, error=SCRIPT))
    refused(launched(both, code=None))
    assert emr.seen == []


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", SCRIPT])
def test_3a_f04_a_code_that_the_emr_refuses_is_not_tried_again(both: Both, error: str) -> None:
    _, emr = both
    emr.odd["/token"] = Odd(400, json.dumps({"error": error}).encode())
    refused(launched(both))
    assert len(emr.seen) == 1


def test_3a_f04_a_restart_between_leaving_and_coming_back_loses_nothing(both: Both, tmp_path: Path) -> None:
    world, emr = both
    away = begin(world, emr)
    again = open_doors(tmp_path)
    again.http.cookies.update(world.http.cookies)
    assert come_back(again, emr, away).status_code == 200
    assert emr.seen[0]["code_verifier"]


def test_3a_f04_two_tabs_for_two_patients_go_on_side_by_side(both: Both) -> None:
    world, emr = both
    first, second = begin(world, emr), begin(world, emr, launch="other")
    emr.resources["Patient/p2"] = {**PATIENT, "id": "p2"}
    emr.token = {"patient": "p2"}
    pages = [come_back(world, emr, second)]
    emr.token = {}
    pages.append(come_back(world, emr, first))
    assert [session_of_page(world, page).patient_id for page in pages] == ["p2", "p1"]


def test_3a_f04_another_user_in_the_same_browser_ends_the_older_page(both: Both) -> None:
    world, emr = both
    older = launched(both)
    emr.resources["Practitioner/m"] = {"resourceType": "Practitioner", "id": "m"}
    emr.claims = {"fhirUser": "Practitioner/m", "sub": "mia"}
    newer = launched(both)
    assert session_of_page(world, older) is None and session_of_page(world, newer).user == "Practitioner/m"


def test_3a_f04_a_planted_cookie_is_nosession_of_page(both: Both) -> None:
    world, _ = both
    world.http.cookies.set("__Host-cm-browser", "planted")
    tokens = {token_in(launched(both)) for _ in range(2)}
    assert len(tokens) == 2 and "planted" not in tokens
    world.http.cookies.clear()
    with world.database.read() as connection:
        assert launches.session(connection, "planted", now=world.now) is None


@pytest.mark.parametrize("word", [None, "", "x" * 10_000])
def test_3a_f04_a_launch_without_a_usable_launch_is_refused(both: Both, word: str | None) -> None:
    world, emr = both
    params = {"iss": emr.base} | ({} if word is None else {"launch": word})
    refused(world.http.get("/launch", params=params, follow_redirects=False))
    assert emr.calls == []


def test_3a_f04_no_redirect_of_ours_goes_where_the_caller_says(both: Both) -> None:
    world, emr = both
    for name in ("redirect_uri", "redirect", "next", "url", "aud", "state", "client_id"):
        location = begin(world, emr, **{name: "https://evil.example"}).headers["location"]
        assert location.startswith(f"{emr.origin}/authorize?") and "evil.example" not in location
