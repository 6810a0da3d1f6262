"""Notifications of EMRs: faults and attacks on the receiving side by their ids, and what they lead to."""

from __future__ import annotations

import datetime as dt
import threading
import time
from pathlib import Path

import pytest

from cm_service.api.follower import Follower
from cm_service.db import hints, sync
from cm_service.errors import Busy
from cm_service.flow import hinted
from cm_service.flow.nightly import lease_of
from tests.api.door_world import add_emr
from tests.api.notify_world import PEOPLE, Notified, codes, event
from tests.flow.night_world import a1c, stay


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
