"""Who may call our CDS services: 4-F01 to 4-F13."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from tests.api.chart_world import ISSUER, VIEW, Chart, registered, with_token
from tests.api.door_world import BASE, Machine, open_doors
from tests.api.forgeries import EVERYWHERE, served, worded
from tests.api.practice_world import OpenPractice

PATH = f"/cds-services/{VIEW}"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """For calls that leave nothing behind."""
    return Chart(OpenPractice(tmp_path_factory.mktemp("chart")))


@pytest.fixture
def chart(tmp_path: Path) -> Iterator[Chart]:
    yield Chart(OpenPractice(tmp_path))


def refused(answer: httpx.Response) -> None:
    assert answer.status_code == 401, answer.text
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "cards" not in answer.json()


def claims(chart: Chart, **changes: Any) -> Json:
    return chart.signer.claims(now=chart.practice.doors.now, aud=f"{BASE}{PATH}", **changes)


# --- who is calling


@pytest.mark.parametrize("path", [PATH, f"{PATH}/feedback", "/cds-services/nothing"])
def test_4_f01_without_a_token_every_call_is_401(shared: Chart, path: str) -> None:
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}):
        refused(shared.practice.doors.http.post(path, json=shared.body(), headers=headers))


@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_forged_call_is_401(shared: Chart, name: str) -> None:
    token = EVERYWHERE[name](shared.signer, claims(shared))
    raw = {b"Authorization": b"Bearer " + token.encode("utf-8")}
    refused(shared.practice.doors.http.post(PATH, json=shared.body(), headers=raw))


def test_4_f04_keys_at_a_foreign_jku_are_never_fetched(chart: Chart) -> None:
    attacker = ECKey.generate_key("P-384")
    public = {**attacker.as_dict(private=False), "kid": chart.signer.kid}
    with served(public) as elsewhere, served(*chart.signer.jwks["keys"]) as own:
        registered(chart, cds_jwks=None, cds_jwks_url=own.url)
        spy = Machine(ISSUER)
        spy.key = attacker
        refused(with_token(chart, worded(jku=elsewhere.url)(spy, claims(chart))))
        assert (elsewhere.calls, own.calls) == (0, 0)
        assert with_token(chart, worded(jku=own.url)(chart.signer, claims(chart))).status_code == 200
        own.status, own.headers = 302, {"Location": elsewhere.url}
        chart.practice.doors.now += dt.timedelta(minutes=6)
        token = worded(jku=own.url)(chart.signer, claims(chart))  # 4-F06: the registered URL leads away
        refused(with_token(chart, token))
        assert elsewhere.calls == 0


def test_4_f05_the_right_jku_does_not_make_another_issuer(chart: Chart) -> None:
    with served(*chart.signer.jwks["keys"]) as own:
        registered(chart, cds_jwks=None, cds_jwks_url=own.url)
        stranger = claims(chart, iss="https://other.example")
        refused(with_token(chart, worded(jku=own.url)(chart.signer, stranger)))


def test_4_f07_a_key_server_that_fails_is_bridged_by_the_cache_as_long_as_it_lives(chart: Chart) -> None:
    with served(*chart.signer.jwks["keys"]) as own:
        own.headers = {"Cache-Control": "max-age=60"}
        registered(chart, cds_jwks=None, cds_jwks_url=own.url)
        assert chart.call().status_code == 200
        own.status = 500
        chart.practice.doors.now += dt.timedelta(seconds=59)
        assert chart.call().status_code == 200
        chart.practice.doors.now += dt.timedelta(seconds=2)
        refused(chart.call())


def test_4_f07_a_slow_key_server_makes_no_chart_wait_and_its_keys_are_there_next_time(chart: Chart) -> None:
    with served(*chart.signer.jwks["keys"]) as own, chart.practice.doors.http as http:
        own.seconds = 0.004
        registered(chart, cds_jwks=None, cds_jwks_url=own.url)
        began = time.perf_counter()
        headers = {"Authorization": f"Bearer {chart.token(PATH)}"}
        refused(http.post(PATH, json=chart.body(), headers=headers))
        assert time.perf_counter() - began < 2
        time.sleep(3)
        assert chart.call().status_code == 200 and own.calls == 1


def test_4_f08_unknown_kids_are_looked_up_once_in_a_while(chart: Chart) -> None:
    with served(*chart.signer.jwks["keys"]) as own:
        registered(chart, cds_jwks=None, cds_jwks_url=own.url)
        for number in range(20):
            refused(with_token(chart, worded(kid=f"made-up-{number}")(chart.signer, claims(chart))))
        assert own.calls <= 2


@pytest.mark.parametrize(
    "aud",
    [
        BASE,
        f"{BASE}/",
        f"{BASE}/cds-services",
        f"{BASE}/cds-services/cm-encounter-discharge",
        f"{BASE}{PATH}/",
        f"{BASE}{PATH}/feedback",
        f"http://cm.example{PATH}",
        f"{BASE}:443{PATH}",
        f"{BASE}/auth/token",
    ],
)
def test_4_f09_the_audience_is_the_called_address_and_no_other(shared: Chart, aud: str) -> None:
    refused(with_token(shared, shared.signer.sign(claims(shared) | {"aud": aud})))


def test_4_f09_what_the_host_header_says_changes_no_audience(shared: Chart) -> None:
    token = shared.signer.sign(claims(shared) | {"aud": f"https://attacker.example{PATH}"})
    headers = {"Authorization": f"Bearer {token}", "Host": "attacker.example"}
    refused(shared.practice.doors.http.post(PATH, json=shared.body(), headers=headers))


def test_4_f12_a_token_is_good_once_on_all_replicas(chart: Chart, tmp_path: Path) -> None:
    replica = open_doors(tmp_path)
    token = chart.token(PATH)
    worlds = [chart.practice.doors, replica] * 4

    def call(world: Any) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return int(world.http.post(PATH, json=chart.body(), headers=headers).status_code)

    with ThreadPoolExecutor(8) as many:
        assert sorted(many.map(call, worlds)) == [200] + [401] * 7


def test_4_f12_a_bad_body_uses_the_token_up_as_well(chart: Chart) -> None:
    token = chart.token(PATH)
    assert with_token(chart, token, body={"hook": "patient-view"}).status_code == 400
    refused(with_token(chart, token))


def test_4_f13_the_public_test_identity_opens_nothing_in_production(chart: Chart) -> None:
    sandbox = Machine("https://sandbox.cds-hooks.org")
    registered(chart, cds_issuer=sandbox.id, cds_jwks=sandbox.jwks)
    refused(with_token(chart, sandbox.assertion(now=chart.practice.doors.now, aud=f"{BASE}{PATH}")))
