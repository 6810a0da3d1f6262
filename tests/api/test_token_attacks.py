"""What attackers try at the token endpoint and with its tokens: 5-F01 to 5-F29."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from cm_service.api.security import key_sets
from cm_service.db import doors
from cm_service.errors import BadInput
from cm_service.fhir import outside
from cm_service.fhir.outside import require_allowed
from tests.api.door_world import (
    BASE,
    NOW,
    TOKEN_URL,
    Doors,
    Machine,
    ask,
    bearer,
    form,
    open_doors,
    register,
)
from tests.api.forgeries import EVERYWHERE, Forge, changed, served, worded
from tests.api.key_server import KeyServer

MACHINES = {algorithm: Machine("lab", algorithm=algorithm) for algorithm in ("ES384", "RS384")}
Json = dict[str, Any]


@pytest.fixture
def world(tmp_path: Path) -> Doors:
    return open_doors(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Doors:
    """For attacks that leave nothing behind."""
    return open_doors(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def machine(world: Doors) -> Machine:
    return register(world, MACHINES["ES384"])


@pytest.fixture
def keys() -> Iterator[KeyServer]:
    with served(*MACHINES["ES384"].jwks["keys"]) as server:
        yield server


@pytest.fixture
def remote(world: Doors, keys: KeyServer) -> Machine:
    """A client whose keys stand at a URL."""
    return register(world, MACHINES["ES384"], jwks=None, jwks_url=keys.url)


def refused(answer: httpx.Response, error: str = "invalid_client", status: int = 401) -> None:
    assert (answer.status_code, answer.json().get("error")) == (status, error), answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert "access_token" not in answer.json()


def forged(world: Doors, machine: Machine, forge: Forge) -> httpx.Response:
    return ask(world, machine, client_assertion=forge(machine, machine.claims(now=world.now)))


# --- the assertion


@pytest.mark.parametrize("name", EVERYWHERE)
@pytest.mark.parametrize("algorithm", MACHINES)
def test_5_f01_a_forged_assertion_is_refused(shared: Doors, algorithm: str, name: str) -> None:
    machine = Machine(f"lab-{algorithm}-{list(EVERYWHERE).index(name)}", algorithm="ES384")
    machine.algorithm, machine.key = algorithm, MACHINES[algorithm].key
    register(shared, machine)
    assert ask(shared, machine).status_code == 200, "the attack is one small step away from what is good"
    refused(forged(shared, machine, EVERYWHERE[name]))


def test_5_f06_one_megabyte_is_not_read_to_its_end(shared: Doors) -> None:
    machine = register(shared, Machine("long-winded"))
    refused(forged(shared, machine, changed(pad="0" * 10**6)), "invalid_request", 413)


def test_5_f01_an_assertion_for_another_address_or_client_is_refused(world: Doors, machine: Machine) -> None:
    register(world, Machine("other"))
    for forge in (
        changed(aud=f"{BASE}/cds-services/cm-patient-view"),
        changed(aud=f"{BASE}/auth"),
        changed(sub="other"),
        changed(iss="other"),
        changed(iss="other", sub="other"),
        changed(sub=None),
    ):
        refused(forged(world, machine, forge))


def test_5_f01_both_our_names_are_good_audiences_together(world: Doors, machine: Machine) -> None:
    assert forged(world, machine, changed(aud=[TOKEN_URL, BASE])).status_code == 200


def test_5_f01_a_jku_must_be_the_registered_one_and_is_ignored_with_a_file(
    world: Doors, keys: KeyServer
) -> None:
    attacker = "https://attacker.example/jwks.json"
    filed = register(world, Machine("filed"))
    assert forged(world, filed, worded(jku=attacker)).status_code == 200
    remote = register(world, MACHINES["ES384"], jwks=None, jwks_url=keys.url)
    refused(forged(world, remote, worded(jku=attacker)))
    assert keys.calls == 0
    assert forged(world, remote, worded(jku=keys.url)).status_code == 200


def test_5_f02_an_assertion_that_is_meant_for_another_server_too_is_refused(
    world: Doors, machine: Machine
) -> None:
    refused(forged(world, machine, changed(aud=[TOKEN_URL, "https://other.example/token"])))


# --- keys


def _number(value: int) -> str:
    return (
        base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8 or 1, "big"))
        .decode()
        .rstrip("=")
    )


def _public(key: Any, **more: Any) -> Json:
    return {**key.as_dict(private=False), "kid": "k", **more}


def _off_the_curve() -> Json:
    found = _public(ECKey.generate_key("P-384"))
    return {**found, "y": _number(1)}


GOOD = _public(ECKey.generate_key("P-384"))
UNUSABLE = {
    "5-F08 RSA 1024": _public(RSAKey.generate_key(1024, auto_kid=False)),
    "5-F08 e = 1": {**_public(RSAKey.generate_key(2048)), "e": "AQ"},
    "5-F08 e = 3": {**_public(RSAKey.generate_key(2048)), "e": "Aw"},
    "5-F08 16384 bits": {"kty": "RSA", "kid": "k", "e": "AQAB", "n": _number(2**16383 + 1)},
    "5-F09 P-256": _public(ECKey.generate_key("P-256")),
    "5-F09 P-521": _public(ECKey.generate_key("P-521")),
    "5-F10 off the curve": _off_the_curve(),
    "5-F11 use=enc": {**GOOD, "use": "enc"},
    "5-F11 another alg": {**GOOD, "alg": "ES256"},
    "5-F11 key_ops without verify": {**GOOD, "key_ops": ["sign"]},
    "5-F11 key_ops is a number": {**GOOD, "key_ops": 5},
    "5-F11 no kid": {name: value for name, value in GOOD.items() if name != "kid"},
    "5-F11 kid is a number": {**GOOD, "kid": 5},
    "5-F11 no coordinates": {"kty": "EC", "crv": "P-384", "kid": "k"},
    "5-F11 nothing in it": {},
}
NO_SETS = {
    "5-F11 10k keys": {"keys": [GOOD] * 10_000},
    "5-F11 private parts": {"keys": [{**GOOD, "d": "AQ"}]},
    "5-F11 oct": {"keys": [GOOD, {"kty": "oct", "kid": "o", "k": "AQ"}]},
    "5-F11 no array": {"keys": {"k": GOOD}},
    "5-F11 no objects": {"keys": ["k"]},
    "5-F11 a list": [GOOD],
    "5-F11 nothing": None,
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_key_that_is_weak_or_not_for_this_is_never_used(name: str) -> None:
    for algorithm in key_sets.ALGORITHMS:
        assert key_sets.fitting_key([UNUSABLE[name]], kid="k", algorithm=algorithm) is None
    with pytest.raises(BadInput):
        key_sets.require_usable([UNUSABLE[name]])


@pytest.mark.parametrize("name", NO_SETS)
def test_what_is_no_set_of_public_keys_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        key_sets.checked_set(NO_SETS[name])


def test_5_f11_of_two_keys_with_one_kid_none_is_used_unless_their_types_tell_them_apart() -> None:
    other, rsa = _public(ECKey.generate_key("P-384")), _public(RSAKey.generate_key(2048))
    assert key_sets.fitting_key([GOOD, other], kid="k", algorithm="ES384") is None
    assert key_sets.fitting_key([GOOD, rsa], kid="k", algorithm="ES384") is not None


@pytest.mark.parametrize("name", NO_SETS)
def test_5_f11_a_served_set_that_is_none_opens_nothing(
    world: Doors, remote: Machine, keys: KeyServer, name: str
) -> None:
    import json

    keys.raw = json.dumps(NO_SETS[name]).encode()
    refused(ask(world, remote))


@pytest.mark.parametrize(
    "what",
    ["redirect", "50 MB", "html", "deep", "empty", "500"],
)
def test_5_f12_a_key_set_that_is_not_simply_there_opens_nothing(
    world: Doors, remote: Machine, keys: KeyServer, what: str
) -> None:
    good = keys.url
    if what == "redirect":
        with served(*MACHINES["ES384"].jwks["keys"]) as elsewhere:
            keys.status, keys.headers = 302, {"Location": elsewhere.url}
            refused(ask(world, remote))
            assert elsewhere.calls == 0 and keys.url == good
        return
    keys.status = 500 if what == "500" else 200
    raws = {"50 MB": b" " * 50_000_000, "html": b"<html>", "deep": b"[" * 100_000, "empty": b""}
    keys.raw = raws.get(what)
    refused(ask(world, remote))


def test_5_f12_a_slow_drip_ends_at_the_deadline(
    world: Doors, remote: Machine, keys: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "DEADLINE_SECONDS", 0.3)
    keys.seconds = 0.05
    refused(ask(world, remote))


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/jwks",
        "http://lab.example/jwks",
        "ftp://lab.example/jwks",
        "https://user:word@lab.example/jwks",
        "https://lab.example/jwks#a",
        "https://lab.example:0/jwks",
        "https:///jwks",
        "file:///etc/passwd",
    ],
)
def test_5_f12_no_such_url_can_be_registered(url: str) -> None:
    with pytest.raises(BadInput):
        require_allowed(url)


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "[::ffff:10.0.0.1]",
        "[fe80::1]",
        "2130706433",
    ],
)
def test_5_f12_nothing_inside_our_walls_is_called(world: Doors, host: str) -> None:
    began = dt.datetime.now(dt.UTC)
    inside = register(world, Machine("inside"), jwks=None, jwks_url=f"https://{host}/jwks")
    refused(ask(world, inside))
    assert dt.datetime.now(dt.UTC) - began < dt.timedelta(seconds=3), "it was called"


def test_5_f13_a_key_that_was_rotated_out_is_refused_after_the_max_age(
    world: Doors, remote: Machine, keys: KeyServer
) -> None:
    keys.headers = {"Cache-Control": "max-age=60"}
    assert ask(world, remote).status_code == 200
    keys.keys = [_public(ECKey.generate_key("P-384"))]
    world.now += dt.timedelta(seconds=59)
    assert ask(world, remote).status_code == 200
    world.now += dt.timedelta(seconds=2)
    refused(ask(world, remote))


def test_5_f13_a_key_that_was_rotated_in_is_found_by_looking_once_more(
    world: Doors, remote: Machine, keys: KeyServer
) -> None:
    keys.keys = [_public(ECKey.generate_key("P-384"))]
    refused(ask(world, remote))
    keys.keys = remote.jwks["keys"]
    world.now += dt.timedelta(seconds=31)
    assert ask(world, remote).status_code == 200


def test_5_f13_what_must_not_be_kept_is_fetched_each_time(
    world: Doors, remote: Machine, keys: KeyServer
) -> None:
    keys.headers = {"Cache-Control": "no-store"}
    assert ask(world, remote).status_code == 200
    keys.keys = []
    refused(ask(world, remote))


def test_5_f14_a_flood_of_unknown_kids_is_no_flood_of_fetches(
    world: Doors, remote: Machine, keys: KeyServer
) -> None:
    for number in range(50):
        refused(forged(world, remote, worded(kid=f"made-up-{number}")))
    assert keys.calls <= 2
    assert ask(world, remote).status_code == 200


def test_5_f14_a_broken_key_server_is_left_alone_for_a_while(
    world: Doors, remote: Machine, keys: KeyServer
) -> None:
    keys.status = 503
    for _ in range(20):
        refused(ask(world, remote))
    assert keys.calls == 1
    keys.status, world.now = 200, world.now + dt.timedelta(seconds=6)
    assert ask(world, remote).status_code == 200


# --- clients and their tokens


def test_5_f15_a_token_ends_when_its_client_is_disabled(world: Doors, machine: Machine) -> None:
    headers = bearer(world, machine)
    assert world.http.get("/v1/emrs", headers=headers).status_code == 200
    with world.database.write() as connection:
        doors.disable_client(connection, machine.id, now=world.now)
    assert world.http.get("/v1/emrs", headers=headers).status_code == 401
    refused(ask(world, machine))


def test_5_f16_of_many_with_one_assertion_on_two_replicas_one_gets_a_token(
    database_url: str, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    replicas = [open_doors(folder, database_url=database_url) for folder in folders]
    machine = register(replicas[0], Machine("lab"))
    for _ in range(3):
        assertion = machine.assertion()
        with ThreadPoolExecutor(8) as many:
            answers = list(
                many.map(lambda n, a=assertion: ask(replicas[n % 2], machine, client_assertion=a), range(16))
            )
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 15


@pytest.mark.parametrize(
    ("name", "seconds", "status"),
    [("exp", -59, 200), ("exp", -60, 401), ("iat", 60, 200), ("iat", 61, 401), ("nbf", 60, 200)],
)
def test_5_f17_clocks_may_differ_by_sixty_seconds(
    world: Doors, machine: Machine, name: str, seconds: int, status: int
) -> None:
    moment = int(world.now.timestamp()) + seconds
    assert forged(world, machine, changed(**{name: moment})).status_code == status


def test_5_f18_basic_beside_the_assertion_is_refused(world: Doors, machine: Machine) -> None:
    body = form(machine, client_assertion=machine.assertion())
    answer = world.http.post("/auth/token", data=body, auth=("lab", "word"))
    refused(answer, "invalid_request", 400)


def test_5_f19_a_client_id_must_be_the_issuer(world: Doors, machine: Machine) -> None:
    refused(ask(world, machine, client_id="other"))
    assert ask(world, machine, client_id=machine.id).status_code == 200


@pytest.mark.parametrize(
    "grant", ["authorization_code", "password", "refresh_token", "implicit", "CLIENT_CREDENTIALS"]
)
def test_5_f20_other_grants_are_not_supported(world: Doors, machine: Machine, grant: str) -> None:
    refused(ask(world, machine, grant_type=grant), "unsupported_grant_type", 400)


def test_5_f20_a_secret_is_no_proof(world: Doors, machine: Machine) -> None:
    refused(ask(world, machine, client_assertion_type=None, client_assertion=None, client_secret="word"))


def test_5_f21_a_json_body_is_refused(world: Doors, machine: Machine) -> None:
    body = form(machine, client_assertion=machine.assertion())
    refused(world.http.post("/auth/token", json=body), "invalid_request", 400)


def test_5_f22_get_is_not_allowed_and_uses_nothing_up(world: Doors, machine: Machine) -> None:
    assertion = machine.assertion()
    answer = world.http.get("/auth/token", params=form(machine, client_assertion=assertion))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert ask(world, machine, client_assertion=assertion).status_code == 200


@pytest.mark.parametrize(
    "field", ["scope", "grant_type", "client_assertion", "client_assertion_type", "other"]
)
def test_5_f23_a_repeated_field_is_refused(world: Doors, machine: Machine, field: str) -> None:
    body = {"other": "x", **form(machine, client_assertion=machine.assertion())}
    doubled = {name: [value, value] if name == field else value for name, value in body.items()}
    refused(world.http.post("/auth/token", data=doubled), "invalid_request", 400)


@pytest.mark.parametrize(
    "scope",
    [
        "",
        " ",
        "x" * 10_000,
        "system/*.*.*",
        "system/*.dus",
        "system/*.",
        "system/Patient.rs?name=x",
        "system/Patient.rs?_security=http://x|y",
        "user/*.rs",
        "patient/Patient.rs",
        "openid",
        "system/Nothing.rs",
        "system/*.rs\0",
        "launch",
        "*",
    ],
)
def test_5_f24_a_scope_that_is_not_understood_is_refused_not_widened(world: Doors, scope: str) -> None:
    machine = register(world, Machine("lab"))
    refused(ask(world, machine, scope=scope), "invalid_scope", 400)


def test_5_f24_a_wildcard_gives_what_is_registered_and_no_more(world: Doors) -> None:
    narrow = register(world, Machine("narrow"), scope="system/Patient.rs system/Task.s")
    assert ask(world, narrow, scope="system/*.*").json()["scope"] == "system/Patient.rs system/Task.s"
    refused(ask(world, narrow, scope="system/Consent.c"), "invalid_scope", 400)


def test_5_f25_a_token_in_the_query_is_refused_even_if_it_lives(world: Doors, machine: Machine) -> None:
    headers = bearer(world, machine)
    token = headers["Authorization"].partition(" ")[2]
    for extra in ({}, headers):
        answer = world.http.get("/v1/emrs", params={"access_token": token}, headers=extra)
        assert answer.status_code == 401


def test_5_f26_what_is_no_access_token_of_ours_opens_nothing(world: Doors, machine: Machine) -> None:
    for text in (machine.assertion(), machine.assertion(aud=f"{BASE}/v1"), machine.id, "x" * 43):
        answer = world.http.get("/v1/emrs", headers={"Authorization": f"Bearer {text}"})
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_5_f27_a_token_with_one_other_character_opens_nothing(world: Doors, machine: Machine) -> None:
    headers = bearer(world, machine)
    token = headers["Authorization"].partition(" ")[2]
    spoilt = [f"{token[:at]}{'A' if token[at] != 'A' else 'B'}{token[at + 1 :]}" for at in range(len(token))]
    words = [f"Bearer {each}" for each in (*spoilt, token[:-1], f"{token}=", f"{token} x")]
    for word in (*words, f"Basic {token}", token, f"Bearer  {token}"):
        assert world.http.get("/v1/emrs", headers={"Authorization": word}).status_code == 401, word
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert world.http.get("/v1/emrs", headers=twice).status_code == 401


def test_5_f28_a_token_that_is_over_by_a_second_opens_nothing(world: Doors, machine: Machine) -> None:
    headers = bearer(world, machine)
    for seconds, status in ((299, 200), (300, 401), (301, 401)):
        world.now = NOW + dt.timedelta(seconds=seconds)
        assert world.http.get("/v1/emrs", headers=headers).status_code == status


def test_5_f29_the_leeway_is_no_second_life(world: Doors, machine: Machine) -> None:
    moment = int(world.now.timestamp())
    refused(forged(world, machine, changed(exp=moment + 361)))
    assertion = machine.assertion(exp=moment + 360)
    assert ask(world, machine, client_assertion=assertion).status_code == 200
    world.now += dt.timedelta(seconds=419)
    assert ask(world, machine).status_code == 200, "what is over is thrown away meanwhile"
    refused(ask(world, machine, client_assertion=assertion))
    world.now += dt.timedelta(seconds=1)
    refused(ask(world, machine, client_assertion=assertion))
