"""Pull: everything that rules read, from one EMR into one landing folder, as the EMR sent it.

A type counts as complete only when every search of it ended on its last page and nothing hints at
a hole, because what a complete type lacks is taken as deleted. One type's failure stops no other.
There is no cursor: each pull reads everything.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from cm_service.errors import EmrError, EmrRefused, EmrUnreachable, FilterDropped, IncompleteAnswer, NotFhir
from cm_service.fhir.capability import Capability
from cm_service.fhir.client import FhirClient, search_value
from cm_service.fhir.searchset import Page
from cm_service.flow.landing import PullReport, TypeFile, TypeReport, digest, make_private, save_manifest
from cm_service.flow.normalisers.used_codes import ConceptMap
from cm_service.flow.references import Referred
from cm_service.flow.wanted import CODED, REFERENCED, WHOLE, WHOLE_TYPE, Query, queries
from cm_service.logs import log

Progress = Callable[[TypeReport], None]
PAGE_SIZE = 200
LONGEST_QUERY = 1500  # characters of a list in a URL: some gateways cut or refuse URLs over 2,000
VALUES_PER_POST = 500
_COUNT_TRIES = 2  # a resource deleted while we read makes the count wrong once
# A refusal with one of these may be about a parameter; any other would meet a wider search too.
_ABOUT_PARAMETERS = frozenset({400, 405, 414, 422, 501})


class Source(msgspec.Struct, frozen=True):
    """The EMR connection as far as a pull needs it."""

    slug: str
    concept_map: ConceptMap = {}
    named: tuple[str, ...] = ()  # references that an operator named: the practice, the owner of Tasks


async def pull(client: FhirClient, emr: Source, folder: Path, *, progress: Progress) -> PullReport:
    """Read all types into `folder`, which must not exist yet; `progress` hears of every page.

    Returns a report, complete or not, that also stands in the manifest. Raises EmrUnreachable,
    EmrRefused or another EmrError when nothing at all could be read, Misconfigured before any
    request that must not be made."""
    make_private(folder)
    run = _Pull(client, emr, folder, progress)
    for reference in emr.named:
        run.references.add(reference)
    capability = await run.capability()
    await _together(run.read(name, queries(name, capability, emr.concept_map)) for name in (*WHOLE, *CODED))
    await _together(run.read_referenced(name, holder) for name, holder in REFERENCED.items())
    save_manifest(folder, run.report)
    run.fail_if_nothing_was_read()
    return run.report


async def _together(jobs: Iterable[Awaitable[None]]) -> None:
    """All at once; the client bounds how many requests run. What is no EmrError ends the pull."""

    async def run(job: Awaitable[None]) -> None:
        await job

    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(run(job))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


class _Pull:
    """What the types of one pull share."""

    def __init__(self, client: FhirClient, emr: Source, folder: Path, progress: Progress) -> None:
        self.client, self.folder, self.progress = client, folder, progress
        self.report = PullReport(emr=emr.slug, types={})
        self.references = Referred(client.base_url)
        self.post_works = True
        self._errors: dict[str, EmrError] = {}

    async def capability(self) -> Capability:
        """Without /metadata the pull goes on, carefully; without any connection it is over."""
        try:
            return await self.client.capability()
        except (EmrRefused, NotFhir, EmrUnreachable) as error:
            if isinstance(error, EmrUnreachable) and error.status is None:
                raise
            self.report.notes = [f"what the EMR can do is unknown: {error}"]
            return Capability()

    async def read(self, type_: str, ways: Sequence[Sequence[Query]]) -> None:
        report = self.report.types[type_] = TypeReport(type=type_)
        with TypeFile(self.folder, type_) as file:
            try:
                await _TypeReader(self, report, file).read(ways)
                report.status = "complete"
            except EmrError as error:
                self._settle(report, error)
        self.progress(report)
        log.info(
            "type_read", type=type_, status=report.status, pages=report.pages, resources=report.resources
        )

    def _settle(self, report: TypeReport, error: EmrError) -> None:
        report.status, report.reason = "failed", str(error)
        if isinstance(error, EmrRefused):
            report.status, report.http_status = "refused", error.status
        self._errors[report.type] = error

    async def read_referenced(self, type_: str, holder: str) -> None:
        """Read by id what resources of type `holder` refer to; as complete as those are."""
        ids = tuple(sorted(self.references.ids.get(type_, ())))
        await self.read(type_, [[Query("_id", ids)], [WHOLE_TYPE]] if ids else [])
        report = self.report.types[type_]
        if report.status == "complete" and self.report.types[holder].status != "complete":
            report.status = "failed"
            report.reason = f"{holder} was not read to its end, so not every {type_} in use is known"

    def fail_if_nothing_was_read(self) -> None:
        """An EMR that gave nothing to anybody is a failed run, with one sentence."""
        if any(report.resources for report in self.report.types.values()):
            return
        errors = [self._errors.get(name) for name in (*WHOLE, *CODED)]
        first = errors[0]
        if first is None or None in errors:
            return
        refusals = Counter(error.status for error in errors if isinstance(error, EmrRefused))
        if refusals.total() == len(errors):
            status = refusals.most_common(1)[0][0]
            raise EmrRefused(f"{self.client.host} refused every read with {status}", status=status)
        raise first


class _TypeReader:
    """Reads one type, in the narrowest way that the EMR takes."""

    def __init__(self, run: _Pull, report: TypeReport, file: TypeFile) -> None:
        self._run, self._report, self._file = run, report, file
        self._type, self._holes = report.type, Counter[str]()

    async def read(self, ways: Sequence[Sequence[Query]]) -> None:
        for way in ways:
            try:
                for query in way:
                    await self._query(query)
                break
            except (EmrRefused, FilterDropped) as error:
                if way is ways[-1] or not _is_about_parameters(error):
                    raise
                self._report.note(f"asked again more widely, because {error}")
        if self._holes:
            found = " and ".join(f"{count} {what}" for what, count in sorted(self._holes.items()))
            raise IncompleteAnswer(f"the answers of {self._run.client.host} on {self._type} held {found}")

    async def _query(self, query: Query) -> None:
        """One list of values in as few requests as the EMR takes: POST keeps a long one out of URLs.

        HAPI 5 takes it, but its self link then lacks what was posted, so there it goes in parts."""
        chunks = list(_chunks(query.values))
        if len(chunks) > 1 and self._run.post_works:
            try:
                for start in range(0, len(query.values), VALUES_PER_POST):
                    await self._search(query, query.values[start : start + VALUES_PER_POST], post=True)
                return
            except (EmrRefused, FilterDropped) as error:
                if isinstance(error, EmrRefused) and error.status == 401:
                    raise
                self._run.post_works = False
        for values in chunks:
            await self._search(query, values, post=False)

    async def _search(self, query: Query, values: Sequence[str], *, post: bool) -> None:
        """One search to its last page. Fewer resources than the EMR counts are a hole: some servers
        stop handing out `next` links at 10,000 (HAPI issue 3599), others hide rows."""
        params = [(query.parameter, ",".join(map(search_value, values)))] if query.parameter else []
        params.append(("_count", str(PAGE_SIZE)))
        for _ in range(_COUNT_TRIES):
            total: int | None = None
            hollow, seen = 0, set[bytes]()
            async for page in self._run.client.search(self._type, params, post=post):
                total = page.total if total is None else total
                hollow += page.hollow
                seen.update(map(digest, page.resources))
                self._land(page)
            if total is None or total <= len(seen) + hollow:
                return
        raise IncompleteAnswer(
            f"{self._run.client.host} counts {total} of {self._type}, but its pages held {len(seen)}"
        )

    def _land(self, page: Page) -> None:
        self._report.pages += 1
        self._report.resources += self._file.add(page.resources)
        if self._type in REFERENCED.values():
            for line in page.resources:
                self._run.references.collect(line)
        self._holes += Counter({_HOLLOW: page.hollow, _FAILED: page.failed})
        if page.warned:
            self._report.note("the EMR sent a warning with its answer")
        if page.self_link is None:
            self._report.note("the EMR does not say which parameters it used")
        self._run.progress(self._report)


_HOLLOW, _FAILED = "entries without a resource", "reports of an error inside a good answer"


def _is_about_parameters(error: EmrRefused | FilterDropped) -> bool:
    return isinstance(error, FilterDropped) or error.status in _ABOUT_PARAMETERS


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
