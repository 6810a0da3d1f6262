"""The life of a launched page, and the EMR's look: 3A-F14, 3A-F15 (EL-11, EL-13)."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from pathlib import Path

import httpx
import pytest
from fastapi import Request

from cm_service.api.launch.sessions import session_of
from tests.api.door_world import Doors, open_doors
from tests.api.launch_attack_world import (
    Both,
    Json,
    launched,
    rs256,
    session_of_page,
)
from tests.api.launch_world import (
    CLIENT,
    Odd,
    token_in,
)

# --- the life of a session


def asking(world: Doors) -> None:
    """A door that does nothing but ask for the session."""

    @world.app.get("/probe")
    async def probe(request: Request) -> dict[str, str]:
        found = await session_of(request)
        return {"access": found.access_token, "user": found.user}


def probe(world: Doors, page: httpx.Response, **headers: str) -> httpx.Response:
    return world.http.get("/probe", headers={"Authorization": f"Bearer {token_in(page)}", **headers})


def test_3a_f14_a_token_that_runs_out_is_renewed_and_its_refresh_token_used_once(both: Both) -> None:
    world, emr = both
    asking(world)
    emr.token = {"refresh_token": "r1", "expires_in": 600}
    page = launched(both)
    first = probe(world, page).json()["access"]
    world.now += dt.timedelta(minutes=10)
    emr.token = {"refresh_token": "r2", "expires_in": 600}
    assert probe(world, page).json()["access"] != first
    world.now += dt.timedelta(minutes=10)
    assert probe(world, page).status_code == 200
    assert [form.get("refresh_token") for form in emr.seen] == [None, "r1", "r2"]


def test_3a_f14_requests_at_once_renew_once(both: Both) -> None:
    world, emr = both
    asking(world)
    emr.token = {"refresh_token": "r1", "expires_in": 600}
    page = launched(both)
    world.now += dt.timedelta(minutes=10)

    async def many() -> list[httpx.Response]:
        transport = httpx.ASGITransport(world.app)
        headers = {"Authorization": f"Bearer {token_in(page)}"}
        async with httpx.AsyncClient(transport=transport, base_url="https://cm.example") as client:
            return await asyncio.gather(*(client.get("/probe", headers=headers) for _ in range(8)))

    answers = asyncio.run(many())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["access"] for answer in answers}) == 1
    assert len(emr.seen) == 2


def test_3a_f14_without_a_refresh_token_the_page_ends_with_its_token(both: Both) -> None:
    world, emr = both
    asking(world)
    emr.token = {"expires_in": 600}
    page = launched(both)
    world.now += dt.timedelta(seconds=599)
    assert probe(world, page).status_code == 200
    world.now += dt.timedelta(seconds=1)
    assert probe(world, page).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "launch openid fhirUser patient/*.read online_access user/*.write"},
        {"patient": "p2"},
        {"id_token": "x"},
        {"token_type": "MAC"},
    ],
    ids=lambda changes: f"{changes}",
)
def test_3a_f12_f14_a_refresh_that_is_about_something_else_ends_the_page(both: Both, changes: Json) -> None:
    world, emr = both
    asking(world)
    emr.token = {"refresh_token": "r1", "expires_in": 600}
    page = launched(both)
    world.now += dt.timedelta(minutes=10)
    emr.token = changes
    assert probe(world, page).status_code == 401
    assert session_of_page(world, page) is None


@pytest.mark.parametrize(("sub", "status"), [("nora", 200), ("mallory", 401)])
def test_3a_f12_the_subject_may_not_change_between_refreshes(both: Both, sub: str, status: int) -> None:
    world, emr = both
    asking(world)
    emr.token = {"refresh_token": "r1", "expires_in": 600}
    page = launched(both)
    world.now += dt.timedelta(minutes=10)
    emr.token = {"id_token": rs256(emr, {"iss": emr.base, "aud": CLIENT, "sub": sub})}
    assert probe(world, page).status_code == status


def test_3a_f14_a_refresh_that_the_emr_refuses_ends_the_page(both: Both) -> None:
    world, emr = both
    asking(world)
    emr.token = {"refresh_token": "r1", "expires_in": 600}
    page = launched(both)
    world.now += dt.timedelta(minutes=10)
    emr.odd["/token"] = Odd(400, b'{"error": "invalid_grant"}')
    assert probe(world, page).status_code == 401
    emr.odd.clear()
    assert probe(world, page).status_code == 401
    assert len(emr.seen) == 2


def test_3a_f14_a_page_ends_when_nobody_touches_it(both: Both) -> None:
    world, _ = both
    asking(world)
    page = launched(both)
    world.now += dt.timedelta(minutes=29)
    assert probe(world, page).status_code == 200
    world.now += dt.timedelta(minutes=30)
    assert probe(world, page).status_code == 401


def test_3a_f14_a_restart_ends_no_page(both: Both, tmp_path: Path) -> None:
    page = launched(both)
    again = open_doors(tmp_path)
    asking(again)
    assert probe(again, page).json()["user"] == "Practitioner/n"


def test_3a_f14_what_the_page_gave_is_not_in_the_store_in_clear(both: Both, tmp_path: Path) -> None:
    _, emr = both
    emr.token = {"refresh_token": "refresh-in-clear", "access_token": "access-in-clear"}
    page = launched(both)
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in ("refresh-in-clear", "access-in-clear", "Lovelace", "Nora Nurse", token_in(page)):
        assert secret.encode() not in held, secret
    assert token_in(page) not in str(page.headers)


# --- looks


@pytest.mark.parametrize(
    ("style", "kept"),
    [
        (
            {"color_text": "#102030", "dim_font_size": "14px"},
            {"color_text": "#102030", "dim_font_size": "14px"},
        ),
        ({"color_text": "red;}body{background:url(https://evil.example)}"}, {}),
        ({"color_text": "url(javascript:alert(1))", "unknown": "#102030"}, {}),
        ({"font_family_body": "x; } </style><script>"}, {}),
        ({"color_text": ["#102030"], "dim_font_size": 14}, {}),
    ],
)
def test_3a_f15_only_harmless_values_of_known_keys_are_kept(shared: Both, style: Json, kept: Json) -> None:
    world, emr = shared
    emr.odd["/style"] = Odd(200, json.dumps(style).encode())
    emr.token = {"smart_style_url": f"{emr.origin}/style"}
    assert session_of_page(world, launched(shared)).context["style"] == kept


@pytest.mark.parametrize(
    "odd",
    [
        Odd(200, b" " * 10_000_000),
        Odd(302, headers={"Location": "http://169.254.169.254/"}),
        Odd(200, b"[]"),
        Odd(200, b"<html>"),
        Odd(500),
    ],
    ids=["10 MB", "redirect", "list", "html", "500"],
)
def test_3a_f15_an_odd_style_is_no_style_and_no_error(shared: Both, odd: Odd) -> None:
    world, emr = shared
    emr.odd["/style"] = odd
    emr.token = {"smart_style_url": f"{emr.origin}/style"}
    assert session_of_page(world, launched(shared)).context["style"] == {}


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/style", "http://169.254.169.254/x", "file:///etc/passwd", "javascript:x", "//x/y"],
)
def test_3a_f15_a_style_elsewhere_is_never_fetched(shared: Both, url: str) -> None:
    world, emr = shared
    emr.token = {"smart_style_url": url}
    assert session_of_page(world, launched(shared)).context["style"] == {}
