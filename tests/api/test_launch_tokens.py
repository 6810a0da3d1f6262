"""Tokens that prove nothing or are none: 3A-F05 to 3A-F13 (EL-6 to EL-8)."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from tests.api.launch_attack_world import (
    Both,
    Json,
    b64,
    launched,
    refused,
    rs256,
    session_of_page,
)
from tests.api.launch_world import (
    CLIENT,
    PATIENT,
    LaunchingEmr,
    Odd,
)

# --- id_token


def _unsigned(claims: Json, **header: Any) -> str:
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"


def _hs256(claims: Json, secret: bytes) -> str:
    unsigned = _unsigned(claims, alg="HS256", kid="k1")
    return f"{unsigned}.{b64(hmac.digest(secret, unsigned.encode(), hashlib.sha256))}"


OTHER, EC = RSAKey.generate_key(2048), ECKey.generate_key("P-256")
Forge = Callable[[LaunchingEmr, Json], str]
FORGED: dict[str, Forge] = {
    "3A-F05 alg none": lambda _e, c: f"{_unsigned(c, alg='none', kid='k1')}.",
    "3A-F05 alg None": lambda _e, c: f"{_unsigned(c, alg='None', kid='k1')}.",
    "3A-F06 HS256 under the public key": lambda e, c: _hs256(c, e.key.as_pem(private=False)),
    "3A-F06 HS256 under the client id": lambda _e, c: _hs256(c, CLIENT.encode()),
    "3A-F07 an unknown key": lambda e, c: rs256(e, c, OTHER),
    "3A-F07 an unknown kid": lambda e, c: rs256(e, c, OTHER, kid="other"),
    "3A-F07 an EC key": lambda e, c: rs256(e, c, EC, "ES256"),
    "3A-F07 PS256": lambda e, c: rs256(e, c, algorithm="PS256"),
    "3A-F11 jwk in the header": lambda e, c: rs256(e, c, OTHER, jwk=OTHER.as_dict(private=False)),
    "3A-F11 jku in the header": lambda e, c: rs256(e, c, OTHER, jku="https://evil.example/jwks"),
    "3A-F11 x5u in the header": lambda e, c: rs256(e, c, OTHER, x5u="https://evil.example/x5"),
    "3A-F12 iss with a slash": lambda e, c: rs256(e, {**c, "iss": f"{c['iss']}/"}),
    "3A-F12 another iss": lambda e, c: rs256(e, {**c, "iss": "https://evil.example"}),
    "3A-F12 another aud": lambda e, c: rs256(e, {**c, "aud": "other"}),
    "3A-F12 aud with others and no azp": lambda e, c: rs256(e, {**c, "aud": [CLIENT, "other"]}),
    "3A-F12 azp of another": lambda e, c: rs256(e, {**c, "aud": [CLIENT, "other"], "azp": "other"}),
    "3A-F12 no aud": lambda e, c: rs256(e, {**c, "aud": []}),
    "3A-F12 expired": lambda e, c: rs256(e, {**c, "exp": c["iat"] - 60}),
    "3A-F12 no exp": lambda e, c: rs256(e, {**c, "exp": None}),
    "3A-F12 exp as text": lambda e, c: rs256(e, {**c, "exp": "4102444800"}),
    "3A-F12 iat in the future": lambda e, c: rs256(e, {**c, "iat": c["iat"] + 61}),
    "3A-F12 no iat": lambda e, c: rs256(e, {**c, "iat": None}),
    "3A-F12 no sub": lambda e, c: rs256(e, {**c, "sub": ""}),
    "3A-F12 fhirUser elsewhere": lambda e, c: rs256(
        e, {**c, "fhirUser": "https://evil.example/Practitioner/n"}
    ),
    "3A-F12 fhirUser with dots": lambda e, c: rs256(e, {**c, "fhirUser": "Patient/../admin"}),
    "3A-F12 fhirUser beside the base": lambda e, c: rs256(e, {**c, "fhirUser": f"{e.base}x/Practitioner/n"}),
    "3A-F12 fhirUser of another type": lambda e, c: rs256(e, {**c, "fhirUser": "Device/n"}),
    "3A-F12 no fhirUser": lambda e, c: rs256(e, {**c, "fhirUser": None}),
    "crit": lambda _e, c: f"{_unsigned(c, alg='RS256', crit=['x'])}.x",
    "claims are a list": lambda e, _c: jws.serialize_compact(
        {"alg": "RS256", "kid": "k1"}, "[]", e.key, algorithms=["RS256"]
    ),
    "no token": lambda _e, _c: "x",
    "empty": lambda _e, _c: "",
}


@pytest.mark.parametrize("name", FORGED)
def test_3a_f05_to_f12_an_id_token_that_proves_nothing_opens_no_page(shared: Both, name: str) -> None:
    _, emr = shared
    emr.forge = lambda claims: FORGED[name](emr, claims)
    refused(launched(shared))
    assert len(emr.seen) == 1 and not any("evil" in call for call in emr.calls)


def test_3a_f08_without_a_kid_one_key_is_enough_and_two_are_too_many(both: Both) -> None:
    _, emr = both
    emr.forge = lambda claims: rs256(emr, claims, kid=None)
    assert launched(both).status_code == 200
    good = emr.get("/jwks")["keys"][0]
    other = {**OTHER.as_dict(private=False), "kid": "k2", "use": "sig"}
    emr.keys = [good, other]
    both[0].now += dt.timedelta(minutes=6)
    refused(launched(both))


def test_3a_f09_a_rotated_key_is_looked_up_once_and_then_no_more(both: Both) -> None:
    world, emr = both
    assert launched(both).status_code == 200
    emr.keys = [{**OTHER.as_dict(private=False), "kid": "k2", "use": "sig", "alg": "RS256"}]
    emr.forge = lambda claims: rs256(emr, claims, OTHER, kid="k2")
    world.now += dt.timedelta(seconds=31)
    assert launched(both).status_code == 200
    emr.forge = lambda claims: rs256(emr, claims, OTHER, kid="k3")
    for _ in range(5):
        refused(launched(both))
    assert emr.calls.count("/jwks") == 2
    emr.keys = []
    world.now += dt.timedelta(minutes=6)
    refused(launched(both))


def test_3a_f10_two_keys_with_one_kid_prove_nothing(both: Both) -> None:
    _, emr = both
    good = emr.get("/jwks")["keys"][0]
    emr.keys = [good, {**OTHER.as_dict(private=False), "kid": "k1", "use": "sig"}]
    refused(launched(both))


@pytest.mark.parametrize(
    "odd", [Odd(500), Odd(200, b"<html>"), Odd(302, headers={"Location": "https://evil.example"})]
)
def test_3a_f09_without_a_key_set_nobody_comes_in(both: Both, odd: Odd) -> None:
    _, emr = both
    emr.odd["/jwks"] = odd
    refused(launched(both))


def test_3a_f12_a_short_key_proves_nothing(both: Both) -> None:
    _, emr = both
    short = RSAKey.generate_key(1024)
    emr.keys = [{**short.as_dict(private=False), "kid": "k1", "use": "sig"}]
    emr.forge = lambda claims: rs256(emr, claims, short)
    refused(launched(both))


# --- token response


@pytest.mark.parametrize(
    "odd",
    [
        Odd(200, b"[]"),
        Odd(200, b"<html>"),
        Odd(200, b""),
        Odd(302, headers={"Location": "https://evil.example"}),
        Odd(500),
        Odd(200, b" " * 2_000_000),
        Odd(200, b'{"access_token": 5}'),
    ],
    ids=["list", "html", "empty", "redirect", "500", "2 MB", "a number"],
)
def test_3a_f13_a_token_response_that_is_none_opens_no_page(shared: Both, odd: Odd) -> None:
    _, emr = shared
    emr.odd["/token"] = odd
    refused(launched(shared))
    assert len(emr.seen) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"patient": None},
        {"patient": "../p1"},
        {"patient": "p1\n"},
        {"patient": 1},
        {"patient": ["p1"]},
        {"patient": "p2"},  # not readable with this token
        {"encounter": "../x"},
        {"token_type": "MAC"},
        {"token_type": None},
        {"access_token": None},
        {"access_token": "a b"},
        {"id_token": None},
    ],
    ids=lambda changes: f"{changes}",
)
def test_3a_f13_a_token_response_with_something_wrong_opens_no_page(shared: Both, changes: Json) -> None:
    _, emr = shared
    emr.token = changes
    refused(launched(shared))


def test_3a_f13_another_patient_than_was_asked_for_is_no_patient(both: Both) -> None:
    _, emr = both
    emr.resources["Patient/p2"] = PATIENT
    emr.token = {"patient": "p2"}
    refused(launched(both))


def test_3a_f13_a_patient_that_the_user_may_not_read_is_hidden(both: Both) -> None:
    _, emr = both
    emr.odd["/fhir/Patient/p1"] = Odd(403, b'{"resourceType": "OperationOutcome", "issue": []}')
    refused(launched(both), "Lovelace")


def test_3a_f13_without_expires_in_a_token_is_trusted_for_five_minutes(both: Both) -> None:
    world, emr = both
    for given in (None, "x", -5, 0):
        emr.token = {"expires_in": given}
        assert session_of_page(world, launched(both)).token_until == world.now + dt.timedelta(seconds=300)


@pytest.mark.parametrize(
    ("said", "shown"), [(False, False), (True, True), (None, True), ("false", True), (0, True)]
)
def test_3a_f13_only_a_plain_false_hides_the_banner(both: Both, said: Any, shown: bool) -> None:
    world, emr = both
    emr.token = {"need_patient_banner": said}
    assert session_of_page(world, launched(both)).context["banner"] is shown


def test_3a_f13_a_smaller_scope_is_what_the_session_holds(both: Both) -> None:
    world, emr = both
    emr.token = {"scope": "launch openid fhirUser patient/Patient.read"}
    assert session_of_page(world, launched(both)).scope == "launch openid fhirUser patient/Patient.read"
