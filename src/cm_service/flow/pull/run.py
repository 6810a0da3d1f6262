"""One pull, all types. A type counts as complete only when every search of it ended on its last page and
nothing hints at a hole, because what a complete type lacks is taken as deleted. One type's failure stops
no other, and one patient's failure touches nobody else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
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
    make_private,
    save_manifest,
)
from cm_service.flow.pull import roster
from cm_service.flow.pull.reader import TypeReader
from cm_service.flow.pull.roster import Roster
from cm_service.flow.pull.source import EVERYTHING, Source
from cm_service.flow.references import Referred, id_of
from cm_service.flow.wanted import CODED, REFERENCED, WHOLE, WHOLE_TYPE, Query, queries
from cm_service.logs import log

Progress = Callable[[TypeReport], None]
PATIENT = "Patient"
_NOT_THERE, _WANTS_MORE = frozenset({403, 404, 405, 501}), frozenset({400, 422})
NOBODY = (
    "this EMR tells nothing without a patient, and nobody is known yet: "
    "name a list (emr set roster=file:PATH) or the Group of the panel, or read a folder first"
)


async def pull(client: FhirClient, source: Source, folder: Path, *, progress: Progress) -> PullReport:
    """Read all types into `folder`, which must not exist yet; `progress` hears of every page.

    Returns a report, complete or not, that also stands in the manifest. Raises EmrUnreachable,
    EmrRefused or another EmrError when nothing at all could be read, Misconfigured before any
    request that must not be made."""
    make_private(folder)
    run = _Pull(client, source, folder, progress)
    for reference in source.named:
        run.references.add(reference)
    await run.ask_capability()
    await run.read(PATIENT, [[WHOLE_TYPE]])
    others = (name for name in (*WHOLE, *CODED) if name != PATIENT)
    await _together(run.read(name, queries(name, run.capability, source.concept_map)) for name in others)
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

    def __init__(self, client: FhirClient, source: Source, folder: Path, progress: Progress) -> None:
        self.client, self.source, self.folder, self.progress = client, source, folder, progress
        self.report = PullReport(emr=source.slug, types={})
        self.references = Referred(client.base_url)
        self.capability = Capability()
        self.post_works = True
        self._patients: dict[str, None] = {}
        self._roster: Roster | None = None
        self._errors: dict[str, EmrError] = {}

    async def ask_capability(self) -> None:
        """Without /metadata the pull goes on, carefully; without any connection it is over."""
        try:
            self.capability = await self.client.capability()
        except (EmrRefused, NotFhir, EmrUnreachable) as error:
            if isinstance(error, EmrUnreachable) and error.status is None:
                raise
            self.report.notes = [f"what the EMR can do is unknown: {error}"]

    async def roster(self) -> Roster:
        """Whom the searches within patients are about; found once, when somebody asks."""
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
        with TypeFile(self.folder, type_) as file:
            try:
                if reach.within_patient and not (await self.roster()).ids:
                    report.status, report.reason = "failed", NOBODY
                else:
                    await TypeReader(self, report, file).read(ways, within_patient=reach.within_patient)
                    report.status = "complete"
            except EmrError as error:
                self._settle(report, error)
        self._hold_against_the_token(report)
        self.progress(report)
        log.info(
            "type_read", type=type_, status=report.status, pages=report.pages, resources=report.resources
        )

    def landed(self, report: TypeReport, page: Page) -> None:
        """What others need of this page."""
        if report.type in REFERENCED.values():
            for line in page.resources:
                self.references.collect(line)
        if report.type == PATIENT:
            self._patients.update((id_, None) for line in page.resources if (id_ := id_of(line)))
        self.progress(report)

    def _hold_against_the_token(self, report: TypeReport) -> None:
        """An EMR that filters by scope answers well, and shows a part or nothing."""
        if report.status == "complete" and not may_read_all(self.client.scope, report.type):
            report.status = "failed"
            report.reason = f"the token does not grant reading all of {report.type}"
            report.patients, report.failed = None, {}

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
        ids = tuple(sorted(self.references.ids.get(type_, ())))
        wide = [] if self.source.reach.get(type_, EVERYTHING).within_patient else [[WHOLE_TYPE]]
        await self.read(type_, [[Query("_id", ids)], *wide] if ids else [], by_id=True)
        report, held = self.report.types[type_], self.report.types[holder]
        if report.status == "complete" and (held.status != "complete" or held.failed):
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
