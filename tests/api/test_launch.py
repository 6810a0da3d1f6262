"""SMART EHR launch, the way it should go; what attackers try stands in test_launch_attacks.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from cm_service.db import launches
from tests.api.door_world import BASE, Doors
from tests.api.launch_world import CLIENT, LaunchingEmr, begin, come_back, launching, token_in


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Doors, LaunchingEmr]]:
    with launching(tmp_path) as both:
        yield both


def test_a_launch_asks_with_state_nonce_and_challenge_of_its_own(both: tuple[Doors, LaunchingEmr]) -> None:
    world, emr = both
    asked = [parse_qs(urlsplit(begin(world, emr).headers["location"]).query) for _ in range(2)]
    one = {name: values[0] for name, values in asked[0].items()}
    assert one["aud"] == emr.base and one["launch"] == "xyz" and one["client_id"] == CLIENT
    assert one["redirect_uri"] == f"{BASE}/launch/callback/clinic"
    assert (one["response_type"], one["code_challenge_method"]) == ("code", "S256")
    assert {"launch", "openid", "fhirUser"} <= set(one["scope"].split())
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name] and len(one[name]) >= 43


def test_the_browser_comes_back_to_a_page_of_its_own_patient_and_user(
    both: tuple[Doors, LaunchingEmr],
) -> None:
    world, emr = both
    page = come_back(world, emr, begin(world, emr))
    assert page.status_code == 200, page.text
    with world.database.read() as connection:
        session = launches.session(connection, token_in(page), now=world.now)
    assert session is not None and session.bound and session.confirmed
    assert (session.emr, session.patient_id, session.user) == ("clinic", "p1", "Practitioner/n")
    assert emr.seen[0].keys() >= {"code", "redirect_uri", "code_verifier"}
    assert f"frame-ancestors {emr.origin}" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


def test_without_a_cookie_the_page_names_user_and_patient_and_wants_a_click(
    both: tuple[Doors, LaunchingEmr],
) -> None:
    world, emr = both
    away = begin(world, emr)
    world.http.cookies.clear()
    page = come_back(world, emr, away)
    assert "Nora Nurse" in page.text and "Ada Lovelace (1976-05-01)" in page.text
    with world.database.read() as connection:
        session = launches.session(connection, token_in(page), now=world.now)
    assert session is not None and not session.bound and not session.confirmed
