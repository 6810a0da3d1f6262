"""`keys rotate`, the ways to prove who we are in `emr add` and `emr set`, and what `doctor` says of them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey
from starlette.testclient import TestClient

from cm_service import wiring
from cm_service.api.app import create_app
from cm_service.errors import Misconfigured
from cm_service.fhir.credentials import NoCredentials, StaticBearer
from cm_service.fhir.smart import TokenCredentials
from cm_service.settings import Settings
from tests.fhir.scripted import scripted_emr
from tests.real.command import Home

BACKEND = ("--auth", "backend", "--client-id", "cm-service")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data", CM_READ_ATTEMPTS="1")


def row(home: Home) -> Any:
    (found,) = home.run("emr", "list", "--json").answer["items"]
    return found


def published(home: Home) -> httpx.Response:
    with TestClient(create_app(Settings(data_dir=home.folder))) as client:
        return client.get("/.well-known/jwks.json")


def test_BS_11_the_key_set_is_public_and_may_be_kept_for_less_time_than_a_key_waits(home: Home) -> None:
    assert published(home).json() == {"keys": []}
    said = home.run("keys", "rotate", "--json")
    assert said.exit == 0
    answer = published(home)
    assert answer.headers["cache-control"] == "public, max-age=3600"
    kids = {key["kid"] for key in answer.json()["keys"]}
    assert kids == {key["kid"] for key in said.answer["keys"]} and len(kids) == 4
    assert not any("d" in key for key in answer.json()["keys"])


def test_a_rotation_publishes_another_successor_and_goes_on_signing_with_the_old_key(home: Home) -> None:
    first = home.run("keys", "rotate", "--json").answer["keys"]
    home.run("keys", "rotate")
    second = home.run("keys", "list", "--json").answer["keys"]
    assert {key["kid"] for key in first} < {key["kid"] for key in second}
    assert {k["kid"] for k in first if k["state"] == "current"} == {
        k["kid"] for k in second if k["state"] == "current"
    }
    listed = home.run("keys", "list")
    assert '"d"' not in listed.stdout + listed.stderr


def test_a_backend_connection_is_kept_with_what_was_registered_and_shows_no_place_of_a_secret(
    home: Home, tmp_path: Path
) -> None:
    place = tmp_path / "key.pem"
    home.add(
        "https://emr.example/fhir",
        *BACKEND,
        *("--token-url", "https://auth.example/token", "--aud", "https://auth.example"),
        *("--key", f"file:{place}", "--key-id", "k1", "--scope-style", "v1"),
    )
    kept = {"client-id": "cm-service", "token-url": "https://auth.example/token", "key-id": "k1"}
    assert row(home)["auth_options"] == kept | {"aud": "https://auth.example", "scope-style": "v1"}
    assert str(place) not in home.run("emr", "list", "--json").stdout
    assert home.run("emr", "set", "clinic", "key-id=", "aud=token-url").exit == 0
    assert "key-id" not in row(home)["auth_options"]


def test_a_way_is_changed_in_one_go_or_not_at_all(home: Home) -> None:
    home.add("https://emr.example/fhir")
    refused = home.run("emr", "set", "clinic", "auth=backend")
    assert (refused.exit, "auth backend needs client-id" in refused.stderr) == (2, True)
    assert row(home)["auth"] == "none"
    assert home.run("emr", "set", "clinic", "client-id=cm", "auth=backend").exit == 0
    assert row(home)["auth"] == "backend"


@pytest.mark.parametrize(
    "options",
    [
        ("--auth", "kerberos"),
        ("--auth", "bearer"),
        ("--auth", "backend"),
        ("--auth", "secret", "--client-id", "cm"),
        ("--auth", "secret", "--client-id", "cm", "--secret", "s3cr3t"),
        (*BACKEND, "--token-url", "http://emr.example/token"),
        (*BACKEND, "--key", "-----BEGIN PRIVATE KEY-----s3cr3t"),
        (*BACKEND, "--aud", "s3cr3t"),
        (*BACKEND, "--alg", "HS256"),
        (*BACKEND, "--scope-style", "v3"),
    ],
)
def test_what_cannot_work_is_a_usage_error_that_quotes_no_secret(
    home: Home, options: tuple[str, ...]
) -> None:
    place = ("--slug", "clinic", "--base-url", "https://emr.example/fhir", "--timezone", "America/Detroit")
    said = home.run("emr", "add", *place, *options)
    assert said.exit == 2
    assert "s3cr3t" not in said.stderr


@pytest.mark.parametrize("broken", ["missing", "folder", "not a key", "public", "empty variable"])
def test_1A_F09_a_key_that_cannot_be_read_fails_at_the_start_before_anything_is_asked(
    home: Home, tmp_path: Path, broken: str
) -> None:
    place = tmp_path / "key.pem"
    if broken == "folder":
        place.mkdir()
    elif broken == "not a key":
        place.write_text("s3cr3t")
    elif broken == "public":
        place.write_bytes(ECKey.generate_key("P-384").as_pem(private=False))
    key = "env:CM_NO_KEY" if broken == "empty variable" else f"file:{place}"
    with scripted_emr() as emr:
        home.add(emr.base, *BACKEND, "--key", key)
        for command in (("sync", "--emr", "clinic", "--json"), ("emr", "check", "clinic"), ("doctor",)):
            said = home.run(*command)
            assert said.exit == 1, command
            assert "signing key" in said.stderr and "s3cr3t" not in said.stderr
        assert emr.requests == []


def test_1A_F09_a_backend_connection_without_keys_says_which_command_makes_them(home: Home) -> None:
    home.add("https://emr.example/fhir", *BACKEND)
    assert "cm-service keys rotate" in home.run("doctor").stderr
    home.run("keys", "rotate")
    assert home.run("doctor").exit == 0


def test_a_store_key_that_is_none_is_told_by_doctor(tmp_path: Path) -> None:
    said = Home(tmp_path, CM_SECRET_KEY="s3cr3t").run("doctor")
    assert (said.exit, "32 bytes as URL-safe base64" in said.stderr) == (1, True)
    assert "s3cr3t" not in said.stderr


def test_requests_without_authentication_leave_loopback_only_when_a_person_says_so(home: Home) -> None:
    home.add("http://emr.invalid/fhir")
    said = home.run("emr", "check", "clinic")
    assert (said.exit, "go to loopback only" in said.stderr) == (1, True)
    home.run("emr", "set", "clinic", "allow-unauthenticated=yes")
    said = home.run("emr", "check", "clinic")
    assert (said.exit, "no connection" in said.stderr) == (1, True)


def test_each_way_gives_its_own_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path)
    monkeypatch.setenv("A_SECRET", "s3cr3t\n")
    usual = {"base_url": "https://emr.example/fhir", "profile": None, "group_id": None, "write_mode": "auto"}
    usual["notify_options"] = {}

    def given(auth: str, **options: Any) -> Any:
        named = {name.replace("_", "-"): value for name, value in options.items()}
        columns = {"auth": auth, "token_reference": "env:A_SECRET", "auth_options": named}
        return wiring.credentials(settings, SimpleNamespace(**usual, **columns))

    assert isinstance(given("none"), NoCredentials)
    assert isinstance(given("bearer"), StaticBearer)
    assert isinstance(given("secret", client_id="cm", secret="env:A_SECRET"), TokenCredentials)
    with pytest.raises(Misconfigured, match="client secret"):
        given("secret", client_id="cm", secret="env:ANOTHER")
    key = tmp_path / "key.jwk"
    key.write_text(json.dumps(ECKey.generate_key("P-384").as_dict(private=True)))
    assert isinstance(given("backend", client_id="cm", key=f"file:{key}"), TokenCredentials)
    with pytest.raises(Misconfigured, match="signs with ES384, not with RS384"):
        given("backend", client_id="cm", key=f"file:{key}", alg="RS384")
