"""Reads one type, in the narrowest way that the EMR takes: as a whole, or patient by patient."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol
from urllib.parse import quote

from cm_service.errors import EmrError, EmrRefused, FilterDropped, IncompleteAnswer, PagesShift
from cm_service.fhir.client import FhirClient
from cm_service.fhir.instants import earliest
from cm_service.fhir.searchset import Page
from cm_service.flow.landing import Point, TypeFile, TypeReport
from cm_service.flow.pull.journal import Journal
from cm_service.flow.pull.roster import Roster
from cm_service.flow.pull.search import BY_ID, Search, Window, window
from cm_service.flow.pull.source import Since, Source
from cm_service.flow.pull.tombstones import Changes
from cm_service.flow.pull.walk import Walk, walk
from cm_service.flow.wanted import Query

LONGEST_QUERY = 1500  # characters of a list in a URL: some gateways cut or refuse URLs over 2,000
VALUES_PER_POST = 500
# A refusal with one of these may be about a parameter; any other would meet a wider search too.
ABOUT_PARAMETERS = frozenset({400, 405, 414, 422, 501})
_WANTS_PATIENT = frozenset({400, 412, 422})  # to a search of everything, where a patient is needed
_ALIKE, _IN_A_ROW = 3, 10  # patients whose failures are no longer their own: of the first ones, of any
_HOLLOW, _FAILED = "entries without a resource", "reports of an error inside a good answer"


class Run(Protocol):
    """What the types of one pull share."""

    client: FhirClient
    source: Source
    post_works: bool
    journal: Journal | None

    async def roster(self) -> Roster: ...
    def landed(self, report: TypeReport, page: Page) -> None: ...


class TypeReader:
    """`read` raises EmrError where the type as a whole could not be read; what failed for single patients
    stands in the report, and touches only them."""

    def __init__(self, run: Run, report: TypeReport, file: TypeFile, since: Since) -> None:
        self._run, self._report, self._file, self._since = run, report, file, since
        self._type, self._way, self._holes = report.type, 0, Counter[str]()
        self.points: list[Point] = []
        self._asked_from: dt.datetime | None = None
        self._came: set[bytes] = set()

    @property
    def changes(self) -> Changes | None:
        """None where everything was read."""
        return None if self._asked_from is None else Changes(self._asked_from, frozenset(self._came))

    async def read(self, ways: Sequence[Sequence[Query]], *, within_patient: bool) -> None:
        if within_patient:
            await self._patients(ways)
            return
        try:
            await self._ways(ways, "")
        except (EmrRefused, PagesShift) as error:
            narrow = isinstance(error, PagesShift) or error.status in _WANTS_PATIENT
            if not narrow or not (await self._run.roster()).ids:
                raise
            self._report.note(f"asked again patient by patient, because {error}")
            self._report.wants_patient = isinstance(error, EmrRefused)
            self._way = 0
            await self._patients(ways)

    async def by_id(self, ids: tuple[str, ...]) -> None:
        """These in any case, whatever else of the type was read."""
        if ids:
            await self._query(Query(BY_ID, ids), "")

    async def _patients(self, ways: Sequence[Sequence[Query]]) -> None:
        """One after the other: the types go side by side, and the client bounds how many requests run."""
        report, in_a_row = self._report, 0
        report.patients = []
        error: EmrError | None = None
        ids = (await self._run.roster()).ids
        report.whom = len(ids)
        for who in ids:
            mark = len(self.points)
            try:
                await self._ways(ways, who)
            except EmrError as failure:
                error, in_a_row = failure, in_a_row + 1
                del self.points[mark:]
                report.failed[who] = str(failure)
                if _is_everybodys(failure, in_a_row, first=not report.patients):
                    raise
            else:
                in_a_row = 0
                report.patients.append(who)
        if error is not None and not report.patients:
            raise error

    async def _ways(self, ways: Sequence[Sequence[Query]], patient: str) -> None:
        """What worked for one patient is asked first for the next."""
        self._holes.clear()
        mark = len(self.points)
        while True:
            del self.points[mark:]
            try:
                for query in ways[self._way] if ways else ():
                    await self._query(query, patient)
                break
            except (EmrRefused, FilterDropped) as error:
                if self._way + 1 >= len(ways) or not _is_about_parameters(error):
                    raise
                self._way += 1
                self._report.note(f"asked again more widely, because {error}")
        if self._holes:
            found = " and ".join(f"{count} {what}" for what, count in sorted(self._holes.items()))
            del self.points[mark:]
            raise IncompleteAnswer(f"the answers of {self._run.client.host} on {self._type} held {found}")
        if not all(point.full for point in self.points[mark:]):
            self._report.changes_of.append(patient)

    async def _query(self, query: Query, patient: str) -> None:
        """One list of values in as few requests as the EMR takes: POST keeps a long one out of URLs.

        HAPI 5 takes it, but its self link then lacks what was posted, so there it goes in parts."""
        chunks = list(_chunks(query.values))
        if len(chunks) > 1 and self._run.post_works:
            try:
                for start in range(0, len(query.values), VALUES_PER_POST):
                    values = query.values[start : start + VALUES_PER_POST]
                    await self._search(Search(self._type, query.parameter, values, patient), post=True)
                return
            except (EmrRefused, FilterDropped) as error:
                if isinstance(error, EmrRefused) and error.status == 401:
                    raise
                self._run.post_works = False
        for values in chunks:
            await self._search(Search(self._type, query.parameter, values, patient), post=False)

    async def _search(self, search: Search, *, post: bool) -> None:
        """What changed since the cursor, where there is one and the answer shows that it was about that;
        else everything."""
        source = self._run.source
        old = source.cursors.get(search.key) if self._since != Since.NONE else None
        if old is not None and await self._changes(search, old, post=post):
            return
        state = await self._walk(search, None, post=post)
        self._note(search, None, state.cursor(source.now))

    async def _changes(self, search: Search, old: dt.datetime, *, post: bool) -> bool:
        """Read them; False where the EMR will not have it, drops the filter, or finds nothing at all in its
        last reading: what the cursor was taken from should have come again, and one EMR answers an unknown
        parameter so."""
        source = self._run.source
        asked = window(earliest(old, source.now) or old, source.overlap, self._since)
        try:
            state = await self._walk(search, asked, post=post)
        except FilterDropped as error:
            self._report.dropped_filters += 1
            self._report.note(f"read whole, because {error}")
            return False
        except EmrRefused as error:
            if not _is_about_parameters(error):
                raise
            self._report.note(f"read whole, because {error}")
            return False
        if not state.rows:
            return False
        self._asked_from = earliest(self._asked_from, asked.bound)
        self._came |= state.rows
        self._note(search, asked, state.cursor(source.now))
        return True

    async def _walk(self, search: Search, asked: Window | None, *, post: bool) -> Walk:
        run, journal = self._run, self._run.journal
        state = journal.state(search, asked) if journal else Walk()
        self._report.expected += state.total or 0  # of a run before this one

        def land(page: Page) -> list[int]:
            if state.turn == state.pages == 0:
                self._report.expected += page.total or 0
            return self._land(page)

        def keep(state: Walk) -> None:
            if journal:
                journal.keep(search, asked, state, end=self._file.size)

        state = await walk(
            run.client, run.source, search, window=asked, post=post, state=state, land=land, keep=keep
        )
        self._holes += Counter({_HOLLOW: state.hollow, _FAILED: state.failed})
        return state

    def _note(self, search: Search, asked: Window | None, cursor: dt.datetime | None) -> None:
        journal = self._run.journal
        point = Point(
            type=self._type,
            query=search.query,
            patient=search.patient,
            cursor=None if search.parameter == BY_ID else cursor,
            full=asked is None,
            as_of=journal.as_of(search, asked) if journal else None,
        )
        self.points.append(point)

    def _land(self, page: Page) -> list[int]:
        report, fresh = self._report, self._file.add(page.resources)
        report.pages += 1
        report.resources += len(fresh)
        if page.warned:
            report.note("the EMR sent a warning with its answer")
        if page.self_link is None:
            report.note("the EMR does not say which parameters it used")
        self._run.landed(report, page)
        return fresh


def _is_everybodys(failure: EmrError, in_a_row: int, *, first: bool) -> bool:
    """Is this no longer about a patient? A bad token is not; the same answer for the first three, or for
    ten in a row, is not either. A filter that is dropped would bring everybody's for each."""
    if isinstance(failure, FilterDropped) or (isinstance(failure, EmrRefused) and failure.status == 401):
        return True
    return in_a_row >= (_ALIKE if first else _IN_A_ROW)


def _is_about_parameters(error: EmrRefused | FilterDropped) -> bool:
    return isinstance(error, FilterDropped) or error.status in ABOUT_PARAMETERS


def _chunks(values: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The values in lists short enough for a URL; one empty list for none."""
    chunk: list[str] = []
    length = 0
    for value in values:
        size = len(quote(value)) + 1
        if chunk and length + size > LONGEST_QUERY:
            yield tuple(chunk)
            chunk, length = [], 0
        chunk.append(value)
        length += size
    yield tuple(chunk)
