"""One pull, all types. A type counts as complete only when every search of it ended on its last page and
nothing hints at a hole, because what a complete type lacks is taken as deleted. One type's failure stops
no other, and one patient's failure touches nobody else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cm_service.errors import EmrError, EmrRefused, EmrUnreachable, NotFhir
from cm_service.fhir.capability import Capability
from cm_service.fhir.client import FhirClient
from cm_service.fhir.scopes import may_read_all
from cm_service.fhir.searchset import Page
from cm_service.flow.landing import (
    PullReport,
    RosterReport,
    TypeFile,
    TypeReport,
    digest,
    make_private,
    save_manifest,
)
from cm_service.flow.pull import export as exporting
from cm_service.flow.pull import roster, tombstones
from cm_service.flow.pull.journal import Journal, plan_in
from cm_service.flow.pull.reader import TypeReader
from cm_service.flow.pull.roster import Roster
from cm_service.flow.pull.search import BY_ID
from cm_service.flow.pull.source import EVERYTHING, Source
from cm_service.flow.references import Referred, id_of
from cm_service.flow.wanted import CODED, REFERENCED, WHOLE, WHOLE_TYPE, Query, queries
from cm_service.logs import log

Progress = Callable[[TypeReport], None]
PATIENT = "Patient"
_NOT_THERE, _WANTS_MORE = frozenset({403, 404, 405, 501}), frozenset({400, 422})
_NOTES = 2  # how the journal is written: one of an older release is not gone on with
NOBODY = (
    "this EMR tells nothing without a patient, and nobody is known yet: "
    "name a list (emr set roster=file:PATH) or the Group of the panel, or read a folder first"
)


async def pull(client: FhirClient, source: Source, folder: Path, *, progress: Progress) -> PullReport:
    """Read all types into `folder`, which must not exist yet, or hold a pull of the same plan that did not
    end; `progress` hears of every page.

    Returns a report, complete or not, that also stands in the manifest. Raises EmrUnreachable,
    EmrRefused or another EmrError when nothing at all could be read, Misconfigured before any
    request that must not be made."""
    with _journal(client, source, folder) as journal:
        run = _Pull(client, source, folder, progress, journal)
        for reference in source.named:
            run.references.add(reference)
        await run.ask_capability()
        exported = await exporting.read(run, source.export) if source.export else frozenset[str]()
        if PATIENT not in exported:
            await run.read(PATIENT, [[WHOLE_TYPE]])
        done = exported | {PATIENT}
        others = [name for name in (*WHOLE, *CODED) if name not in done and run.wants(name)]
        await _together(run.read(name, queries(name, run.capability, source.concept_map)) for name in others)
        referenced = [(name, holder) for name, holder in REFERENCED.items() if run.wants(name, holder)]
        await _together(run.read_referenced(name, holder) for name, holder in referenced)
    save_manifest(folder, run.report)
    run.fail_if_nothing_was_read()
    return run.report


def can_go_on(client: FhirClient, source: Source, folder: Path) -> bool:
    """Did a pull into this folder ask for the same?"""
    return source.sealer is not None and plan_in(folder) == _plan(client, source)


@contextmanager
def _journal(client: FhirClient, source: Source, folder: Path) -> Iterator[Journal | None]:
    if source.sealer is None or not can_go_on(client, source, folder):
        make_private(folder)
    if source.sealer is None:
        yield None
        return
    with Journal(folder, source.sealer) as journal:
        if plan_in(folder) is None:
            journal.begin(_plan(client, source), source.now)
        yield journal


def _plan(client: FhirClient, source: Source) -> str:
    """Where, and from when on. What is asked for is part of every search's own name."""
    since = "\n".join(f"{key} {moment}" for key, moment in sorted(source.cursors.items()))
    return f"{_NOTES} {client.base_url} {digest(since.encode()).hex()}"


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

    def __init__(
        self,
        client: FhirClient,
        source: Source,
        folder: Path,
        progress: Progress,
        journal: Journal | None,
    ) -> None:
        self.client, self.source, self.folder, self.progress = client, source, folder, progress
        self.journal = journal
        self.report = PullReport(emr=source.slug, types={})
        self.references = Referred(client.base_url)
        self.capability = source.capability or Capability()
        self.post_works = True
        self._patients: dict[str, None] = {}
        self._roster: Roster | None = None
        self._errors: dict[str, EmrError] = {}

    def wants(self, *types: str) -> bool:
        return self.source.types is None or self.source.types.issuperset(types)

    async def ask_capability(self) -> None:
        """Without /metadata the pull goes on, carefully; without any connection it is over."""
        if self.source.capability is not None:
            return
        try:
            self.capability = await self.client.capability()
        except (EmrRefused, NotFhir, EmrUnreachable) as error:
            if isinstance(error, EmrUnreachable) and error.status is None:
                raise
            self.report.notes = [f"what the EMR can do is unknown: {error}"]

    async def roster(self) -> Roster:
        """Whom the searches within patients are about; found once, when somebody asks. An export of the
        Group has told already."""
        told = self.report.roster
        if self._roster is None and self.source.listed is None and told.ids is not None:
            self._roster = Roster(tuple(told.ids), told.origin, told.reason)
        if self._roster is None:
            read = self.report.types.get(PATIENT)
            whole = read is not None and read.status == "complete" and read.patients is None
            self._roster = await roster.find(
                self.client, self.source, tuple(self._patients) if whole else None
            )
            found = self._roster
            self.report.roster = RosterReport(
                origin=found.origin, size=len(found.ids), reason=found.reason, ids=list(found.ids)
            )
        return self._roster

    async def read(self, type_: str, ways: Sequence[Sequence[Query]], *, by_id: bool = False) -> None:
        report = self.report.types[type_] = TypeReport(type=type_)
        reach = EVERYTHING if by_id else self.source.reach.get(type_, EVERYTHING)
        with self.file(report) as file:
            reader = TypeReader(self, report, file, reach.since)
            try:
                if reach.within_patient and not (await self.roster()).ids:
                    report.status, report.reason = "failed", NOBODY
                else:
                    await reader.read(ways, within_patient=reach.within_patient)
                    if report.changes_of:
                        await reader.by_id(self.source.known.get(type_, ()))
                        await self._look_for_deletions(report, reader)
                    report.status = "complete"
                    self.report.points += reader.points
            except EmrError as error:
                self._settle(report, error)
        self.hold_against_the_token(report)
        self._hold_against_the_roster(report)
        self.progress(report)
        log.info(
            "type_read", type=type_, status=report.status, pages=report.pages, resources=report.resources
        )

    async def _look_for_deletions(self, report: TypeReport, reader: TypeReader) -> None:
        declared = "history-type" in self.capability.of(report.type).interactions
        gone = await tombstones.look(self.client, self.source, report, reader.changes, declared=declared)
        report.tombstones = len(gone)
        self.report.deleted += gone

    def file(self, report: TypeReport) -> TypeFile:
        """With what an earlier run has landed in it."""
        type_ = report.type
        end = self.journal.ends.get(type_, 0) if self.journal else 0
        file = TypeFile(self.folder, type_, end=end)
        if self.journal and file.size < end:
            self.journal.forget(type_)
        report.resources = len(file.kept)
        self.collect(type_, file.kept)
        return file

    def landed(self, report: TypeReport, page: Page) -> None:
        """A page is in its file."""
        self.collect(report.type, page.resources)
        self.progress(report)

    def hold_against_the_token(self, report: TypeReport) -> None:
        """An EMR that filters by scope answers well, and shows a part or nothing."""
        if report.status == "complete" and not may_read_all(self.client.scope, report.type):
            report.status = "failed"
            report.reason = f"the token does not grant reading all of {report.type}"
            report.patients, report.failed = None, {}

    def _hold_against_the_roster(self, report: TypeReport) -> None:
        """A list that names nobody of this EMR is a mistake, and never an empty practice."""
        named = self._roster is not None and self._roster.origin in ("list", "group")
        if report.type != PATIENT or report.status != "complete" or not named or report.changes_of:
            return
        assert self._roster is not None
        ids = self._roster.ids
        missing = [one for one in ids if one not in self._patients]
        if missing:
            report.note(f"{len(missing)} of {len(ids)} patients of the roster are not in this EMR")
        if ids and len(missing) == len(ids):
            report.status, report.patients = "failed", None
            report.reason = f"none of the {len(ids)} patients of the roster is in this EMR"

    def collect(self, type_: str, lines: Iterable[bytes]) -> None:
        """What other types need of these."""
        if type_ in REFERENCED.values():
            for line in lines:
                self.references.collect(line)
        if type_ == PATIENT:
            self._patients.update((id_, None) for line in lines if (id_ := id_of(line)))

    def _settle(self, report: TypeReport, error: EmrError) -> None:
        report.status, report.reason = "failed", str(error)
        report.patients, report.failed = None, {}
        if isinstance(error, EmrRefused):
            report.status, report.http_status = "refused", error.status
            if self._is_absent(report.type, error.status):
                report.status, report.reason = "absent", f"{self.client.host} does not offer {report.type}"
        self._errors[report.type] = error

    def _is_absent(self, type_: str, status: int) -> bool:
        """Refused, and /metadata promises no search either, or none within a patient where that is the
        only way. A /metadata that names no type at all denies nothing."""
        said = self.capability.of(type_)
        if self.source.reach.get(type_, EVERYTHING).within_patient and status in _WANTS_MORE:
            return bool(said.search_params) and "patient" not in said.search_params
        return status in _NOT_THERE and bool(self.capability.types) and "search-type" not in said.interactions

    async def read_referenced(self, type_: str, holder: str) -> None:
        """Read by id what resources of type `holder` refer to; as complete as those are."""
        holding = self.report.types[holder]
        ids = set(self.references.ids.get(type_, ()))
        if holding.changes_of:
            ids.update(self.source.known.get(type_, ()))
        wide = [] if self.source.reach.get(type_, EVERYTHING).within_patient else [[WHOLE_TYPE]]
        by_id = [Query(BY_ID, tuple(sorted(ids)))]
        await self.read(type_, [by_id, *wide] if ids else [], by_id=True)
        report = self.report.types[type_]
        if holding.failed or holding.changes_of:
            report.changes_of = [""]  # others may be in use
        if report.status == "complete" and holding.status != "complete":
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
