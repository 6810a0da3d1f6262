"""One search read to its end, and read again until nothing that it holds can have slipped between pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import msgspec

from cm_service.errors import IncompleteAnswer, PagesShift
from cm_service.fhir.client import FhirClient
from cm_service.fhir.instants import earliest
from cm_service.fhir.searchset import Page
from cm_service.flow.landing import digest
from cm_service.flow.pull.search import Search, Window, check_effect
from cm_service.flow.pull.source import Source

TURNS = 4
# HAPI answers a search from a result of the last minute: a second reading would only see the first.
_FRESH = {"Cache-Control": "no-cache"}
Land = Callable[[Page], list[int]]


class Walk(msgspec.Struct):
    """How far a search has come. `turn` counts readings from 0, `passes` also those that an expired link
    began anew; `pages`, `rows`, `hollow` and `total` are those of this pass, a row being one resource,
    whatever versions of it came, and `before` the rows of the passes before it in this turn and the last;
    `undated` and `oldest_new` tell what this turn brought that no turn before it did."""

    turn: int = 0
    passes: int = 0
    pages: int = 0
    rows: set[bytes] = msgspec.field(default_factory=set)
    before: set[bytes] = msgspec.field(default_factory=set)
    last_rows: list[bytes] = msgspec.field(default_factory=list)  # of the last page
    hollow: int = 0
    failed: int = 0  # reports of an error inside a good answer, in any reading
    total: int | None = None
    undated: int = 0
    oldest_new: dt.datetime | None = None
    date: dt.datetime | None = None  # of the very first page
    newest: dt.datetime | None = None
    some_undated: bool = False
    next: str | None = None
    done: bool = False

    def add(self, page: Page, fresh: list[int]) -> None:
        if page.anew:
            self.before |= self.rows
            self._begin()
        if self.pages == 0:
            self.total = page.total
            self.date = self.date or page.date
        self.pages += 1
        self.hollow += page.hollow
        self.failed += page.failed
        self.last_rows = [
            row_of(id_) if id_ else digest(line) for id_, line in zip(page.ids, page.resources, strict=True)
        ]
        self.rows.update(self.last_rows)
        known = [moment for moment in page.updated if moment is not None]
        self.newest = max([*known, *([self.newest] if self.newest else [])], default=None)
        self.some_undated |= len(known) < len(page.updated)
        new = [page.updated[place] for place in fresh]
        self.undated += new.count(None)
        self.oldest_new = earliest(self.oldest_new, *new)
        self.next = page.next

    def again(self) -> None:
        """Begin the next reading."""
        self.turn += 1
        self.undated, self.oldest_new, self.before = 0, None, self.rows
        self._begin()

    def _begin(self) -> None:
        self.passes += 1
        self.pages = self.hollow = 0
        self.total = self.next = None
        self.rows, self.last_rows = set(), []

    @property
    def lacks(self) -> bool:
        """Fewer than the EMR counts: some servers stop handing out `next` links at 10,000 (HAPI issue
        3599), others hide rows."""
        return self.total is not None and self.total > len(self.rows) + self.hollow

    def cursor(self, now: dt.datetime | None) -> dt.datetime | None:
        """From where the next search goes on: never later than the server said that it was, nor than what
        was seen, nor than our own clock. None where nothing with a date was seen, or something without."""
        if self.newest is None or self.some_undated:
            return None
        return earliest(self.newest, self.date, now)

    def settled(self, source: Source) -> bool:
        """While people write, a row can slip from a page not yet read to one that was: then a second
        reading must bring all that the first one did, and nothing but what the next search asks for anyway.
        One that finds less was not answered to the end, or a row was deleted: it proves nothing."""
        if not self.before <= self.rows:
            return False
        if self.pages <= 1 or source.snapshots:
            return True
        if self.turn == 0 or self.undated:
            return False
        cursor = self.cursor(source.now)
        return self.oldest_new is None or (cursor is not None and self.oldest_new >= cursor - source.overlap)


def row_of(id_: str) -> bytes:
    """How a resource of one type stands in `Walk.rows`."""
    return digest(id_.encode())


async def walk(
    client: FhirClient,
    source: Source,
    search: Search,
    *,
    window: Window | None,
    post: bool,
    state: Walk,
    land: Land,
    keep: Callable[[Walk], None],
) -> Walk:
    """Read `search` from where `state` says to its last page; `land` stores a page and says which of its
    rows are new, `keep` makes what was reached durable. Raises EmrError."""
    while not state.done:
        if state.pages == 0 or state.next is not None:
            await _turn(client, source, search, window=window, post=post, state=state, land=land, keep=keep)
        if not state.lacks and state.settled(source):
            state.done, state.last_rows = True, []
        elif state.turn + 1 == TURNS:
            raise _unsettled(client, search, state)
        else:
            state.again()
        keep(state)
    return state


async def _turn(
    client: FhirClient,
    source: Source,
    search: Search,
    *,
    window: Window | None,
    post: bool,
    state: Walk,
    land: Land,
    keep: Callable[[Walk], None],
) -> None:
    params = search.params(window, count=source.count)
    pages = client.search(search.type, params, post=post, headers=_FRESH, resume=state.next)
    async for page in pages:
        if window is not None:
            check_effect(page, window, search.type)
        state.add(page, land(page))
        keep(state)


def _unsettled(client: FhirClient, search: Search, state: Walk) -> IncompleteAnswer:
    if state.lacks:
        found = len(state.rows)
        text = f"{client.host} counts {state.total} of {search.type}, but its pages held {found}"
        return IncompleteAnswer(text)
    return PagesShift(f"the pages of {search.type} change faster than they can be read")
