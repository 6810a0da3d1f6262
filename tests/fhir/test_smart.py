"""SMART Backend Services, client side: what goes to the token endpoint, and what comes of its answers."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from joserfc.jwk import ECKey
from joserfc.jws import extract_compact

from cm_service import logs
from cm_service.errors import Advice, EmrRefused, EmrUnreachable, Misconfigured, TokenRefused
from cm_service.fhir.client import FhirClient
from cm_service.fhir.http import EmrHttp
from cm_service.fhir.proofs import ClientSecret, PrivateKeyJwt
from cm_service.fhir.scopes import Wanted
from cm_service.fhir.signing import Signer
from tests.fhir.builders import observation
from tests.fhir.scripted import Reply, Request, ScriptedEmr, as_json, bundle, html, searchset
from tests.fhir.smart_world import NOW, Smart, document, no, prover, skewed, smart_emr, token

# --- the request


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_BS_3_4_5_the_assertion_says_what_the_specification_asks_for(
    emr: ScriptedEmr, algorithm: str
) -> None:
    smart = Smart(smart_emr(emr), by=prover(algorithm))
    assert smart.header() == "Bearer t1"
    ((header, claims),) = smart.assertions
    assert header == {"alg": algorithm, "kid": f"{algorithm}-1", "typ": "JWT"}
    assert claims["iss"] == claims["sub"] == "cm-service"
    assert claims["aud"] == smart.token_url
    assert 0 < claims["exp"] - NOW.timestamp() <= 300
    assert len(claims["jti"]) >= 32


def test_BS_6_the_form_holds_the_four_fields_and_no_more(emr: ScriptedEmr) -> None:
    smart = Smart(smart_emr(emr))
    smart.header()
    (form,) = smart.forms
    assert form.pop("client_assertion")
    assert form == {
        "grant_type": "client_credentials",
        "scope": "system/Patient.rs",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    assert "authorization" not in emr.seen("POST token")[0].headers


def test_BS_1_discovery_is_below_the_base_and_a_relative_endpoint_is_resolved(emr: ScriptedEmr) -> None:
    smart_emr(emr).on("GET .well-known/smart-configuration", document(emr, token_endpoint="/token"))
    assert Smart(emr).header() == "Bearer t1"
    assert "authorization" not in emr.requests[0].headers


def test_BS_4_the_audience_is_the_token_url_letter_by_letter(emr: ScriptedEmr) -> None:
    written = emr.base.removesuffix("/fhir").replace("http", "HTTP") + "/token"
    smart_emr(emr).on("GET .well-known/smart-configuration", document(emr, token_endpoint=written))
    smart = Smart(emr)
    smart.header()
    assert smart.assertions[0][1]["aud"] == written


@pytest.mark.parametrize(
    ("style", "sent"),
    [("basic", "Basic Y20lM0FzZXJ2aWNlOnMlMkYlM0ErJUMzJUE5"), ("post", None)],
)
def test_a_client_secret_goes_as_the_connection_says(emr: ScriptedEmr, style: str, sent: str | None) -> None:
    smart = Smart(smart_emr(emr), by=ClientSecret("cm:service", "s/: é", style=style))
    smart.header()
    (request,), (form,) = emr.seen("POST token"), smart.forms
    assert request.headers.get("authorization") == sent
    assert form.get("client_secret") == (None if sent else "s/: é")
    assert form.get("client_id") == (None if sent else "cm:service")


@pytest.mark.parametrize(
    ("capabilities", "style", "asked"),
    [
        (["permission-v2"], None, "system/Patient.rs system/Task.crus"),
        (["permission-v1"], None, "system/Patient.read system/Task.read system/Task.write"),
        ([], None, "system/Patient.read system/Task.read system/Task.write"),
        (["permission-v2"], "v1", "system/Patient.read system/Task.read system/Task.write"),
        (["permission-v1"], "v2", "system/Patient.rs system/Task.crus"),
    ],
)
def test_the_least_scopes_are_asked_for_in_the_emrs_own_syntax(
    emr: ScriptedEmr, capabilities: list[str], style: str | None, asked: str
) -> None:
    smart_emr(emr).on("GET .well-known/smart-configuration", document(emr, capabilities=capabilities))
    wanted = Wanted(frozenset({"Patient", "Task"}), frozenset({"Task"}))
    smart = Smart(emr, scope=None, scope_style=style, wanted=wanted)
    smart.header()
    assert smart.forms[0]["scope"] == asked


# --- discovery


@pytest.mark.parametrize(
    "found",
    [
        Reply(404),
        html(),
        Reply(200, b"{" + b" " * 5_000_000 + b"}"),
        as_json([]),
        as_json({}),
        Reply(200, b"{"),
    ],
    ids=["404", "html", "5 MB", "list", "empty", "cut"],
)
def test_1A_F01_a_discovery_that_says_nothing_stops_with_advice_unless_the_endpoint_is_pinned(
    emr: ScriptedEmr, found: Reply
) -> None:
    smart_emr(emr).on("GET .well-known/smart-configuration", found)
    with pytest.raises(TokenRefused, match="set token-url") as caught:
        Smart(emr).header()
    assert caught.value.advice is Advice.TELL
    assert Smart(emr, token_url=Smart(emr).token_url).header() == "Bearer t1"


def test_1A_F01_a_redirect_is_not_followed(emr: ScriptedEmr) -> None:
    smart_emr(emr).on(
        "GET .well-known/smart-configuration", Reply(302, headers={"Location": f"{emr.base}/other"})
    )
    with pytest.raises(TokenRefused, match="redirects"):
        Smart(emr).header()
    smart_emr(emr).on("POST token", Reply(307, headers={"Location": f"{emr.base}/other"}))
    with pytest.raises(TokenRefused, match="gives us no token: 307"):
        Smart(emr).header()
    assert emr.seen("GET other") == emr.seen("POST other") == []


@pytest.mark.parametrize(
    "foreign",
    ["https://other.example/token", "http://localhost:1/token", "https://127.0.0.1.other.example/token"],
)
def test_1A_F01_a_token_endpoint_on_another_host_gets_nothing_until_a_person_names_it(
    emr: ScriptedEmr, foreign: str
) -> None:
    smart_emr(emr).on("GET .well-known/smart-configuration", document(emr, token_endpoint=foreign))
    smart = Smart(emr)
    with pytest.raises(TokenRefused, match="if that is what you registered with, set token-url"):
        smart.header()
    assert smart.forms == []


def test_1A_F01_a_pinned_endpoint_stays_endpoint_and_audience_whatever_the_document_says_now(
    emr: ScriptedEmr,
) -> None:
    hostile = {"token_endpoint": "https://victim.example/token", "issuer": "https://victim.example"}
    smart_emr(emr).on("GET .well-known/smart-configuration", document(emr, **hostile))
    smart = Smart(emr, token_url=Smart(emr).token_url)
    smart.header()
    assert smart.assertions[0][1]["aud"] == smart.token_url
    with pytest.raises(TokenRefused, match="names no issuer on its own host"):
        Smart(emr, token_url=smart.token_url, audience="issuer").header()


@pytest.mark.parametrize(
    "unsafe", ["http://emr.example/token", "ftp://127.0.0.1/token", "https://u:p@emr.example/t", "https:///t"]
)
def test_BS_2_nothing_secret_goes_in_clear(emr: ScriptedEmr, unsafe: str) -> None:
    smart = Smart(smart_emr(emr), token_url=unsafe)
    with pytest.raises(TokenRefused, match="neither https nor on loopback"):
        smart.header()
    assert smart.forms == []


def test_BS_13_the_audience_is_the_connections_own(emr: ScriptedEmr) -> None:
    issuer = emr.base.removesuffix("/fhir")
    smart_emr(emr).on("GET .well-known/smart-configuration", document(emr, issuer=issuer))
    registered = "https://emr.example/registered"
    for audience, sent in (("issuer", issuer), (registered, registered)):
        smart = Smart(emr, audience=audience)
        smart.header()
        assert smart.assertions[-1][1]["aud"] == sent


# --- answers


@pytest.mark.parametrize("code", ["invalid_client", "invalid_scope", "unauthorized_client", "Meyer 1944"])
@pytest.mark.parametrize("status", [400, 401, 403])
def test_1A_F02_a_no_is_told_to_a_person_and_not_hammered(emr: ScriptedEmr, code: str, status: int) -> None:
    smart = Smart(smart_emr(emr, no(code, status)), by=prover("RS384"))
    for _ in range(3):
        with pytest.raises(TokenRefused, match=f"gives us no token: {status}") as caught:
            smart.header()
    assert "Meyer" not in str(caught.value)
    assert (code in str(caught.value)) == ("_" in code)
    assert len(smart.forms) == 1
    smart.clock.forward(31)
    emr.on("POST token", skewed(no(code, status), 31))
    with pytest.raises(TokenRefused):
        smart.header()
    assert len(smart.forms) == 2


def test_1A_F02_a_429_is_waited_for_and_the_next_assertion_is_another_one(emr: ScriptedEmr) -> None:
    smart = Smart(smart_emr(emr, no("temporarily_unavailable", 429, Retry_After="7"), token()))
    assert smart.header() == "Bearer t1"
    assert smart.waits.seconds == pytest.approx([7.0], abs=1.0)
    assert len({claims["jti"] for _, claims in smart.assertions}) == 2


@pytest.mark.parametrize("passing", [Reply(503), Reply(502), Reply(reset=True), Reply(delay=2.0)])
def test_1A_F02_503_and_a_timeout_after_sending_go_again_with_a_new_jti(
    emr: ScriptedEmr, passing: Reply
) -> None:
    smart = Smart(smart_emr(emr, passing, passing, token()), timeout=0.8 if passing.delay else 20.0)
    assert smart.header() == "Bearer t1"
    assert len({claims["jti"] for _, claims in smart.assertions}) == 3


def test_1A_F02_what_does_not_end_is_unreachable_and_everybody_who_waits_hears_it_once(
    emr: ScriptedEmr,
) -> None:
    smart = Smart(smart_emr(emr, Reply(503)))
    for _ in range(3):
        with pytest.raises(EmrUnreachable, match="503") as caught:
            smart.header()
    assert caught.value.advice is Advice.RETRY
    assert len(smart.forms) == 4


@pytest.mark.parametrize(
    ("said", "renewed_after"),
    [
        (300, 270),
        ("300", 270),
        (60, 48),
        (20, 16),
        (None, 270),
        (0, 270),
        (-5, 270),
        ("soon", 270),
        (True, 270),
        (10**400, 270),
        (86_400, 3570),
    ],
)
def test_1A_F02_expires_in_in_every_form_renews_early_and_not_earlier(
    emr: ScriptedEmr, said: Any, renewed_after: int
) -> None:
    smart = Smart(smart_emr(emr, token("t1", expires_in=said), token("t2")))
    assert smart.header() == "Bearer t1"
    smart.clock.forward(renewed_after - 1)
    assert smart.header() == "Bearer t1"
    smart.clock.forward(1)
    assert smart.header() == "Bearer t2"


@pytest.mark.parametrize("kind", ["bearer", "Bearer", "BEARER", None])
def test_1A_F02_token_type_is_read_without_case_and_may_be_missing(
    emr: ScriptedEmr, kind: str | None
) -> None:
    assert Smart(smart_emr(emr, token(token_type=kind))).header() == "Bearer t1"


@pytest.mark.parametrize(
    "odd",
    [
        token(token_type="mac"),
        token(token_type=7),
        token(None),
        token(""),
        token(17),
        token("a\r\nX-Evil: 1"),
        as_json([]),
        html(),
        Reply(200, b"{"),
        Reply(200, b" " * 200_000),
    ],
)
def test_1A_F02_an_answer_without_a_usable_token_is_told_and_never_sent_on(
    emr: ScriptedEmr, odd: Reply
) -> None:
    with pytest.raises(TokenRefused) as caught:
        Smart(smart_emr(emr, odd)).header()
    assert "Evil" not in str(caught.value)


@pytest.mark.parametrize("granted", ["system/Patient.r", "system/Observation.rs", "", None])
def test_1A_F02_the_granted_scope_is_kept_as_said_and_unknown_where_nobody_said(
    emr: ScriptedEmr, granted: str | None
) -> None:
    smart = Smart(smart_emr(emr, token(scope=granted)))
    smart.header()
    assert smart.credentials.scope == granted


# --- clocks, keys, races


@pytest.mark.parametrize("seconds", [300, -300, 800])
def test_1A_F03_a_clock_that_is_minutes_off_is_mended_by_the_servers_date(
    emr: ScriptedEmr, seconds: int
) -> None:
    """The server takes what is valid by its own clock and no longer than five minutes."""
    theirs = NOW.timestamp() + seconds
    smart = Smart(emr, by=prover("RS384"))

    def strict(request: Request) -> Reply:
        claims = smart.assertions[-1][1]
        fine = theirs < claims["exp"] <= theirs + 300
        return skewed(token() if fine else no("invalid_client"), seconds)

    smart_emr(emr, strict)
    assert smart.header() == "Bearer t1"
    assert len(smart.forms) == 2


def test_1A_F03_a_clock_that_is_hours_off_is_not_believed(emr: ScriptedEmr) -> None:
    smart = Smart(smart_emr(emr, skewed(no("invalid_client"), 7200)), by=prover("RS384"))
    with pytest.raises(TokenRefused):
        smart.header()
    assert len(smart.forms) == 1


def test_1A_F04_a_key_rotated_in_during_the_run_signs_the_next_request(emr: ScriptedEmr) -> None:
    keys = {"old": ECKey.generate_key("P-384"), "new": ECKey.generate_key("P-384")}
    known = ["old"]

    def signer(_algorithm: str, _now: dt.datetime) -> Signer:
        return Signer(kid=known[-1], alg="ES384", key=keys[known[-1]])

    smart = Smart(smart_emr(emr, token("t1"), token("t2")), by=PrivateKeyJwt("cm", ("ES384",), signer))
    smart.header()
    known.append("new")
    smart.clock.forward(280)
    assert smart.header() == "Bearer t2"
    kids = [_header(form["client_assertion"])["kid"] for form in smart.forms]
    assert kids == ["old", "new"]


def test_1A_F05_an_emr_that_takes_es384_only_is_never_sent_rs384(emr: ScriptedEmr) -> None:
    said = {"token_endpoint_auth_signing_alg_values_supported": ["ES384", "PS256"]}
    smart_emr(emr).on("GET .well-known/smart-configuration", document(emr, **said))
    smart = Smart(emr)
    smart.header()
    assert [header["alg"] for header, _ in smart.assertions] == ["ES384"]


def test_1A_F05_an_emr_that_does_not_say_is_asked_with_the_other_one_and_that_is_kept(
    emr: ScriptedEmr,
) -> None:
    said = {"token_endpoint_auth_signing_alg_values_supported": None}
    smart_emr(emr, no("invalid_client"), token("t1"), token("t2")).on(
        "GET .well-known/smart-configuration", document(emr, **said)
    )
    smart = Smart(emr)
    smart.header()
    smart.clock.forward(280)
    assert smart.header() == "Bearer t2"
    assert [header["alg"] for header, _ in smart.assertions] == ["RS384", "ES384", "ES384"]


def test_1A_F05_what_a_person_chose_is_tried_whatever_the_document_says(emr: ScriptedEmr) -> None:
    said = {"token_endpoint_auth_signing_alg_values_supported": ["RS256"]}
    smart_emr(emr).on("GET .well-known/smart-configuration", document(emr, **said))
    smart = Smart(emr, by=prover("ES384"), algorithm="ES384")
    assert smart.header() == "Bearer t1"


def test_1A_F05_an_emr_that_takes_neither_gets_nothing(emr: ScriptedEmr) -> None:
    said = {"token_endpoint_auth_signing_alg_values_supported": ["RS256"]}
    smart_emr(emr).on("GET .well-known/smart-configuration", document(emr, **said))
    smart = Smart(emr)
    with pytest.raises(TokenRefused, match="takes none of RS384, ES384"):
        smart.header()
    assert smart.forms == []


def _header(assertion: str) -> dict[str, Any]:
    return dict(extract_compact(assertion.encode()).headers())


def _search(smart: Smart) -> list[str]:
    async def searched() -> list[str]:
        async with EmrHttp(smart.emr.base, smart.credentials, sleep=smart.waits) as http:
            client = FhirClient(http)
            return [str(page.next) async for page in client.search("Observation", [])]

    return asyncio.run(searched())


def _gate(emr: ScriptedEmr, *, living: set[str], otherwise: Reply) -> None:
    """Four pages; without a living token, 401. `living` may change while the pages are read."""

    def answer(request: Request) -> Reply:
        if request.headers["authorization"].removeprefix("Bearer ") not in living:
            return otherwise
        number = int(request.params.get("page", "1"))
        following = f"{emr.base}/Observation?page={number + 1}" if number < 4 else None
        return searchset(observation(id=f"o{number}"), next=following)(request)

    emr.on("GET Observation", answer)


def test_1A_F06_a_token_that_runs_out_between_pages_3_and_4_is_renewed_before_page_4(
    emr: ScriptedEmr,
) -> None:
    smart = Smart(smart_emr(emr, token("t1"), token("t2")))
    living = {"t1", "t2"}
    _gate(emr, living=living, otherwise=Reply(401))
    plain = emr.script["GET Observation"][0]

    def slow(request: Request) -> Reply:
        if request.params.get("page") == "3":
            smart.clock.forward(275)  # this page took its time
        return plain(request)  # type: ignore[operator]

    emr.on("GET Observation", slow)
    assert len(_search(smart)) == 4
    used = [request.headers["authorization"] for request in emr.seen("GET Observation")]
    assert used == ["Bearer t1"] * 3 + ["Bearer t2"]


def test_1A_F07_a_token_revoked_in_mid_download_is_replaced_once(emr: ScriptedEmr) -> None:
    smart = Smart(smart_emr(emr, token("t1"), token("t2")))
    _gate(emr, living={"t2"}, otherwise=Reply(401))
    assert len(_search(smart)) == 4
    assert len(smart.forms) == 2


def test_1A_F07_where_the_new_token_is_refused_too_the_answer_is_no(emr: ScriptedEmr) -> None:
    smart = Smart(smart_emr(emr, token("t1"), token("t2"), token("t3")))
    _gate(emr, living=set(), otherwise=Reply(401))
    with pytest.raises(EmrRefused, match="401"):
        _search(smart)
    assert len(smart.forms) == 2


def test_1A_F07_a_write_that_met_a_401_is_sent_once_more_and_not_twice(emr: ScriptedEmr) -> None:
    smart = Smart(smart_emr(emr, token("t1"), token("t2")))
    created = as_json({"resourceType": "Task", "id": "7"}, 201, Location=f"{emr.base}/Task/7/_history/1")
    emr.on("POST Task", Reply(401), created)

    async def write() -> str:
        async with EmrHttp(emr.base, smart.credentials) as http:
            return (await FhirClient(http).create({"resourceType": "Task"})).id

    assert asyncio.run(write()) == "7"
    used = [request.headers["authorization"] for request in emr.seen("POST Task")]
    assert used == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize("revoked", [False, True])
def test_1A_F08_workers_that_race_for_a_token_fetch_one(emr: ScriptedEmr, revoked: bool) -> None:
    slow = token("t1")
    slow.delay = 0.05
    smart = Smart(smart_emr(emr, slow, token("t2")))

    async def race() -> set[str]:
        if revoked:
            old = await smart.credentials.authorization()
            await asyncio.gather(*(smart.credentials.renew(old) for _ in range(8)))
        return set(await asyncio.gather(*(smart.credentials.authorization() for _ in range(8))))

    assert asyncio.run(race()) == {"Bearer t2" if revoked else "Bearer t1"}
    assert len(smart.forms) == (2 if revoked else 1)


def test_BS_2_a_token_is_never_sent_in_clear_to_another_machine(emr: ScriptedEmr) -> None:
    smart = Smart(smart_emr(emr))

    async def ask() -> None:
        async with EmrHttp("http://emr.example/fhir", smart.credentials) as http:
            await FhirClient(http).read("Patient", "1")

    with pytest.raises(Misconfigured, match="over https only"):
        asyncio.run(ask())
    assert smart.forms == []


def test_BS_12_neither_token_nor_assertion_is_logged(
    emr: ScriptedEmr, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("DEBUG")
    try:
        smart = Smart(smart_emr(emr, token("s3cr3t", scope="system/Task.r"), token()))
        emr.on("GET Observation", as_json(bundle()))
        _search(smart)
    finally:
        logs.configure("WARNING")
    said = capsys.readouterr().err
    assert "fewer scopes granted than asked" in said and "system/Patient.rs" in said
    assert "s3cr3t" not in said and smart.forms[0]["client_assertion"] not in said
