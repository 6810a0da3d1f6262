"""Who may notify us, of what, and how much. Ids are those of the fault list that we are held to."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from cm_service.db import hints
from tests.api.door_world import add_emr
from tests.api.notify_world import BEARER, PEOPLE, Notified, bundle, codes, event
from tests.flow.night_world import stay

FHIR = {"Content-Type": "application/fhir+json"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"X-Notify-Secret": "s3cret-of-the-clini"},
        {**BEARER, "X-Notify-Secret": "another"},
    ],
)
def test_6_f01_without_the_secret_nothing_is_looked_at(clinic: Notified, headers: dict[str, str]) -> None:
    for path in ("", "/Encounter/stay"):
        answer = clinic.send({"not": "fhir"}, path=path, headers=headers)
        assert answer.status_code == 401
        assert "s3cret" not in answer.text
    assert clinic.hints == []


def test_6_f01_an_emr_that_does_not_exist_answers_as_one_with_another_secret(clinic: Notified) -> None:
    add_emr(clinic.doors, "silent")  # has no secret: nobody can notify it, not even with an empty one
    for slug in ("nowhere", "silent"):
        for headers in (BEARER, {"Authorization": "Bearer "}):
            answer = clinic.doors.http.post(f"/notifications/{slug}", headers=headers)
            assert answer.status_code == 401
            assert answer.json() == clinic.send(headers={"Authorization": "Bearer x"}).json()


def test_6_f01_a_header_of_its_own_may_carry_the_secret(clinic: Notified) -> None:
    assert clinic.send(headers={"X-Notify-Secret": BEARER["Authorization"][7:]}).status_code == 200


def test_6_f02_the_right_secret_opens_no_subscription_of_another_emr(
    clinic: Notified, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_text("another")
    add_emr(clinic.doors, "other", notify_options={"secret": f"file:{other}", "subscriptions": "s9"})
    assert clinic.tell(event("1"), subscription="s9") == 410
    foreign = bundle(event("1"))
    foreign["entry"][0]["resource"]["parameter"][0]["valueReference"] = {
        "reference": "https://other.example/fhir/Subscription/s1"
    }
    assert clinic.send(foreign).status_code == 400
    assert clinic.hints == []


def test_6_f03_an_unknown_subscription_is_told_to_be_turned_off(told: Notified) -> None:
    assert told.tell(event("1"), subscription="s2") == 410
    told.set(notify_options={"secret": told_secret(told), "subscriptions": "s7,s8"})
    assert told.send(bundle(type_="handshake", subscription="s9")).status_code == 410
    assert told.tell(event("1"), subscription="s8") == 200
    assert told.hints == ["Encounter/stay"]


def told_secret(clinic: Notified) -> str:
    from cm_service.db import connections

    with clinic.doors.store.read() as connection:
        return str(connections.get_emr(connection, "clinic").notify_options["secret"])


def test_6_f18_ten_megabytes_are_refused(told: Notified) -> None:
    big = bundle(event("1"), entries=({"resource": {"x": "y" * 10_000_000}},))
    assert told.send(big).status_code == 413
    pressed = gzip.compress(json.dumps(big).encode())
    headers = {**BEARER, **FHIR, "Content-Encoding": "gzip"}
    assert told.doors.http.post("/notifications/clinic", content=pressed, headers=headers).status_code == 413
    assert told.hints == []


def test_6_f19_a_body_in_gzip_is_read_and_other_packings_are_not(told: Notified) -> None:
    raw = json.dumps(bundle(event("1"))).encode()
    headers = {**BEARER, **FHIR, "Content-Encoding": "gzip"}

    def post(content: bytes, **more: str) -> int:
        url = "/notifications/clinic"
        return told.doors.http.post(url, content=content, headers={**headers, **more}).status_code

    assert post(gzip.compress(raw)) == 200
    assert told.hints == ["Encounter/stay"]
    assert post(raw) == 400
    assert post(raw, **{"Content-Encoding": "br"}) == 415


@pytest.mark.parametrize(
    "kind", ["application/fhir+xml", "text/plain", "", "application/x-www-form-urlencoded"]
)
def test_6_f20_xml_and_what_is_no_fhir_are_refused(told: Notified, kind: str) -> None:
    answer = told.doors.http.post(
        "/notifications/clinic", content=b"<Bundle/>", headers={**BEARER, "Content-Type": kind}
    )
    assert answer.status_code == 415


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 50_000, b'{"resourceType":"Encounter"}', b'"x"'])
def test_6_f20_what_cannot_be_read_is_refused_without_a_fault(told: Notified, body: bytes) -> None:
    answer = told.doors.http.post("/notifications/clinic", content=body, headers={**BEARER, **FHIR})
    assert answer.status_code == 400


def test_6_f21_a_storm_is_told_to_wait_and_the_night_loses_nothing(tmp_path: Path) -> None:
    clinic = Notified(tmp_path, PEOPLE, hint_calls_per_minute=20)
    clinic.emr.load([stay(who="p1")])
    answers = [clinic.send() for _ in range(100)]
    assert [answer.status_code for answer in answers].count(200) == 20
    assert all(int(a.headers["Retry-After"]) > 0 for a in answers if a.status_code == 429)
    assert clinic.hints == [""]  # forged ones cost one look a minute, however many come
    clinic.later(hours=2)
    clinic.night()
    assert codes(clinic, "p1")


def test_6_f21_hints_do_not_grow_without_end(told: Notified, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "MOST", 3)
    assert told.tell(*(event(str(n), f"Encounter/e{n}") for n in range(1, 4)), total=3) == 200
    assert told.tell(event("4", "Encounter/e4"), total=4) == 429
    assert told.standing.highest == 3  # so that it is no repetition when it comes again
    assert len(told.hints) == 3
