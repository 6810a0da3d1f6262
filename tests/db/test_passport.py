"""Rows of the passport: replaced as wholes, apart per EMR, and what counts as ours."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from cm_service.db import passport
from cm_service.db.engine import Database
from cm_service.db.tables import Emr
from tests.db.builders import NOW, add_emr, add_intent


def test_a_pair_of_which_nothing_is_known_is_blank(database: Database) -> None:
    add_emr(database)
    with database.write() as connection:
        blank = passport.verb(connection, "clinic", "Task", "create")
    assert (blank["declared"], blank["allowed"], blank["worked_at"], blank["refusals"]) == (
        *("unknown", "unknown"),
        *(None, 0),
    )


def test_a_row_is_replaced_and_its_dates_keep_their_instant(database: Database) -> None:
    add_emr(database)
    local = NOW.astimezone(dt.timezone(dt.timedelta(hours=-5)))
    with database.write() as connection:
        row = passport.blank("clinic", "Task", "create")
        passport.save_verbs(connection, [row])
        passport.save_verbs(connection, [row | {"worked_at": local, "worked_status": 201}])
        (found,) = passport.verbs(connection, "clinic", lock=True)
    assert (found.worked_at, found.worked_status) == (NOW, 201)


def test_a_fact_is_one_row_and_changes_are_a_list(database: Database) -> None:
    add_emr(database)
    with database.write() as connection:
        for value in ("number", "opaque"):
            passport.save_fact(connection, "clinic", "Task", "version", value, at=NOW, detail={"seen": 2})
        (fact,) = passport.facts(connection, "clinic")
        passport.add_changes(connection, "clinic", ["first", "second"], at=NOW)
        mark = passport.last_change(connection, "clinic")
        passport.add_changes(connection, "clinic", ["third"], at=NOW)
        newest = [row.text for row in passport.changes(connection, "clinic", limit=2)]
        after = [row.text for row in passport.changes(connection, "clinic", after=mark)]
    assert (fact.value, fact.detail) == ("opaque", {"seen": 2})
    assert (newest, after) == (["third", "second"], ["third"])


def test_ours_is_what_was_written_of_that_type_and_is_still_there(database: Database) -> None:
    add_emr(database)
    add_intent(database, value="A" * 32, state="written", reference="Task/1", version="1")
    add_intent(database, value="B" * 32, state="written", reference="Task/2", version="1")
    add_intent(database, value="C" * 32, state="written", reference="Task/3", deleted=True)
    add_intent(database, value="D" * 32, state="unknown", reference="Task/4")
    add_intent(database, value="E" * 32, kind="Goal", state="written", reference="Goal/1")
    with database.read() as connection:
        found = passport.own(connection, "clinic", "Task", limit=5)
        newest = passport.own(connection, "clinic", "Task", limit=1)
    assert [row.reference for row in found] == ["Task/2", "Task/1"]
    assert [(row.reference, row.value) for row in newest] == [("Task/2", "B" * 32)]


def test_the_passport_goes_with_its_emr(database: Database) -> None:
    add_emr(database)
    with database.write() as connection:
        passport.save_verbs(connection, [passport.blank("clinic", "Task", "create")])
        passport.save_fact(connection, "clinic", "", "checked", "yes", at=NOW)
        passport.add_changes(connection, "clinic", ["it changed"], at=NOW)
        connection.execute(sa.delete(Emr))
        left = (passport.verbs(connection, "clinic"), passport.facts(connection, "clinic"))
        assert (*left, passport.changes(connection, "clinic")) == ([], [], [])
