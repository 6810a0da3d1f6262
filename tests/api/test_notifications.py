"""Notifications of EMRs: faults and attacks on the receiving side by their ids, and what they lead to."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cm_service.api.follower import Follower
from cm_service.db import hints, ledger, sync
from cm_service.errors import Busy
from cm_service.flow import hinted
from cm_service.flow.nightly import lease_of
from tests.api.door_world import add_emr
from tests.api.notify_world import BEARER, Notified, bundle, event
from tests.flow.night_world import a1c, out_of_range, patient, stay

NURSE = {"resourceType": "Practitioner", "id": "nurse"}
PEOPLE = [patient("p1"), patient("p2"), *out_of_range("p3"), NURSE]
FHIR = {"Content-Type": "application/fhir+json"}


@pytest.fixture
def clinic(tmp_path: Path) -> Notified:
    return Notified(tmp_path, PEOPLE)


@pytest.fixture
def told(clinic: Notified) -> Notified:
    """With a subscription that shook hands."""
    clinic.shake()
    return clinic


def codes(clinic: Notified, who: str) -> set[str]:
    """Of the Tasks that the EMR holds for this patient."""
    return {
        coding["code"]
        for task in clinic.tasks()
        if task["for"]["reference"] == f"Patient/{who}"
        for coding in task["code"]["coding"]
    }


# --- what they are for


def test_a_discharge_stands_as_a_task_in_the_emr_minutes_after_it_can_be_read(told: Notified) -> None:
    told.emr.load([stay(who="p1")])
    readable = told.doors.now
    assert told.tell(event("1")) == 200
    assert codes(told, "p1") == set()
    told.round(seconds=20)
    assert codes(told, "p1")
    assert told.doors.now - readable < dt.timedelta(minutes=15)
    assert told.hints == []


def test_without_notifications_the_next_night_finds_it(clinic: Notified) -> None:
    clinic.emr.load([stay(who="p1")])
    assert clinic.round() == {}
    assert codes(clinic, "p1") == set()
    clinic.later(hours=3)
    clinic.night()
    assert codes(clinic, "p1")


def test_only_that_patient_is_read_and_nothing_is_forgotten_about_the_others(told: Notified) -> None:
    with told.doors.store.read() as connection:
        before = sync.held_records(connection, "clinic")
    told.emr.load([stay(who="p1"), a1c(6.0, who="p3", id_="p3-a1c")])
    told.tell(event("1"))
    assert told.round()["patients"] == 1
    with told.doors.store.read() as connection:
        after = sync.held_records(connection, "clinic")
    assert after["p3"] == before["p3"]
    assert after["p2"] == before["p2"]
    assert after["p1"] != before["p1"]


def test_the_night_after_a_hint_reads_it_all_once_more_and_finds_nothing_to_do(told: Notified) -> None:
    told.emr.load([stay(who="p1")])
    told.tell(event("1"))
    told.round()
    runs = told.runs()
    told.later(minutes=30)
    summary = told.night()
    assert (summary["status"], summary["written"]) == ("complete", 0)
    assert told.runs() == runs + 1  # a hint is no night: it leaves no run and proves nothing


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_server_that_sends_the_resource_below_the_endpoint_is_heard(clinic: Notified, method: str) -> None:
    clinic.emr.load([stay(who="p1")])
    assert clinic.send(stay(who="p1"), path="/Encounter/stay", method=method).status_code == 200
    clinic.round()
    assert codes(clinic, "p1")


def test_an_empty_notification_makes_us_look_for_stays_that_changed(clinic: Notified) -> None:
    clinic.emr.load([stay(who="p1")])
    assert clinic.send().status_code == 200
    clinic.round()
    assert clinic.hints == ["Encounter/stay"]
    clinic.round()
    assert codes(clinic, "p1")


def test_looking_again_finds_nothing_that_is_held_already(clinic: Notified) -> None:
    clinic.emr.load([stay(who="p1")])
    for _ in range(2):
        clinic.send()
        clinic.round()
        clinic.round()
    clinic.send()
    assert clinic.round()["patients"] == 0
    assert clinic.hints == []


def test_what_is_told_many_times_is_read_once(told: Notified) -> None:
    told.emr.load([stay(who="p1")])
    for number in range(1, 30):
        told.tell(event(str(number)), total=number)
    assert told.hints == ["Encounter/stay"]
    assert told.round()["patients"] == 1


def test_an_emr_that_had_no_night_yet_is_not_read_by_hints(tmp_path: Path) -> None:
    clinic = Notified(tmp_path, PEOPLE)
    add_emr(clinic.doors, "young")
    with clinic.doors.database.write() as connection:
        hints.add(connection, "young", ["Patient/p1"], now=clinic.doors.now, wait=dt.timedelta())
    assert hinted.follow(clinic.tools, clinic.doors.database, "young") == {}


def test_a_night_that_is_at_work_goes_first_and_the_hint_waits(told: Notified) -> None:
    told.emr.load([stay(who="p1")])
    told.tell(event("1"))
    with told.doors.store.lease(lease_of("clinic")), pytest.raises(Busy):
        told.round()
    assert told.hints == ["Encounter/stay"]
    told.round()
    assert codes(told, "p1")


def test_the_thread_of_serve_follows_hints_and_ends_with_it(told: Notified) -> None:
    told.emr.load([stay(who="p1")])
    told.tell(event("1"))
    told.later(minutes=1)
    follower = Follower(told.tools, told.doors.database, seconds=0.05)
    follower.start()
    until = time.monotonic() + 20
    while told.hints and time.monotonic() < until:
        time.sleep(0.05)
    follower.stop()
    assert codes(told, "p1")
    assert "follower" not in {thread.name for thread in threading.enumerate()}


# --- what care managers did


def test_what_a_care_manager_did_goes_out_when_it_can_no_longer_be_undone(clinic: Notified) -> None:
    clinic.act("acceptance", {"care_manager": "Practitioner/nurse"}, patient="p3")
    task = next(task for task in clinic.tasks() if task["for"]["reference"] == "Patient/p3")
    before = len(clinic.emr.written())
    clinic.round(minutes=9)
    assert len(clinic.emr.written()) == before
    assert clinic.round(minutes=2)["written"] > 0
    assert task["status"] != "accepted"
    assert "accepted" in {each["status"] for each in clinic.tasks()}
    assert clinic.round() == {}


def test_what_cannot_go_is_not_tried_in_every_round(clinic: Notified) -> None:
    clinic.act("acceptance", {"care_manager": "Practitioner/nurse"}, patient="p3")
    clinic.set(paused_at=clinic.doors.now)
    clinic.round(minutes=11)
    assert clinic.round() == {}
    clinic.set(paused_at=None)
    assert clinic.round(minutes=16)["written"] > 0


# --- faults and attacks, by id


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


def test_6_f04_a_replayed_bundle_leads_to_nothing_new(told: Notified) -> None:
    said = bundle(event("1"))
    assert told.send(said).status_code == 200
    told.emr.load([stay(who="p1")])
    told.round()
    assert told.send(said).status_code == 200
    assert told.hints == []
    assert told.standing.highest == 1


def test_6_f05_a_number_that_is_missing_makes_us_look_and_may_come_late(told: Notified) -> None:
    told.tell(event("21", "Encounter/a"), total=21)
    told.round()
    told.tell(event("23", "Encounter/c"), total=23)
    assert 22 in told.standing.missing
    assert told.hints == ["", "Encounter/c"] or told.hints == ["Encounter/c", ""]
    told.tell(event("22", "Encounter/b"), total=23)
    assert 22 not in told.standing.missing
    assert set(told.hints) == {"", "Encounter/b", "Encounter/c"}
    assert told.standing.highest == 23


def test_6_f06_numbers_as_integers_are_read(told: Notified) -> None:
    assert told.tell(event(1), event(2, "Encounter/other"), total=2) == 200
    assert told.standing.highest == 2
    assert set(told.hints) == {"Encounter/stay", "Encounter/other"}
    for bad in (-1, True, 2**40, "one", ""):
        assert told.tell(event(bad)) == 400


def test_6_f07_a_count_that_begins_anew_is_followed_and_makes_us_look(told: Notified) -> None:
    told.tell(*(event(str(n), f"Encounter/e{n}") for n in range(1, 41)), total=40)
    told.round()
    assert told.tell(event("1", "Encounter/new", at="2026-11-20T21:00:00Z"), total=1) == 200
    assert told.standing.highest == 1
    assert {"", "Encounter/new"} <= set(told.hints)


def test_6_f08_two_events_in_one_bundle_are_two_hints(told: Notified) -> None:
    told.tell(event("2", "Condition/c"), event("1", "Encounter/e"), total=2)
    assert set(told.hints) == {"Encounter/e", "Condition/c"}
    assert told.standing.gaps == 0


@pytest.mark.parametrize(
    "focus", ["https://evil.example/fhir/Encounter/e", "http://127.0.0.1:1/Encounter/e", "//evil/Encounter/e"]
)
def test_6_f09_what_stands_on_another_server_is_never_fetched(told: Notified, focus: str) -> None:
    assert told.tell(event("1", focus)) == 200
    assert told.hints == []
    assert told.round() == {}


def test_6_f10_a_type_that_is_never_read_is_no_hint(told: Notified) -> None:
    assert told.tell(event("1", "Practitioner/x"), event("2", "AuditEvent/y"), total=2) == 200
    assert told.hints == []
    assert told.standing.highest == 2


def test_6_f11_what_a_full_resource_says_of_a_patient_is_not_believed(told: Notified) -> None:
    told.emr.load([stay(who="p1")])
    forged = {**stay(who="p2"), "status": "entered-in-error"}
    answer = told.send(
        bundle(
            event("1"), entries=({"resource": forged, "request": {"method": "PUT", "url": "Encounter/stay"}},)
        )
    )
    assert answer.status_code == 200
    assert told.send(forged, path="/Encounter/stay", method="PUT").status_code == 200
    told.round()
    assert codes(told, "p1")
    assert codes(told, "p2") == set()


def test_6_f12_an_entry_without_a_request_is_tolerated(told: Notified) -> None:
    said = bundle(event("1"), entries=({"resource": stay()},))
    for entry in said["entry"]:
        entry.pop("request", None)
    assert told.send(said).status_code == 200
    assert told.hints == ["Encounter/stay"]


@pytest.mark.parametrize("kind", ["history", "subscription-notification"])
def test_6_f13_a_subscription_status_of_r4b_and_r5_is_read(told: Notified, kind: str) -> None:
    status = {
        "resourceType": "SubscriptionStatus",
        "status": "active",
        "type": "event-notification",
        "eventsSinceSubscriptionStart": "1",
        "subscription": {"reference": "Subscription/s1"},
        "notificationEvent": [{"eventNumber": "1", "focus": {"reference": "Encounter/stay"}}],
    }
    said = {"resourceType": "Bundle", "type": kind, "entry": [{"resource": status}]}
    assert told.send(said).status_code == 200
    assert told.hints == ["Encounter/stay"]


def test_6_f14_an_answer_to_a_query_for_events_is_a_hint_like_any_other(told: Notified) -> None:
    assert told.tell(event("1"), type_="query-event") == 200
    assert told.hints == ["Encounter/stay"]
    assert told.tell(event("2"), type_="something-else") == 400


@pytest.mark.parametrize("changes", [{"status": "error"}, {"error": True}, {"status": "off"}])
def test_6_f15_a_subscription_in_error_makes_us_look(told: Notified, changes: dict[str, Any]) -> None:
    assert told.tell(type_="heartbeat", total=0, **changes) == 200
    assert told.hints == [""]
    assert told.standing.status == changes.get("status", "active")


def test_6_f16_a_handshake_may_come_again_and_then_something_may_have_been_missed(told: Notified) -> None:
    told.shake()
    assert told.hints == []
    told.tell(event("1"))
    told.round()
    told.shake(total=0)
    assert "" in told.hints
    assert told.standing.highest == 0


def test_6_f17_a_heartbeat_is_answered_and_shows_what_was_missed(told: Notified) -> None:
    assert told.tell(type_="heartbeat", total=0) == 200
    assert told.hints == []
    told.later(minutes=3)
    assert told.tell(type_="heartbeat", total=2) == 200
    assert told.hints == [""]
    assert told.standing.heard_at == told.doors.now


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


def test_6_f22_an_hour_in_which_we_were_down_is_found_out_by_the_next_number(told: Notified) -> None:
    told.tell(event("1", "Encounter/none"))
    told.round()
    told.emr.load([stay(who="p1")])  # told of while nobody listened
    told.later(hours=1)
    told.tell(event("9", "Encounter/none"), total=9)
    for _ in range(3):
        told.round()
    assert codes(told, "p1")


def test_6_f23_a_hint_outlives_a_crash_while_it_is_followed(
    told: Notified, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.emr.load([stay(who="p1")])
    told.tell(event("1"))

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(hinted.Store, "take", crash)
        with pytest.raises(KeyboardInterrupt):
            told.round()
    assert told.hints == ["Encounter/stay"]
    assert list((told.tools.settings.data_dir / "landing").glob("*~hints")) == []
    told.round()
    assert codes(told, "p1")


def test_6_f24_our_own_write_that_comes_back_is_no_reason_to_read_or_write(told: Notified) -> None:
    with told.doors.store.read() as connection:
        ours = [row.reference for row in ledger.listed(connection) if row.reference]
    assert ours
    written = len(told.emr.written())
    told.tell(*(event(str(n), key) for n, key in enumerate(ours, 1)), total=len(ours))
    counts = told.round()
    assert (counts["patients"], counts["dropped"]) == (0, len(ours))
    assert len(told.emr.written()) == written
    assert told.hints == []


def test_6_f24_what_a_clinician_did_to_ours_is_read(told: Notified) -> None:
    task = next(each for each in told.tasks() if each["for"]["reference"] == "Patient/p3")
    told.emr.clinician_edit("Task", task["id"], lambda resource: resource.update(status="in-progress"))
    told.tell(event("1", f"Task/{task['id']}"))
    assert told.round()["patients"] == 1
    with told.doors.store.read() as connection:
        row = ledger.holder(connection, "clinic", f"Task/{task['id']}")
        assert '"in-progress"' in ledger.one(connection, row.id).current


def test_6_f25_a_subscription_that_was_turned_off_is_seen_and_comes_back_by_its_handshake(
    told: Notified,
) -> None:
    told.tell(type_="heartbeat", total=0, status="off")
    assert told.standing.status == "off"
    told.shake()
    assert told.standing.status == "requested"
    assert told.tell(event("1")) == 200
    assert told.standing.status == "active"


def test_6_f26_what_was_deleted_is_taken_out_of_the_record(clinic: Notified) -> None:
    clinic.emr.load([stay(who="p1")])
    clinic.send(stay(who="p1"), path="/Encounter/stay", method="PUT")
    clinic.round()
    assert codes(clinic, "p1")
    clinic.emr.clinician_delete("Encounter", "stay")
    assert clinic.send(path="/Encounter/stay", method="DELETE").status_code == 200
    assert clinic.round()["patients"] == 1
    with clinic.doors.store.read() as connection:
        assert sync.owners(connection, "clinic", ["Encounter/stay"]) == {}
    statuses = {task["status"] for task in clinic.tasks() if task["for"]["reference"] == "Patient/p1"}
    assert statuses <= {"cancelled", "entered-in-error", "rejected"}


# --- what it costs


def test_a_notification_is_answered_at_once_while_a_night_writes(told: Notified) -> None:
    with told.doors.store.write():  # SQLite's only writer
        began = time.monotonic()
        assert told.tell(event("1")) == 200
        assert time.monotonic() - began < 2


def test_an_emr_that_is_down_is_asked_less_and_less_and_then_left_to_the_night(told: Notified) -> None:
    told.set(base_url="http://127.0.0.1:9/fhir")
    told.tell(event("1"))
    rounds = 0
    for _ in range(hinted.TRIES + 2):
        rounds += told.round(minutes=40)["failed"]
    assert rounds == hinted.TRIES
    assert told.hints == []
