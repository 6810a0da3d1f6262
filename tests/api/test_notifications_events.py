"""What a notification says: numbers, repetitions, gaps, shapes. Ids are those of the fault list."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.notify_world import Notified, bundle, codes, event
from tests.flow.night_world import stay


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
