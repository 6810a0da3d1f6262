"""What the ledger promises, kept by the database and not by code alone."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from cm_service.db import ledger
from cm_service.db.engine import Database
from cm_service.db.tables import Placement
from cm_service.errors import Lost
from tests.db.builders import NOW, add_emr, add_intent


@pytest.fixture(autouse=True)
def emrs(database: Database) -> None:
    add_emr(database)
    add_emr(database, slug="other")


def row(database: Database, intent: int) -> Any:
    with database.read() as connection:
        return ledger.one(connection, intent)


def test_one_identifier_is_minted_once_per_emr(database: Database) -> None:
    add_intent(database)
    with pytest.raises(sa.exc.IntegrityError):
        add_intent(database)
    add_intent(database, emr="other")


def test_at_most_one_placement_of_an_intent_is_open(database: Database) -> None:
    intent = add_intent(database)
    second = {"rung": "note", "human": [], "deleted": False, "attempts": 0, "updated_at": NOW}
    with pytest.raises(sa.exc.IntegrityError), database.write() as connection:
        connection.execute(sa.insert(Placement).values(intent_id=intent, state="pending", **second))
    with database.write() as connection:
        ledger.move(connection, row(database, intent).placement_id, now=NOW, state="superseded")
        connection.execute(sa.insert(Placement).values(intent_id=intent, state="pending", **second))


def test_what_is_pending_is_claimed_by_one_worker_only(database: Database) -> None:
    placement = row(database, add_intent(database)).placement_id
    claimed: list[bool] = []

    def claim() -> None:
        with database.write() as connection:
            claimed.append(ledger.claim(connection, placement, sent="{}", now=NOW))

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == [False] * 5 + [True]


def test_a_claim_remembers_what_was_sent_and_counts_the_try(database: Database) -> None:
    intent = add_intent(database)
    with database.write() as connection:
        ledger.claim(connection, row(database, intent).placement_id, sent='{"a":1}', now=NOW)
    found = row(database, intent)
    assert (found.state, found.sent, found.attempts) == ("sending", '{"a":1}', 1)


def test_what_a_dead_process_was_sending_is_unknown_in_its_emr_alone(database: Database) -> None:
    mine = add_intent(database, state="sending")
    theirs = add_intent(database, emr="other", state="sending")
    with database.write() as connection:
        assert ledger.sending_becomes_unknown(connection, "clinic", now=NOW) == 1
    assert (row(database, mine).state, row(database, theirs).state) == ("unknown", "sending")


@pytest.mark.parametrize("state", ["written", "refused", "conflict", "parked", "superseded"])
def test_another_wish_makes_what_is_settled_pending(state: str, database: Database) -> None:
    intent = add_intent(database, state=state)
    with database.write() as connection:
        ledger.rewant(connection, intent, wanted="{}", urgency=1, now=NOW)
    found = row(database, intent)
    assert (found.state, found.wanted, found.urgency) == ("pending", "{}", 1)


@pytest.mark.parametrize("state", ["unknown", "sending", "pending"])
def test_another_wish_leaves_what_is_on_its_way_where_it_is(state: str, database: Database) -> None:
    intent = add_intent(database, state=state)
    with database.write() as connection:
        ledger.rewant(connection, intent, wanted="{}", urgency=1, now=NOW)
    assert row(database, intent).state == state


def test_another_wish_never_brings_back_what_somebody_deleted(database: Database) -> None:
    intent = add_intent(database, state="written", deleted=True)
    with database.write() as connection:
        ledger.rewant(connection, intent, wanted="{}", urgency=1, now=NOW)
    assert row(database, intent).state == "written"


def test_links_lead_only_to_what_is_there(database: Database) -> None:
    add_intent(database, value="A" * 32, kind="Goal", reference="Goal/1", state="written")
    add_intent(database, value="E" * 32, kind="Goal", reference="DocumentReference/1", state="written")
    add_intent(database, value="B" * 32, kind="Goal", reference="Goal/2", state="written", deleted=True)
    add_intent(database, value="C" * 32)
    add_intent(database, value="D" * 32, kind="Goal", emr="other", reference="Goal/4")
    with database.read() as connection:
        found = ledger.references(connection, "clinic", [letter * 32 for letter in "ABCDE"])
    assert found == {"A" * 32: "Goal/1"}


def test_a_decline_is_recorded_once_per_offer(database: Database) -> None:
    intent = add_intent(database)
    for expected in (True, False):
        with database.write() as connection:
            told = ledger.add_decline(
                connection, emr="clinic", patient_id="p1", intent_id=intent, at=NOW, until=NOW
            )
        assert told is expected


def test_lists_are_longer_than_a_databases_limit_of_parameters(database: Database) -> None:
    add_intent(database, patient_id="p1999")
    with database.read() as connection:
        found = ledger.of_patients(connection, "clinic", [f"p{number}" for number in range(2000)])
    assert list(found) == ["p1999"]


def test_an_intent_that_is_not_there_is_lost(database: Database) -> None:
    with database.read() as connection, pytest.raises(Lost):
        ledger.one(connection, 999)
