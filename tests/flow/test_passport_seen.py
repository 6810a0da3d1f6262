"""What a look at an EMR finds out: searches, pages, versions, and what it does with our own resources."""

from __future__ import annotations

from typing import Any

import pytest

from cm_service.db import ledger, sync
from cm_service.db.engine import Database
from cm_service.errors import EmrUnreachable
from cm_service.fhir.vendor import Precondition
from cm_service.flow.passport import State
from tests.flow.night_world import Json, condition, patient
from tests.flow.passport_world import LIAR, WORLD, Clinic

TASK: Json = {
    "resourceType": "Task",
    "id": "t1",
    "status": "completed",
    "intent": "order",
    "for": {"reference": "Patient/p1"},
}


def many(count: int) -> list[Json]:
    return [*WORLD, *(patient(f"more-{n}") for n in range(count))]


# --- searches


@pytest.mark.parametrize(
    ("personality", "said"),
    [("generous", "filters"), ("hapi", "filters"), ("medplum", "filters"), ("canvas", "refused")],
)
def test_a_search_parameter_is_believed_only_when_it_was_seen_to_filter(
    database: Database, personality: str, said: str
) -> None:
    found = Clinic(database, personality).look()
    assert found.filters("Condition", "_lastUpdated") == said
    assert found.filters("Goal", "identifier") == said


def test_a_parameter_that_an_emr_ignores_is_seen_to_be_ignored(database: Database) -> None:
    clinic = Clinic(database, "epic", profile="epic")
    clinic.set(test_patient=clinic.id_of("Patient"))
    found = clinic.look()
    assert found.filters("Condition", "_lastUpdated") == "ignored"
    assert found.effective("Condition", "search").state == State.PROVEN


def test_where_nothing_is_nothing_can_be_seen_to_be_filtered(database: Database) -> None:
    found = Clinic(database, "generous").look()
    assert found.filters("Task", "_lastUpdated") == "unknown"
    assert found.filters("Task", "identifier") == "unknown"


def test_an_emr_that_wants_a_patient_is_asked_only_about_one_that_we_may_ask_about(
    database: Database,
) -> None:
    clinic = Clinic(database, "athena")
    assert clinic.look().value("Condition", "version") == "unknown", "no patient was named, none is ours"
    clinic.set(test_patient="p1")
    found = clinic.look()
    assert found.value("Condition", "search-needs") == "patient"
    assert found.filters("Condition", "_lastUpdated") == "filters"
    assert found.value("", "last-updated-search") == "date"


def test_where_no_patient_was_named_one_whom_nights_read_is_asked_about(database: Database) -> None:
    clinic = Clinic(database, "athena")
    row: Json = {
        "emr": "clinic",
        "patient_id": "p1",
        "survivor": "p1",
        "facts": b"",
        "digest": "",
        "holes": [],
    }
    with database.write() as connection:
        sync.save_records(connection, [row | {"due": False, "stable_until": None, "evaluated_by": ""}])
    assert clinic.look().value("Condition", "search-needs") == "patient"


def test_the_time_of_day_counts_where_the_emr_compares_instants(database: Database) -> None:
    assert Clinic(database, "generous").look().value("", "last-updated-search") == "instant"


@pytest.mark.parametrize(
    ("personality", "cap", "link"),
    [("generous", "1000", "absolute, by _page"), ("canvas", "100", "absolute, by _offset")],
)
def test_the_most_that_a_page_holds_and_how_the_next_one_is_named(
    database: Database, personality: str, cap: str, link: str
) -> None:
    found = Clinic(database, personality, many(1100)).look()
    assert (found.value("", "page-cap"), found.value("", "next-link")) == (cap, link)


@pytest.mark.parametrize(
    ("personality", "version", "precondition"),
    [
        ("generous", "number", Precondition.ETAG),
        ("medplum", "opaque", Precondition.ETAG),
        ("canvas", "none", Precondition.NONE),
        ("hapi", "number", Precondition.ETAG),
    ],
)
def test_how_versions_are_named_and_when_things_changed(
    database: Database, personality: str, version: str, precondition: Precondition
) -> None:
    found = Clinic(database, personality).look()
    assert found.value("Condition", "version") == version
    assert found.precondition("Condition") == precondition
    assert found.value("Condition", "last-updated") == "fraction"


def test_an_emr_that_says_too_many_is_noted_and_the_look_stays_due(database: Database) -> None:
    clinic = Clinic(database, "ecw", test_patient="p1")
    clinic.later(hours=1 if database.is_sqlite else 2)  # a minute of this test's own, which does not pass
    with pytest.raises(EmrUnreachable, match="429"):
        for _ in range(20):
            clinic.look()
            seen = clinic.passport().facts[("", "checked")].at
    assert clinic.passport().facts[("", "checked")].at == seen


# --- no probe in a chart


@pytest.mark.parametrize(
    "personality",
    ["generous", "hapi", "medplum", "epic", "oracle", "athena", "ecw", "meditech", "nextgen", "canvas"],
)
def test_a_look_writes_nothing_into_any_emr(database: Database, personality: str) -> None:
    clinic = Clinic(database, personality, test_patient="p1")
    clinic.look(may_write=True)
    assert clinic.emr.written() == []


# --- our own resources


def test_what_we_wrote_is_read_back_and_its_identifier_looked_for(database: Database) -> None:
    clinic = Clinic(database, "generous")
    clinic.ours(TASK)
    found = clinic.look()
    assert found.effective("Task", "read").state == State.PROVEN
    assert found.value("Task", "identifiers") == "kept"
    clinic.emr.clinician_edit("Task", "t1", lambda task: task.pop("identifier"))
    assert clinic.look().value("Task", "identifiers") == "lost"
    assert "Task, identifiers: was kept, is lost" in clinic.changes()


@pytest.mark.parametrize(
    ("personality", "said", "state"),
    [("generous", "refused", State.PROVEN), ("hapi", "refused", State.PROVEN)],
)
def test_an_emr_that_refuses_an_old_version_tells_the_truth(
    database: Database, personality: str, said: str, state: State
) -> None:
    clinic = Clinic(database, personality)
    clinic.ours(TASK, versions=2)
    clinic.note("update", 200)
    before = len(clinic.emr.history("Task", "t1"))
    found = clinic.look(may_write=True)
    assert (found.value("Task", "stale-if-match"), found.etag_is_true("Task")) == (said, state)
    assert len(clinic.emr.history("Task", "t1")) == before


def test_an_emr_that_takes_any_version_is_found_out_once_and_its_new_version_known(
    database: Database,
) -> None:
    clinic = Clinic(database, LIAR)
    clinic.ours(TASK, versions=2)
    content = clinic.emr.live("Task")[0].resource
    clinic.note("update", 200)
    found = clinic.look(may_write=True)
    assert found.etag_is_true("Task") == State.DISPROVEN
    assert found.precondition("Task") == Precondition.NONE
    (task,) = clinic.emr.live("Task")
    assert {**(task.resource or {}), "meta": None} == {**(content or {}), "meta": None}, (
        "nothing but a version"
    )
    with database.read() as connection:
        (row,) = ledger.listed(connection)
    assert (task.number, row.version) == (3, "3")
    clinic.look(may_write=True)
    assert len(clinic.emr.history("Task", "t1")) == 3, "a liar is not asked again"


@pytest.mark.parametrize(
    "changed",
    [{"status": "in-progress"}, {"modifierExtension": [{"url": "http://x", "valueBoolean": True}]}],
)
def test_an_open_resource_or_one_with_parts_unknown_to_us_is_left_alone(
    database: Database, changed: dict[str, Any]
) -> None:
    clinic = Clinic(database, "generous")
    clinic.ours(TASK | changed, versions=2)
    clinic.note("update", 200)
    assert clinic.look(may_write=True).value("Task", "stale-if-match") == "unknown"


def test_without_leave_to_write_nothing_is_put_back(database: Database) -> None:
    clinic = Clinic(database, "generous")
    clinic.ours(TASK, versions=2)
    clinic.note("update", 200)
    assert clinic.look(may_write=False).value("Task", "stale-if-match") == "unknown"


# --- when


def test_a_look_is_due_once_a_week(database: Database) -> None:
    clinic = Clinic(database, "generous")
    clinic.look(only_if_due=True)
    clinic.emr.clear()
    clinic.emr.load([condition("c", "I10")])
    clinic.later(days=6, hours=23)
    assert clinic.look(only_if_due=True).verbs[("Task", "create")].declared_at < clinic.now
    clinic.later(hours=1)
    assert clinic.look(only_if_due=True).verbs[("Task", "create")].declared_at == clinic.now


@pytest.mark.parametrize("status", [403, 404, 405, 422, 501])
def test_an_answer_that_contradicts_the_passport_brings_the_look_forward(
    database: Database, status: int
) -> None:
    clinic = Clinic(database, "generous")
    clinic.look()
    clinic.later(hours=1)
    clinic.note("create", status)
    assert clinic.look(only_if_due=True).verbs[("Goal", "create")].declared_at == clinic.now
    clinic.later(hours=1)
    assert clinic.look(only_if_due=True).verbs[("Goal", "create")].declared_at < clinic.now


def test_an_emr_that_became_another_is_told_as_changes(database: Database) -> None:
    clinic = Clinic(database, "generous")
    clinic.look()
    clinic.becomes("nextgen")
    clinic.look()
    told = clinic.changes()
    assert any(text.startswith("Task create: was not disproven, is disproven") for text in told)
    assert any(text.startswith("Task search: was") for text in told)
