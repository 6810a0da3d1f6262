"""A person's word about an unknown write is checked before it counts."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cm_service import wiring
from cm_service.db import connections
from cm_service.db.engine import Database
from cm_service.errors import BadInput
from cm_service.fhir.capability import Capability
from cm_service.fhir.vendor import NO_PROFILE
from cm_service.flow import resolve
from cm_service.flow.book import Book, Pace
from cm_service.flow.deliver import rungs
from cm_service.flow.rungs.limited import around_of
from tests.flow.bad_network import DROPPED_AFTER, DROPPED_BEFORE, answers
from tests.flow.night_world import AS_OF, BASE, out_of_range
from tests.flow.writing_world import Ward, ward

TWO = [*out_of_range("p1"), *out_of_range("p2")]


def say(clinic: Ward, word: Callable[[Book], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        with clinic.database.read() as connection:
            emr = connections.get_emr(connection, "clinic")
        async with wiring.fhir_client(clinic.settings, emr) as client:
            pace = Pace(clinic.hours.clock, dt.timedelta(0), clinic.hours.sleep)
            book = Book(clinic.database, client, emr="clinic", profile=NO_PROFILE, now=AS_OF, pace=pace)
            around = around_of(emr, base=BASE, now=AS_OF)
            book.open(rungs(client, Capability(), around, lambda: book.passport))
            return await word(book)

    return asyncio.run(run())


def test_it_is_written_where_the_person_says_and_nowhere_else(database: Database, tmp_path: Path) -> None:
    with ward(database, tmp_path, out_of_range("p2")) as clinic:
        clinic.run()  # Tasks are known to be taken here: the next one is no canary
        clinic.emr.load(out_of_range("p1"))
        clinic.network.fail("POST Task", DROPPED_AFTER)
        for search in ("GET Task?identifier", "GET Task?patient", "GET Task?subject"):
            clinic.network.fail(search, answers(403), always=True)
        clinic.run()
        (row,) = clinic.rows(state="unknown")
        clinic.network.heal()
        (there,) = [
            f"Task/{each.id}"
            for each in clinic.emr.live("Task")
            if each.resource and each.resource["for"]["reference"] == f"Patient/{row.patient_id}"
        ]
        (other,) = [each.reference for each in clinic.rows(kind="Task", state="written")]
        wrong = {
            "Goal/1": "takes Task/ID",
            "Task/nowhere": "shows no",
            other: "is the place of intent",
        }
        for reference, words in wrong.items():
            with pytest.raises(BadInput, match=words):
                say(clinic, lambda book, said=reference: resolve.written_as(book, row.id, said))
        with pytest.raises(BadInput, match="the EMR shows intent"):
            say(clinic, lambda book: resolve.not_written(book, row.id))
        done = say(clinic, lambda book: resolve.written_as(book, row.id, there))
        assert (done.state, done.reference) == ("written", there)
        assert set(clinic.copies().values()) == {1}


def test_what_a_person_says_is_not_there_goes_in_the_next_night(database: Database, tmp_path: Path) -> None:
    with ward(database, tmp_path, TWO) as clinic:
        clinic.network.fail("POST Task", DROPPED_BEFORE)
        clinic.run()
        (row,) = clinic.rows(state="unknown")
        assert say(clinic, lambda book: resolve.not_written(book, row.id)).state == "pending"
        with pytest.raises(BadInput, match="is pending"):
            say(clinic, lambda book: resolve.not_written(book, row.id))
        assert clinic.run()["written"] == 2, "and the one that waited for it"
        assert set(clinic.copies().values()) == {1}
