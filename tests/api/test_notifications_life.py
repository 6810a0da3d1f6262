"""Crashes, outages, our own writes that come back, deletions. Ids are those of the fault list."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cm_service.db import ledger, sync
from cm_service.flow import hinted
from tests.api.notify_world import Notified, codes, event
from tests.flow.night_world import stay


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
