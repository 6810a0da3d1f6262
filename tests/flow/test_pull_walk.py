"""When is a search read to its end? Pages of one row or some, as their EMR tells them, without an EMR."""

from __future__ import annotations

from pathlib import Path

from cryptography.fernet import Fernet

from cm_service.db.sealed import Sealer
from cm_service.fhir.searchset import Page
from cm_service.flow.pull import Source
from cm_service.flow.pull.journal import Journal
from cm_service.flow.pull.search import Search
from cm_service.flow.pull.walk import Walk, row_of

SOURCE, SEARCH = Source("east"), Search("Condition")


def page(*ids: str, next_: str | None = None, anew: bool = False, total: int | None = None) -> Page:
    return Page(
        resources=tuple(f'{{"id":"{each}"}}'.encode() for each in ids),
        ids=ids,
        updated=(None,) * len(ids),
        date=None,
        size=0,
        total=total,
        next=next_,
        self_link=None,
        hollow=0,
        included=0,
        failed=0,
        warned=0,
        anew=anew,
    )


def read(state: Walk, *pages: Page) -> bool:
    """Is it settled with these pages, of which no row is new in a reading after the first?"""
    for each in pages:
        state.add(each, [] if state.turn else list(range(len(each.ids))))
    return state.settled(SOURCE)


def test_a_second_reading_must_bring_all_that_the_first_one_did() -> None:
    state = Walk()
    assert not read(state, page("a", "b", next_="2"), page("c"))
    state.again()
    assert not read(state, page("a", "b", next_="2"), page()), "one page came empty"
    state.again()
    assert read(state, page("a", "b", next_="2"), page()), "so it is: c was deleted"


def test_what_came_before_a_link_expired_is_no_part_of_a_second_reading() -> None:
    state = Walk()
    read(state, page("a", "b", next_="2"), page("c"))
    state.again()
    assert not read(state, page("a", "b", next_="2"), page("c", next_="3"), page("a", anew=True))
    assert state.before == {row_of(each) for each in "abc"}
    assert state.rows == {row_of("a")}


def test_the_emrs_count_is_held_against_the_rows_of_the_last_pass_alone() -> None:
    state = Walk()
    read(state, page("a", "b", next_="2", total=3), page("c", next_="3"), page("a", anew=True, total=3))
    assert state.lacks


def test_a_killed_reading_still_knows_what_the_passes_before_it_brought(tmp_path: Path) -> None:
    sealer = Sealer([Fernet.generate_key().decode()])
    with Journal(tmp_path, sealer) as journal:
        journal.begin("plan", None)
        state = journal.state(SEARCH, None)
        for each in (page("a", "b", next_="2"), page("c")):
            state.add(each, [])
            journal.keep(SEARCH, None, state, end=0)
        state.again()
        journal.keep(SEARCH, None, state, end=0)
        for each in (page("a", next_="2"), page("b", anew=True, next_="2")):
            state.add(each, [])
            journal.keep(SEARCH, None, state, end=0)
    with Journal(tmp_path, sealer) as journal:
        found = journal.state(SEARCH, None)
        assert (found.turn, found.passes, found.next) == (1, 2, "2")
        assert (found.before, found.rows) == (state.before, state.rows)
