"""SMART Backend Services against a token server that nobody here wrote."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from cm_service import wiring
from cm_service.api.app import create_app
from cm_service.db.engine import Database
from cm_service.errors import TokenRefused
from cm_service.fhir.keyring import LEAD, KeyRing
from cm_service.fhir.proofs import ASSERTION_TYPE, PrivateKeyJwt
from cm_service.fhir.scopes import asked
from cm_service.fhir.signing import Signer
from cm_service.fhir.smart import TokenCredentials
from cm_service.fhir.vendor import NO_PROFILE
from cm_service.flow import passport
from cm_service.flow.passport.standing import State
from cm_service.sandbox import server as sandboxes
from cm_service.sandbox.app import create_app as sandbox_app
from cm_service.sandbox.personality import GENEROUS
from cm_service.sandbox.store import Store
from cm_service.settings import Settings
from tests.flow.night_world import AS_OF, Practice, out_of_range
from tests.real.token_front import Door, Passed, guarded
from tests.real.token_server import introspected, revoked, token_server, with_key_set, with_keys, with_secret

Json = dict[str, Any]
KEYS = {
    "RS384": RSAKey.generate_key(2048, {"kid": "rsa-1"}),
    "ES384": ECKey.generate_key("P-384", {"kid": "ec-1"}),
}
PUBLIC = [
    {**key.as_dict(private=False), "kid": key.kid, "alg": alg, "use": "sig"} for alg, key in KEYS.items()
]


def connection(server: str, **changes: Any) -> Any:
    """A row of `emr` for the EMR whose tokens come from there."""
    options = {"client-id": "cm-service"} | changes.pop("auth_options", {})
    usual = {"base_url": f"{server}/fhir", "auth": "backend", "token_reference": None, "group_id": None}
    usual |= {"profile": None, "write_mode": "propose", "auth_options": options, "notify_options": {}}
    return SimpleNamespace(**usual | changes)


def everything(folder: Path) -> list[str]:
    """All scopes that a connection of ours asks for."""
    row = connection("http://127.0.0.1")
    return asked(wiring._wanted(Settings(data_dir=folder), row), style="v2").split()


def token_for(folder: Path, row: Any) -> tuple[str, str | None]:
    """The token that the connection gets, and its scope."""
    credentials = wiring.credentials(Settings(data_dir=folder, read_attempts=1), row)

    async def ask() -> str:
        return str(await credentials.authorization())

    return asyncio.run(ask()).removeprefix("Bearer "), credentials.scope


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A data folder with signing keys whose successors were published days ago."""
    _ring(tmp_path).rotate(wiring.now() - 3 * LEAD)
    return tmp_path


def _ring(folder: Path) -> KeyRing:
    return wiring.keyring(Settings(data_dir=folder))


@pytest.mark.parametrize("alg", ["RS384", "ES384"])
@pytest.mark.parametrize("aud", ["token-url", "issuer"])
def test_our_assertions_are_accepted(installed: Path, alg: str, aud: str) -> None:
    scopes = everything(installed)
    client = with_keys(*_ring(installed).published(wiring.now()), scope=" ".join(scopes))
    with token_server([client], scopes=scopes) as server:
        row = connection(server, auth_options={"alg": alg, "aud": aud})
        token, scope = token_for(installed, row)
        said = introspected(server, token)
    assert (said["active"], said["client_id"]) == (True, "cm-service")
    assert set(said["scope"].split()) == set((scope or "").split()) == set(scopes)


@pytest.mark.parametrize("style", ["basic", "post"])
def test_a_client_secret_is_accepted_in_both_styles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    secret = "colon: plus+ percent% slash/"
    monkeypatch.setenv("A_SECRET", secret)
    scopes = everything(tmp_path)
    with token_server([with_secret(secret, style=style)], scopes=scopes) as server:
        options = {"secret": "env:A_SECRET", "secret-style": style}
        token, _ = token_for(tmp_path, connection(server, auth="secret", auth_options=options))
        assert introspected(server, token)["active"]
        monkeypatch.setenv("A_SECRET", "another")
        with pytest.raises(TokenRefused, match="401 invalid_client"):
            token_for(tmp_path, connection(server, auth="secret", auth_options=options))


# --- assertions spoiled on purpose


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    with token_server([with_keys(*PUBLIC)], scopes=["system/Patient.rs"]) as server:
        yield server


def assertion(
    server: str, *, alg: str = "ES384", key: Any = None, header: Json | None = None, **claims: Any
) -> str:
    now = int(time.time())
    usual = {"iss": "cm-service", "sub": "cm-service", "aud": f"{server}/token", "iat": now}
    usual |= {"exp": now + 240, "jti": str(time.monotonic_ns())}
    said = {name: value for name, value in (usual | claims).items() if value is not None}
    used = key or KEYS[alg]
    return jwt.encode(
        {"alg": alg, "kid": KEYS.get(alg, used).kid, "typ": "JWT"} | (header or {}),
        said,
        used,
        algorithms=[alg],
    )


def post(server: str, signed: str, **form: str) -> httpx.Response:
    usual = {"grant_type": "client_credentials", "scope": "system/Patient.rs"}
    usual |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
    return httpx.post(f"{server}/token", data=usual | form)


def test_what_a_test_signs_well_is_accepted_so_that_the_refusals_below_mean_something(refusing: str) -> None:
    for alg in KEYS:
        assert post(refusing, assertion(refusing, alg=alg)).status_code == 200


@pytest.mark.parametrize(
    "spoiled",
    [
        {"aud": "https://another.example/token"},
        {"aud": None},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"iss": "somebody"},
        {"sub": "somebody"},
        {"jti": None},
        {"key": ECKey.generate_key("P-384")},
        {"alg": "RS384", "key": RSAKey.generate_key(2048)},
        {"alg": "RS256", "key": KEYS["RS384"]},
        {"alg": "ES384", "header": {"kid": "nobody"}},
    ],
    ids=lambda spoiled: "-".join(f"{name} {str(value)[:20]}" for name, value in spoiled.items()),
)
def test_an_assertion_spoiled_on_purpose_is_refused(refusing: str, spoiled: Json) -> None:
    answer = post(refusing, assertion(refusing, **spoiled))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_an_assertion_that_was_used_once_is_refused_the_second_time(refusing: str) -> None:
    signed = assertion(refusing)
    assert post(refusing, signed).status_code == 200
    assert post(refusing, signed).status_code == 401


def test_an_assertion_with_another_signature_or_none_is_refused(refusing: str) -> None:
    head, body, sign = assertion(refusing).split(".")
    other = assertion(refusing).rpartition(".")[2]
    for signed in (f"{head}.{body}.{other}", f"{head}.{body}.", f"eyJhbGciOiJub25lIn0.{body}.{sign}"):
        assert post(refusing, signed).status_code in (400, 401)


class _Spoiling(PrivateKeyJwt):
    """Our own way to prove, with one thing wrong."""

    def __init__(self, wrong: str) -> None:
        key = ECKey.generate_key("P-384") if wrong == "key" else KEYS["ES384"]
        super().__init__("cm-service", ("ES384",), lambda _a, _n: Signer("ec-1", "ES384", key))
        self._wrong, self._first = wrong, None

    def prove(self, *, algorithm: str, audience: str, now: dt.datetime) -> Any:
        if self._wrong == "aud":
            audience = "https://another.example/token"
        elif self._wrong == "exp":
            now -= dt.timedelta(minutes=20)
        made = super().prove(algorithm=algorithm, audience=audience, now=now)
        self._first = self._first or made
        return self._first if self._wrong == "jti" else made


@pytest.mark.parametrize("wrong", ["aud", "exp", "key", "jti", None])
def test_our_own_client_is_refused_with_one_thing_wrong_and_only_then(
    refusing: str, tmp_path: Path, wrong: str | None
) -> None:
    row = connection(refusing, auth_options={"scope": "system/Patient.rs", "key": "env:X"})
    credentials = _credentials(tmp_path, row, _Spoiling(wrong or ""))

    async def twice() -> None:
        await credentials.renew(await credentials.authorization())

    if wrong is None:
        asyncio.run(twice())
        return
    with pytest.raises(TokenRefused, match="401 invalid_client"):
        asyncio.run(twice())


def _credentials(folder: Path, row: Any, prover: Any) -> TokenCredentials:
    with patch.object(wiring, "_key_prover", lambda _settings, _options: prover):
        made = wiring.credentials(Settings(data_dir=folder, read_attempts=1), row)
    assert isinstance(made, TokenCredentials)
    return made


def test_BS_7_a_scope_that_is_not_registered_is_left_out_and_that_is_noticed(
    refusing: str, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = connection(refusing, auth_options={"scope": "system/Patient.rs system/Task.crus"})
    credentials = _credentials(installed, row, _Spoiling(""))
    asyncio.run(_header(credentials))
    assert credentials.scope == "system/Patient.rs"
    assert (
        '"scopes": ["system/Task.crus"], "event": "fewer scopes granted than asked"'
        in capsys.readouterr().err
    )


async def _header(credentials: TokenCredentials) -> str:
    return await credentials.authorization()


# --- our key set, read by them


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Our own service, as far as its key set is concerned; gives the address of that."""
    with sandboxes.serving(create_app(Settings(data_dir=folder))) as base:
        yield f"{base.removesuffix('/fhir')}/.well-known/jwks.json"


def test_1A_F04_a_key_that_was_rotated_in_is_found_in_our_key_set_and_the_old_one_still_too(
    installed: Path,
) -> None:
    scopes = everything(installed)
    with served(installed) as key_set, token_server([with_key_set(key_set)], scopes=scopes) as server:
        kids = []
        for _ in range(2):
            token, _ = token_for(installed, connection(server))
            assert introspected(server, token)["active"]
            kids.append(_ring(installed).signer("RS384", wiring.now()).kid)
            _ring(installed).rotate(wiring.now())
        assert len(set(kids)) == 2


# --- a night behind the door


# What a door does to a night is the same on both stores; one of these tests runs on both.
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Clinic:
    """An EMR behind a door, its token server, and our installation with the keys that are registered."""

    def __init__(self, practice: Practice, door: Door) -> None:
        self.practice, self.door = practice, door

    def refused(self) -> list[int]:
        return [each.status for each in self.door.passed if each.status]

    def writes(self, kind: str) -> int:
        return sum(each.type == kind and each.method in ("POST", "PUT") for each in self.door.passed)


@contextmanager
def clinic(
    database: Database,
    folder: Path,
    *,
    without: str = "",
    seconds: int = 300,
    before: Callable[[str, Door, Passed], None] = lambda *_: None,
) -> Iterator[Clinic]:
    """`without` is the one scope that the token server does not know: it leaves it out of what it grants."""
    ring = _ring(folder / "data")
    ring.rotate(wiring.now() - 3 * LEAD)
    scopes = [word for word in everything(folder) if word != without]
    client = with_keys(*ring.published(wiring.now()))
    emr = Store()
    emr.clock = lambda: AS_OF
    emr.load(out_of_range())
    inside = sandbox_app(emr, personality=GENEROUS)
    with (
        token_server([client], scopes=scopes, seconds=seconds) as server,
        guarded(inside, server, before=lambda door, asked: before(server, door, asked)) as (base, door),
    ):
        # 127.0.0.1 is the host of both, so discovery alone leads to the token server.
        options = {"client-id": "cm-service"}
        yield Clinic(Practice(database, emr, base, folder, auth="backend", auth_options=options), door)


def test_a_night_behind_the_door_is_complete_and_the_next_one_writes_nothing(
    database: Database, tmp_path: Path
) -> None:
    with clinic(database, tmp_path) as here:
        first = here.practice.run()
        assert (first["status"], first["written"]) == ("complete", 3)
        assert here.refused() == []
        assert len(here.door.tokens) == 1
        assert all(each.token for each in here.door.passed)
        assert here.practice.run()["written"] == 0
        assert set(here.practice.copies().values()) == {1}


@ON_SQLITE
def test_1A_F06_a_night_that_outlives_its_tokens_is_complete(database: Database, tmp_path: Path) -> None:
    def slow(_server: str, _door: Door, _asked: Passed) -> None:
        time.sleep(0.05)

    with clinic(database, tmp_path, seconds=2, before=slow) as here:
        assert here.practice.run()["status"] == "complete"
        assert len(here.door.tokens) > 1


@ON_SQLITE
@pytest.mark.parametrize(("method", "kind"), [("GET", "Observation"), ("POST", "Task"), ("POST", "Goal")])
def test_1A_F07_a_token_revoked_in_the_middle_costs_one_token_and_nothing_else(
    database: Database, tmp_path: Path, method: str, kind: str
) -> None:
    def revoke(server: str, door: Door, asked: Passed) -> None:
        if (asked.method, asked.type) == (method, kind) and door.tokens[:1] == [asked.token]:
            revoked(server, asked.token)

    with clinic(database, tmp_path, before=revoke) as here:
        night = here.practice.run()
        assert (night["status"], night["written"]) == ("complete", 3)
        assert set(here.refused()) == {401}
        assert len(here.door.tokens) == 2
        assert set(here.practice.copies().values()) == {1}


@ON_SQLITE
def test_BS_7_a_read_scope_that_is_not_granted_makes_the_night_partial_and_names_the_type(
    database: Database, tmp_path: Path
) -> None:
    with clinic(database, tmp_path, without="system/Condition.rs") as here:
        night = here.practice.run()
        assert night["status"] == "partial"
        assert any("Condition" in problem for problem in night["problems"])


@ON_SQLITE
def test_BS_7_a_write_scope_that_is_not_granted_stands_in_the_passport_as_not_granted(
    database: Database, tmp_path: Path
) -> None:
    with clinic(database, tmp_path, without="system/Goal.crus") as here:
        here.practice.run()
        with database.read() as connection:
            found = passport.load(connection, "clinic", NO_PROFILE)
        assert "the token" in found.effective("Goal", "create").reason
        assert found.effective("Goal", "create").state == State.DISPROVEN
        assert found.effective("Task", "create").state == State.PROVEN


@ON_SQLITE
def test_1A_F04_keys_withdrawn_in_the_middle_of_a_night_stop_it_in_one_sentence_and_lose_nothing(
    database: Database, tmp_path: Path
) -> None:
    """The next token cannot be had: what is not written stays pending, and the night after goes on."""

    def slow_and_withdraw(server: str, door: Door, asked: Passed) -> None:
        if (asked.method, asked.type) == ("POST", "Goal") and door.tokens[:1] == [asked.token]:
            _ring(tmp_path / "data").rotate(wiring.now(), compromised=True)
            revoked(server, asked.token)

    with clinic(database, tmp_path, before=slow_and_withdraw) as here:
        night = here.practice.run()
        assert night["status"] == "partial"
        assert (night["written"], night["unknown"]) == (0, 0)
        assert night["pending"] == 3
