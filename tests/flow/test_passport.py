"""The passport: what is promised, what was seen, and what follows for the next write."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from cm_service.db import passport as rows
from cm_service.db.engine import Database
from cm_service.fhir import vendor
from cm_service.fhir.capability import Capability, TypeCapability
from cm_service.fhir.vendor import NO_PROFILE, Answer, Precondition, Profile
from cm_service.flow import passport
from cm_service.flow.landing import PullReport, TypeReport
from cm_service.flow.passport import Passport, State, paper, proofs
from tests.db.builders import NOW, add_emr

DAY = dt.timedelta(days=1)


def declares(*interactions: str, type_: str = "Task", operations: tuple[str, ...] = ()) -> Capability:
    said = TypeCapability(interactions=frozenset(interactions), operations=frozenset(operations))
    return Capability(types={type_: said})


class Book:
    """One EMR's passport in a store, and what is done with it."""

    def __init__(self, database: Database, profile: Profile = NO_PROFILE) -> None:
        self.database, self.profile, self.now = database, profile, NOW
        add_emr(database)

    def read(self) -> Passport:
        with self.database.read() as connection:
            return passport.load(connection, "clinic", self.profile)

    def state(self, verb: str = "create", resource: str = "Task") -> State:
        return self.read().effective(resource, verb).state

    def reason(self, verb: str = "create", resource: str = "Task") -> str:
        return self.read().effective(resource, verb).reason

    def note(self, *statuses: int, verb: str = "create", resource: str = "Task") -> None:
        with self.database.write() as connection:
            for status in statuses:
                passport.note(
                    connection, emr="clinic", resource=resource, verb=verb, status=status, now=self.now
                )

    def promise(self, capability: Capability, *, scope: str | None = None) -> None:
        with self.database.write() as connection:
            paper.record(
                connection,
                emr="clinic",
                capability=capability,
                scope=scope,
                profile=self.profile,
                now=self.now,
            )

    def lapse(self) -> None:
        with self.database.write() as connection:
            proofs.lapse(connection, "clinic", before=self.now - 7 * DAY, now=self.now)

    def sight(self, *seen: bool) -> None:
        with self.database.write() as connection:
            for each in seen:
                proofs.note_sighting(connection, emr="clinic", resource="Task", seen=each, now=self.now)

    def fact(self, name: str, value: str, resource: str = "Task") -> None:
        with self.database.write() as connection:
            proofs.set_fact(connection, "clinic", resource, name, value, now=self.now)

    def changes(self) -> list[str]:
        with self.database.read() as connection:
            return [row.text for row in reversed(rows.changes(connection, "clinic"))]

    def doubt(self) -> str | None:
        with self.database.read() as connection:
            row = rows.fact(connection, "clinic", "", proofs.RECHECK)
        return row.value if row is not None else None


@pytest.fixture
def book(database: Database) -> Book:
    return Book(database)


# --- proof by use


def test_what_nobody_knows_may_be_tried(book: Book) -> None:
    assert book.read().effective("Task", "create") == (State.UNTRIED, "nothing is known of it")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_success_proves_the_verb(book: Book, status: int) -> None:
    book.note(status)
    assert book.state() == State.PROVEN
    assert book.reason() == f"worked with {status} on 2026-11-21"
    assert book.state("update") == State.UNTRIED, "one verb says nothing of another"
    assert book.changes() == [], "nobody had said otherwise"


@pytest.mark.parametrize("status", [403, 405, 501, 404])
def test_a_refusal_of_the_verb_disproves_it_and_asks_for_a_new_look(book: Book, status: int) -> None:
    book.note(status)
    assert book.state() == State.DISPROVEN
    assert book.reason() == f"refused with {status} on 2026-11-21"
    assert book.doubt() == f"{status} to create Task"
    assert book.changes() == [
        f"Task create: was not disproven, is disproven (refused with {status} on 2026-11-21)"
    ]


@pytest.mark.parametrize("status", [400, 401, 409, 410, 412, 422, 429, 500])
def test_an_answer_about_something_else_proves_nothing(book: Book, status: int) -> None:
    book.note(status)
    assert book.state() == State.UNTRIED
    assert (book.doubt() is not None) == (status == 422)


def test_a_resource_that_is_gone_says_nothing_of_updates(book: Book) -> None:
    book.note(404, verb="update")
    book.note(404, verb="read")
    assert (book.state("update"), book.state("read")) == (State.UNTRIED, State.UNTRIED)
    assert book.doubt() == "404 to read Task"


def test_one_403_about_one_patient_does_not_take_a_proven_verb(book: Book) -> None:
    book.note(201, 403, 403)
    assert book.state() == State.PROVEN
    assert book.reason().endswith("then refused with 403 on 2026-11-21")
    book.note(403)
    assert book.state() == State.DISPROVEN, "three in a row are about us"
    book.note(201)
    assert book.state() == State.PROVEN
    assert [text.split(" (")[0] for text in book.changes()] == [
        "Task create: was proven, is disproven",
        "Task create: was disproven, is proven",
    ]


def test_a_405_takes_a_proven_verb_at_once(book: Book) -> None:
    book.note(201, 405)
    assert book.state() == State.DISPROVEN


def test_a_403_lapses_after_a_week_and_a_405_does_not(book: Book) -> None:
    book.note(403)
    book.note(405, verb="update")
    book.now = NOW + 6 * DAY
    book.lapse()
    assert book.state() == State.DISPROVEN
    book.now = NOW + 7 * DAY
    book.lapse()
    assert (book.state(), book.state("update")) == (State.UNTRIED, State.DISPROVEN)
    assert book.changes()[-1] == "Task create: was disproven, is not disproven (not tried)"


def test_the_passport_of_one_emr_is_not_that_of_another(book: Book, database: Database) -> None:
    add_emr(database, slug="other")
    book.note(405)
    with database.read() as connection:
        other = passport.load(connection, "other", NO_PROFILE)
    assert other.effective("Task", "create").state == State.UNTRIED


def test_a_pull_proves_searches_and_disproves_them(book: Book, database: Database) -> None:
    types = {
        "Task": TypeReport(type="Task", status="complete", pages=1),
        "Goal": TypeReport(type="Goal", status="refused", http_status=403),
        "Consent": TypeReport(type="Consent", status="failed"),
        "Specimen": TypeReport(type="Specimen", status="complete", pages=0),
    }
    with database.write() as connection:
        passport.note_pull(connection, PullReport(emr="clinic", types=types), now=NOW)
    found = {kind: book.state("search", kind) for kind in types}
    assert found == {
        "Task": State.PROVEN,
        "Goal": State.DISPROVEN,
        "Consent": State.UNTRIED,
        "Specimen": State.UNTRIED,
    }, "nothing was asked about Specimen"


# --- what is promised


def test_a_declaration_is_no_proof_and_its_absence_is_a_no(book: Book) -> None:
    book.promise(declares("create", "search-type"))
    assert book.read().effective("Task", "create") == (State.UNTRIED, "declared, and not yet tried")
    assert book.state("search") == State.UNTRIED
    assert book.reason("update") == "/metadata of 2026-11-21 does not declare it"
    assert book.state("create", "Goal") == State.DISPROVEN
    assert book.changes() == [], "a first look changes nothing"


def test_metadata_without_any_type_denies_nothing(book: Book) -> None:
    book.promise(Capability(fhir_version="4.0.1"))
    assert book.read().effective("Task", "create") == (State.UNTRIED, "not tried")


def test_an_operation_is_declared_as_one(book: Book) -> None:
    book.promise(declares(type_="MeasureReport", operations=("submit-care-gaps",)))
    assert book.state("$submit-care-gaps", "MeasureReport") == State.UNTRIED
    book.promise(declares(type_="MeasureReport"))
    assert book.state("$submit-care-gaps", "MeasureReport") == State.DISPROVEN


def test_what_works_undeclared_is_believed(book: Book) -> None:
    book.promise(declares("read"))
    book.note(201)
    assert book.state() == State.PROVEN


def test_a_token_that_does_not_grant_is_believed_before_any_proof(book: Book) -> None:
    book.note(201)
    book.promise(declares("create"), scope="system/Task.rs")
    assert book.read().effective("Task", "create") == (
        State.DISPROVEN,
        "the token of 2026-11-21 does not grant it",
    )
    book.promise(declares("create"), scope="system/Task.cruds")
    assert book.state() == State.PROVEN


def test_what_the_vendor_forbids_is_not_even_tried(database: Database) -> None:
    book = Book(database, vendor.load("epic"))
    assert book.state("create") == State.DISPROVEN, "before the first look already"
    book.promise(declares("create", "update", "read"))
    assert book.state("create") == State.DISPROVEN
    assert book.reason("update") == "the vendor profile (2026-08) says no: Community Resource tasks only"


def test_a_promise_that_came_back_takes_the_old_refusal_with_it(book: Book) -> None:
    book.promise(declares("read"))
    book.note(405)
    book.promise(declares("read", "create"))
    assert book.state() == State.UNTRIED
    assert book.changes()[-1] == (
        "Task create: was disproven, is not disproven (declared, and not yet tried)"
    )


def test_a_profile_that_says_yes_takes_an_old_refusal_with_it(book: Book) -> None:
    book.promise(declares("create"))
    book.note(403)
    book.profile = vendor.load("canvas")
    book.promise(declares("create"))
    assert book.state() == State.UNTRIED


def test_a_promise_that_went_is_told_even_where_the_verb_still_works(book: Book) -> None:
    book.promise(declares("create"))
    book.note(201)
    book.promise(declares("read"))
    assert book.state() == State.PROVEN
    assert "Task create: was declared in /metadata, now is not declared in /metadata" in book.changes()


def test_a_new_look_settles_the_doubt_that_asked_for_it(book: Book) -> None:
    book.note(405)
    book.promise(declares("create"))
    assert book.doubt() is None
    assert book.state() == State.DISPROVEN, "a declaration does not outweigh what happened"


def test_a_look_keeps_what_was_seen_by_use(book: Book) -> None:
    book.note(201)
    book.note(405, verb="patch")
    book.now = NOW + DAY
    book.promise(declares("create", "patch"))
    assert (book.state(), book.state("patch")) == (State.PROVEN, State.DISPROVEN)
    row = book.read().verbs[("Task", "create")]
    assert (row.worked_at, row.declared_at) == (NOW, NOW + DAY)


# --- other facts


def test_a_search_is_trusted_with_fresh_writes_after_three_sightings_and_no_miss(book: Book) -> None:
    book.sight(True, True)
    assert book.read().sees_fresh_writes("Task") == State.UNTRIED
    book.sight(True)
    assert book.read().sees_fresh_writes("Task") == State.PROVEN
    assert book.read().sees_fresh_writes("Goal") == State.UNTRIED
    book.sight(False)
    book.sight(True, True, True)
    assert book.read().sees_fresh_writes("Task") == State.DISPROVEN, "one miss counts for good"
    assert book.changes() == ["Task, read-after-write: was proven, is missed"]


def test_a_holding_tank_disproves_fresh_looks_without_any(database: Database) -> None:
    assert Book(database, vendor.load("epic")).read().sees_fresh_writes("Condition") == State.DISPROVEN


def test_a_fact_that_is_not_seen_this_time_stays_and_one_seen_otherwise_is_told(book: Book) -> None:
    book.fact("filter:_lastUpdated", "filters")
    book.fact("filter:_lastUpdated", "unknown")
    assert book.read().filters("Task", "_lastUpdated") == "filters"
    assert book.changes() == []
    book.fact("filter:_lastUpdated", "ignored")
    assert book.changes() == ["Task, filter:_lastUpdated: was filters, is ignored"]


@pytest.mark.parametrize(
    ("profile", "facts", "style"),
    [
        (None, {}, Precondition.ETAG),
        (None, {"version": "number"}, Precondition.ETAG),
        (None, {"version": "none"}, Precondition.NONE),
        (None, {"version": "number", "stale-if-match": "ignored"}, Precondition.NONE),
        (None, {"stale-if-match": "refused"}, Precondition.ETAG),
        ("canvas", {"version": "none"}, Precondition.IF_UNMODIFIED_SINCE),
        ("epic", {}, Precondition.NONE),
    ],
)
def test_the_precondition_is_the_vendors_else_what_was_seen(
    database: Database, profile: str | None, facts: dict[str, str], style: Precondition
) -> None:
    book = Book(database, vendor.load(profile))
    for name, value in facts.items():
        book.fact(name, value)
    assert book.read().precondition("Task") == style


def test_who_ignored_an_old_version_of_one_type_is_trusted_on_none(book: Book) -> None:
    book.fact("stale-if-match", "refused", "Goal")
    assert book.read().etag_is_true("Goal") == State.PROVEN
    assert book.read().etag_is_true("Task") == State.UNTRIED
    book.fact("stale-if-match", "ignored", "Task")
    assert book.read().etag_is_true("Goal") == State.DISPROVEN


def test_identifiers_are_kept_as_seen_else_as_the_vendor_says(database: Database) -> None:
    book = Book(database, vendor.load("epic"))
    assert book.read().keeps_identifiers("DocumentReference") == Answer.NO
    book.fact("identifiers", "kept", "DocumentReference")
    assert book.read().keeps_identifiers("DocumentReference") == Answer.YES


def test_what_was_disproven_can_be_forgotten_by_hand(book: Book, database: Database) -> None:
    book.note(405)
    book.sight(False)
    book.fact("stale-if-match", "ignored")
    book.fact("version", "number")
    with database.write() as connection:
        rows.forget(connection, "clinic", facts=("read-after-write", "stale-if-match"))
    now = book.read()
    assert now.effective("Task", "create").state == State.UNTRIED
    assert (now.sees_fresh_writes("Task"), now.etag_is_true("Task")) == (State.UNTRIED, State.UNTRIED)
    assert now.value("Task", "version") == "number"


# --- told


def test_the_four_facts_are_told_with_their_dates(database: Database) -> None:
    book = Book(database, vendor.load("canvas"))
    book.promise(declares("create"), scope="system/Task.cruds")
    book.note(201)
    with database.read() as connection:
        told: dict[str, Any] = passport.told(connection, "clinic", book.profile)
    (row,) = [row for row in told["verbs"] if (row["resource"], row["verb"]) == ("Task", "create")]
    at = "2026-11-21T01:00:00+00:00"
    assert row == {
        "resource": "Task",
        "verb": "create",
        "declared": {"answer": "yes", "date": at},
        "granted": {"answer": "yes", "date": at},
        "allowed": {"answer": "yes", "date": "2025-05-22", "note": ""},
        "use": {"answer": "proven", "status": 201, "date": at},
        "standing": "proven",
        "reason": "worked with 201 on 2026-11-21",
    }
    assert told["profile"]["name"] == "canvas"
    assert told["profile"]["rungs"]["task"] == "yes"
    assert told["profile"]["paging"]["most"] == 100
    said = {field.name for field in msgspec.structs.fields(Profile)} - {"rules"}
    assert told["profile"].keys() == said | {"rung_notes"}, "nothing that the file says is left out"


def test_warnings_name_what_an_operator_must_know(book: Book, database: Database) -> None:
    book.fact("filter:identifier", "ignored")
    book.fact("stale-if-match", "ignored")
    with database.read() as connection:
        found = passport.warnings(connection, "clinic", NO_PROFILE)
    assert [text.partition(":")[0] for text in found] == [
        "searches of Task ignore the identifier",
        "updates of Task are taken under any version",
    ]
