"""A SMART launch through an OpenID provider that nobody here wrote: its own reading of PKCE, client
authentication, id_token, RFC 9207 and of refresh tokens that are good once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest

from cm_service import wiring
from cm_service.api.launch.routes import EHR_SCOPE
from cm_service.db import connections
from cm_service.db.launch_tables import PageSession
from cm_service.fhir.keyring import LEAD
from tests.api.door_world import BASE, Doors
from tests.api.launch_attack_world import refused
from tests.api.launch_world import LaunchingEmr, begin, launching, token_in
from tests.real.token_server import launch_server

CLIENT = "cm-service-launch"
BACK = f"{BASE}/launch/callback/clinic"
SECRET = "s" * 40
Json = dict[str, Any]
Both = tuple[Doors, LaunchingEmr]


@contextmanager
def provided(folder: Path, options: Json, client: Json, **settings: Any) -> Iterator[Both]:
    """Our doors, an EMR that holds the records, and the provider that signs people in for it."""
    with launching(folder, **settings) as (world, emr):
        world.now = wiring.now()
        if client["token_endpoint_auth_method"] == "private_key_jwt":
            world.app.state.doorway.ring.rotate(world.now - 3 * LEAD)
            client = {**client, "jwks": world.http.get("/.well-known/jwks.json").json()}
        full = {"client_id": CLIENT, "redirect_uris": [BACK], **client}
        who = f"{emr.base}/Practitioner/n"
        with launch_server(full, scopes=EHR_SCOPE.split(), user=who, patient="p1") as provider:
            emr.configuration = {
                "issuer": provider,
                "authorization_endpoint": f"{provider}/auth",
                "token_endpoint": f"{provider}/token",
                "jwks_uri": f"{provider}/jwks",
                "authorization_response_iss_parameter_supported": True,
            }
            with world.store.write() as connection:
                connections.update_emr(connection, "clinic", launch_options={"client-id": CLIENT, **options})
            yield world, emr


def signed_in(location: str) -> str:
    """A browser at the provider, until it is sent back to us."""
    with httpx.Client() as browser:
        for _ in range(8):
            answer = browser.get(location)
            assert answer.is_redirect, answer.text
            location = urljoin(location, answer.headers["location"])
            if location.startswith(BACK):
                return location
    raise AssertionError("the provider goes round in circles")


def came_back(world: Doors, location: str, **changes: str) -> httpx.Response:
    said = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    return world.http.get(urlsplit(location).path, params=said | changes)


def part(world: Doors, page: httpx.Response) -> httpx.Response:
    return world.http.get("/app/part", headers={"Authorization": f"Bearer {token_in(page)}"})


WAYS = {
    "keys, RS384": ({"alg": "RS384"}, _keys := {"token_endpoint_auth_method": "private_key_jwt"}),
    "keys, ES384": ({"alg": "ES384"}, _keys),
    "secret, basic": (
        {"secret": "env:LAUNCH_SECRET", "secret-style": "basic"},
        {"token_endpoint_auth_method": "client_secret_basic", "client_secret": SECRET},
    ),
    "secret, post": (
        {"secret": "env:LAUNCH_SECRET", "secret-style": "post"},
        {"token_endpoint_auth_method": "client_secret_post", "client_secret": SECRET},
    ),
    "public": ({"public": "yes"}, {"token_endpoint_auth_method": "none"}),
}


@pytest.mark.parametrize("way", WAYS)
def test_el_3_el_5_el_7_a_launch_opens_the_page_of_the_patient(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUNCH_SECRET", SECRET)
    with provided(tmp_path, *WAYS[way]) as (world, emr):
        page = came_back(world, signed_in(begin(world, emr).headers["location"]))
        assert page.status_code == 200, page.text
        shown = part(world, page).text
        assert "Ada Lovelace (1976-05-01)" in shown and "Signed in as Nora Nurse" in shown
        assert [(line.who, line.patient_id) for line in world.audit()][-1] == ("Practitioner/n", "p1")


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    with provided(tmp_path, *WAYS["public"]) as both:
        yield both


def test_el_3_a_code_of_another_launch_is_refused_by_the_provider(both: Both) -> None:
    """The verifier of one launch does not fit the code of another."""
    world, emr = both
    one, two = (signed_in(begin(world, emr).headers["location"]) for _ in range(2))
    theirs = parse_qs(urlsplit(two).query)["code"][0]
    refused(came_back(world, one, code=theirs), "Lovelace")
    refused(came_back(world, one), "Lovelace")


def test_el_16_an_answer_that_names_another_issuer_or_none_is_refused(both: Both) -> None:
    world, emr = both
    refused(came_back(world, signed_in(begin(world, emr).headers["location"]), iss="https://evil.example"))
    back = signed_in(begin(world, emr).headers["location"])
    assert "iss=" in back, "the provider names itself"
    refused(world.http.get(back.partition("&iss=")[0].removeprefix(BASE)))


def test_el_13_each_refresh_token_is_used_once_and_the_page_goes_on(both: Both) -> None:
    """The provider ends everything when an old one comes again."""
    world, emr = both
    page = came_back(world, signed_in(begin(world, emr).headers["location"]))
    tokens = set()
    for _ in range(3):
        world.now += dt.timedelta(minutes=29)
        assert part(world, page).status_code == 200
        world.now += dt.timedelta(minutes=29)
        assert part(world, page).status_code == 200
        tokens.add(_refresh_token(world))
    assert len(tokens) == 3


def _refresh_token(world: Doors) -> str:
    with world.database.read() as connection:
        sealed = connection.execute(PageSession.__table__.select()).one().refresh_token
    return world.app.state.doorway.sealer.open(sealed)
