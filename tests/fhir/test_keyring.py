"""Our signing keys: published before they are used, and for a while after; private parts stay here."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, JWKRegistry, RSAKey

from cm_service.errors import Misconfigured
from cm_service.fhir.keyring import LEAD, STAYS_PUBLISHED, KeyRing
from cm_service.fhir.signing import signer_of

NOW = dt.datetime(2026, 11, 20, 20, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys just made: an RSA key takes a moment."""
    folder = tmp_path_factory.mktemp("template") / "keys"
    KeyRing(folder / "signing.json").rotate(NOW)
    return folder


@pytest.fixture
def ring(tmp_path: Path, template: Path) -> KeyRing:
    shutil.copytree(template, tmp_path / "keys")
    return KeyRing(tmp_path / "keys" / "signing.json")


def states(ring: KeyRing, now: dt.datetime, alg: str = "ES384") -> list[str]:
    return [key["state"] for key in ring.listed(now) if key["alg"] == alg]


def kids(ring: KeyRing, now: dt.datetime) -> set[str]:
    return {key["kid"] for key in ring.published(now)}


def test_the_first_rotation_makes_a_key_to_use_and_its_successor_for_both_algorithms(ring: KeyRing) -> None:
    assert states(ring, NOW, "RS384") == states(ring, NOW, "ES384") == ["current", "next"]
    assert {(key["kty"], key["alg"]) for key in ring.published(NOW)} == {("RSA", "RS384"), ("EC", "ES384")}


def test_BS_11_the_published_set_is_bare_public_keys(ring: KeyRing) -> None:
    for later in (0, 1):
        ring.rotate(NOW + later * 2 * LEAD)
        for key in ring.published(NOW + later * 2 * LEAD):
            names = {"n", "e"} if key["kty"] == "RSA" else {"crv", "x", "y"}
            assert set(key) == {"kty", "kid", "alg", "use"} | names
            assert not PRIVATE & set(key)


@pytest.mark.parametrize("alg", ["RS384", "ES384"])
def test_what_is_signed_is_checked_with_the_published_key_of_that_kid(ring: KeyRing, alg: str) -> None:
    signed = ring.signer(alg, NOW).sign({"iss": "cm"})
    kid = ring.signer(alg, NOW).kid
    (public,) = (key for key in ring.published(NOW) if key["kid"] == kid)
    token = jwt.decode(signed, JWKRegistry.import_key(public), algorithms=[alg])
    assert token.header == {"alg": alg, "kid": kid, "typ": "JWT"}


def test_a_successor_is_used_only_when_it_has_been_published_for_a_day(ring: KeyRing) -> None:
    old, known = ring.signer("ES384", NOW).kid, kids(ring, NOW)
    ring.rotate(NOW + HOUR)
    assert ring.signer("ES384", NOW + LEAD - HOUR / 60).kid == old
    new = ring.signer("ES384", NOW + LEAD).kid
    assert new != old and new in known


def test_a_successor_published_long_ago_is_used_at_once(ring: KeyRing) -> None:
    old = ring.signer("ES384", NOW).kid
    ring.rotate(NOW + 2 * LEAD)
    assert ring.signer("ES384", NOW + 2 * LEAD).kid != old
    assert states(ring, NOW + 2 * LEAD) == ["old", "current", "next"]


def test_a_replaced_key_stays_published_for_a_week_and_can_sign_no_more(
    ring: KeyRing, tmp_path: Path
) -> None:
    old = ring.signer("ES384", NOW).kid
    moment = NOW + 2 * LEAD
    ring.rotate(moment)
    assert old in kids(ring, moment + STAYS_PUBLISHED - HOUR)
    assert old not in kids(ring, moment + STAYS_PUBLISHED)
    kept = {key["kid"]: key["jwk"] for key in json.loads((tmp_path / "keys/signing.json").read_bytes())}
    assert "d" not in kept[old]


@pytest.mark.parametrize("gap", [HOUR, LEAD, STAYS_PUBLISHED * 2])
def test_whoever_rotates_how_often_there_is_always_one_key_to_use_that_was_published_before(
    ring: KeyRing, gap: dt.timedelta
) -> None:
    first_seen = dict.fromkeys(kids(ring, NOW), NOW)
    for step in range(1, 6):
        now = NOW + step * gap
        if step % 3:
            ring.rotate(now)
        for kid in kids(ring, now):
            first_seen.setdefault(kid, now)
        used = ring.signer("RS384", now).kid
        assert used in kids(ring, now)
        assert first_seen[used] in (NOW, *(moment for moment in first_seen.values() if moment + LEAD <= now))
        assert states(ring, now).count("current") == 1


def test_compromised_keys_vanish_at_once(ring: KeyRing) -> None:
    before = kids(ring, NOW)
    ring.rotate(NOW + HOUR, compromised=True)
    assert not before & kids(ring, NOW + HOUR)
    assert ring.signer("RS384", NOW + HOUR).kid not in before


def test_a_place_that_takes_no_keys_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file where the folder should be")
    with pytest.raises(Misconfigured, match="cannot be used"):
        KeyRing(tmp_path / "keys" / "signing.json").rotate(NOW)


def test_rotations_at_the_same_time_lose_no_key(ring: KeyRing) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(ring.rotate, [NOW + HOUR] * 3))
    assert states(ring, NOW + HOUR) == ["current", "next", "next", "next", "next"]


def test_the_keys_are_private_to_the_user_who_runs_the_service(ring: KeyRing, tmp_path: Path) -> None:
    file = tmp_path / "keys" / "signing.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_1A_F09_keys_that_are_missing_or_broken_are_told_with_what_to_do(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys" / "signing.json")
    assert ring.published(NOW) == []
    with pytest.raises(Misconfigured, match="cm-service keys rotate"):
        ring.signer("ES384", NOW)
    ring.rotate(NOW)
    (tmp_path / "keys" / "signing.json").write_text('[{"kid": "s3cr3t"')
    for ask in (lambda: ring.published(NOW), lambda: ring.signer("ES384", NOW), lambda: ring.rotate(NOW)):
        with pytest.raises(Misconfigured, match="cannot be used") as caught:
            ask()
        assert "s3cr3t" not in str(caught.value)


# --- a key of a connection's own


def private(key: Any, form: str) -> str:
    return key.as_pem(private=True).decode() if form == "pem" else json.dumps(key.as_dict(private=True))


@pytest.mark.parametrize("form", ["pem", "jwk"])
@pytest.mark.parametrize(
    ("key", "alg"), [(RSAKey.generate_key(2048), "RS384"), (ECKey.generate_key("P-384"), "ES384")]
)
def test_a_key_by_reference_decides_the_algorithm(key: Any, alg: str, form: str) -> None:
    own = signer_of(private(key, form), kid=None)
    assert (own.alg, own.kid) == (alg, key.thumbprint())
    assert signer_of(private(key, form), kid="theirs").kid == "theirs"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "{}",
        "[]",
        "s3cr3t",
        '{"kty": "oct", "k": "czNjcjN0"}',
        "-----BEGIN PRIVATE KEY-----\ns3cr3t\n-----END PRIVATE KEY-----",
        private(ECKey.generate_key("P-256"), "pem"),
        ECKey.generate_key("P-384").as_pem(private=False).decode(),
        RSAKey.generate_key(2048).as_pem(private=False).decode(),
        json.dumps(RSAKey.generate_key(2048).as_dict(private=False)),
    ],
)
def test_1A_F09_a_key_that_cannot_sign_is_told_without_a_word_of_it(bad: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        signer_of(bad, kid=None)
    assert "s3cr3t" not in str(caught.value)
