"""What the EMR's side can count: copies, deletions, overwritten edits, and returns from the dead."""

from __future__ import annotations

from typing import Any

import pytest

from cm_service.sandbox import counters
from cm_service.sandbox.counters import LostUpdate
from tests.sandbox.builders import OURS, RunningEmr, message, task


def _status(emr: RunningEmr, id_: str, value: str) -> None:
    emr.store.clinician_edit("Task", id_, lambda copy: copy.update(status=value))


def _note(emr: RunningEmr, id_: str, text: str) -> None:
    emr.store.clinician_edit("Task", id_, lambda copy: copy.setdefault("note", []).append({"text": text}))


@pytest.fixture
def ours(emr: RunningEmr) -> dict[str, Any]:
    made: dict[str, Any] = emr.post(task()).json()
    return made


def test_copies_are_counted_across_types_and_without_the_dead(emr: RunningEmr, ours: dict[str, Any]) -> None:
    other = emr.post(message(identifier=task()["identifier"])).json()
    both = [f"Task/{ours['id']}", f"Communication/{other['id']}"]
    assert counters.duplicates(emr.store) == {(OURS, "t1"): both}
    assert counters.copies(emr.store, system="urn:other") == {}
    emr.http.delete(f"Task/{ours['id']}")
    assert counters.copies(emr.store) == {(OURS, "t1"): both[1:]}
    assert counters.duplicates(emr.store) == {}


def test_deletions_tell_who_did_it(emr: RunningEmr, ours: dict[str, Any]) -> None:
    second = emr.post(task("t2")).json()
    emr.http.delete(f"Task/{ours['id']}")
    emr.store.clinician_delete("Task", second["id"])
    assert [version.id for version in counters.deletions(emr.store)] == [ours["id"], second["id"]]
    assert [version.id for version in counters.deletions(emr.store, by="client")] == [ours["id"]]


def test_an_edit_that_was_never_read_and_is_overwritten_is_lost(
    emr: RunningEmr, ours: dict[str, Any]
) -> None:
    _status(emr, ours["id"], "accepted")
    emr.put({**ours, "status": "completed", "priority": "urgent"})
    assert counters.lost_updates(emr.store) == [LostUpdate(f"Task/{ours['id']}", 2, 3, "status")]


def test_an_edit_that_was_read_may_be_answered_but_not_undone(emr: RunningEmr, ours: dict[str, Any]) -> None:
    _status(emr, ours["id"], "accepted")
    theirs = emr.http.get(f"Task/{ours['id']}").json()
    emr.put({**theirs, "status": "completed"})
    assert counters.lost_updates(emr.store) == [], "it knew, and decided"
    _status(emr, ours["id"], "failed")
    emr.http.get(f"Task/{ours['id']}")
    emr.put({**theirs, "status": "completed"})
    assert [lost.element for lost in counters.lost_updates(emr.store)] == ["status"], "put back as it was"


def test_edits_of_other_elements_stand_and_are_not_lost(emr: RunningEmr, ours: dict[str, Any]) -> None:
    _status(emr, ours["id"], "accepted")
    theirs = emr.store.current("Task", ours["id"]).resource  # type: ignore[union-attr]
    emr.put({**theirs, "priority": "urgent"})  # type: ignore[dict-item]
    assert counters.lost_updates(emr.store) == []


def test_a_note_that_a_clinician_added_must_stay_in_the_list(emr: RunningEmr, ours: dict[str, Any]) -> None:
    _note(emr, ours["id"], "theirs")
    theirs = emr.http.get(f"Task/{ours['id']}").json()
    emr.put({**theirs, "note": [*theirs["note"], {"text": "ours"}]})
    assert counters.lost_updates(emr.store) == []
    _note(emr, ours["id"], "theirs again")
    emr.put({**theirs, "note": [*theirs["note"], {"text": "ours"}]})
    assert [lost.element for lost in counters.lost_updates(emr.store)] == ["note"]


def test_several_edits_in_a_row_are_one_change(emr: RunningEmr, ours: dict[str, Any]) -> None:
    for status in ("accepted", "in-progress", "requested"):
        _status(emr, ours["id"], status)
    emr.put({**ours, "priority": "urgent"})
    assert counters.lost_updates(emr.store) == [], "in the end they changed nothing"


def test_a_delete_of_what_was_edited_unseen_is_a_loss(emr: RunningEmr, ours: dict[str, Any]) -> None:
    _status(emr, ours["id"], "accepted")
    emr.http.delete(f"Task/{ours['id']}")
    assert [lost.element for lost in counters.lost_updates(emr.store)] == ["*"]


def test_what_a_clinician_deleted_comes_back_under_its_id_or_anew(
    emr: RunningEmr, ours: dict[str, Any]
) -> None:
    second = emr.post(task("t2")).json()
    for resource in (ours, second):
        emr.store.clinician_delete("Task", resource["id"])
    assert counters.brought_back(emr.store) == []
    emr.put(ours)
    anew = emr.post(task("t2")).json()
    emr.post(task("t3"))
    assert counters.brought_back(emr.store) == sorted([f"Task/{ours['id']}", f"Task/{anew['id']}"])


def test_an_answer_that_was_a_search_counts_as_read(emr: RunningEmr, ours: dict[str, Any]) -> None:
    _status(emr, ours["id"], "accepted")
    emr.found("Task?patient=p1")
    emr.put({**ours, "status": "completed"})
    assert counters.lost_updates(emr.store) == []


def test_what_is_taken_back_leaves_no_trace_in_the_counters(emr: RunningEmr) -> None:
    with pytest.raises(RuntimeError), emr.store.atomic():
        emr.store.put(task("t9"), type_="Task", id_="t9", sent=task("t8"))
        raise RuntimeError("the power is out")
    assert counters.copies(emr.store) == {}
