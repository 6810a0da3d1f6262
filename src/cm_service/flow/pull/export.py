"""Reads types by `$export`, into the same files as every other way.

The address of the export is kept before anything else, so a run that ends while the EMR works is followed by
one that goes on. A file counts when all of it is there; a type when every file of the export is, the EMR
reports no error, and everybody of a Group was in it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from cm_service.errors import EmrError, EmrRefused, ExportGone, IncompleteAnswer, LinkExpired
from cm_service.fhir import rawjson
from cm_service.fhir.bulk import Bulk, File, Manifest
from cm_service.fhir.bulk_files import download, lines_of
from cm_service.fhir.capability import Capability
from cm_service.fhir.instants import earliest
from cm_service.flow.landing import Point, PullReport, RosterReport, TypeFile, TypeReport
from cm_service.flow.pull.export_plan import ExportPlan, Job
from cm_service.flow.pull.export_told import deletions, problems
from cm_service.flow.pull.reader import ABOUT_PARAMETERS, Run, TypeReader
from cm_service.flow.pull.roster import group_members
from cm_service.flow.pull.search import Search
from cm_service.flow.pull.source import Since
from cm_service.flow.pull.type_filter import QUERY, filters, query_of
from cm_service.flow.references import id_of
from cm_service.logs import log

_CEILING = dt.timedelta(days=30)  # some EMRs take weeks
_LINES = 2000  # landed at a time


class ExportRun(Run, Protocol):
    """What an export needs of its pull."""

    folder: Path
    report: PullReport
    capability: Capability

    def file(self, report: TypeReport) -> TypeFile: ...
    def collect(self, type_: str, lines: list[bytes]) -> None: ...
    def hold_against_the_token(self, report: TypeReport) -> None: ...
    def progress(self, report: TypeReport) -> None: ...


class _Kind(msgspec.Struct):
    resourceType: Any = None


class _Whom(NamedTuple):
    """The members of the Group, None where the export is of no Group or nobody tells of them."""

    members: frozenset[str] | None
    incremental: bool


async def read(run: ExportRun, plan: ExportPlan) -> frozenset[str]:
    """The types that were read so, well or not: what they are is in the report."""
    offered = run.capability.types.keys()
    types = [name for name in plan.types if not offered or name in offered]
    for name in types:
        run.report.types[name] = TypeReport(type=name)
    reports = {name: run.report.types[name] for name in types}
    if not types:
        return frozenset()
    with ExitStack() as stack:
        files = {name: stack.enter_context(run.file(report)) for name, report in reports.items()}
        export = _Export(run, plan, reports, files)
        try:
            await export.read()
        except EmrError as error:
            for report in reports.values():
                report.status, report.reason = "failed", str(error)
                report.patients, report.failed = None, {}
    for report in reports.values():
        run.hold_against_the_token(report)
        run.progress(report)
        log.info("type_exported", type=report.type, status=report.status, resources=report.resources)
    return frozenset(types)


class _Export:
    """One export, from where an earlier run left it to its end."""

    def __init__(
        self,
        run: ExportRun,
        plan: ExportPlan,
        reports: Mapping[str, TypeReport],
        files: Mapping[str, TypeFile],
    ) -> None:
        self._run, self._plan, self._reports, self._files = run, plan, reports, files
        until = plan.clock() + dt.timedelta(seconds=plan.wait_seconds)
        self._bulk = Bulk(run.client.http, until=until, clock=plan.clock, sleep=plan.sleep)
        self._filters = ""
        if plan.filtered:
            self._filters = filters(reports, run.capability, run.source.concept_map)

    async def read(self) -> None:
        whom = await self._whom()
        job, manifest = await self._made(self._since() if whom.incremental else None)
        for file in manifest.output:
            if file.type in self._reports:
                self._reports[file.type].expected += file.lines or 0
        for place, file in enumerate(manifest.output):
            manifest = await self._land(job, manifest, place, file)
        told = await self._told(manifest, manifest.errors)
        gone = await self._told(manifest, manifest.deleted)
        self._settle(job, manifest, whom, problems(told))
        self._run.report.deleted = self._deleted(gone)
        await self._known(job)
        await self._bulk.delete(job.url)
        self._plan.jobs.drop()

    async def _whom(self) -> _Whom:
        """Of those who are new in a Group an export of what changed lacks what is older; where nobody can say
        who is, everything is asked for."""
        source, report = self._run.source, self._run.report
        if self._plan.group is None:
            return _Whom(None, self._plan.incremental)
        said = self._run.capability
        if said.types and "read" not in said.of("Group").interactions:
            return _Whom(None, False)  # then those whom the export is of are its members
        try:
            members = frozenset(await group_members(self._run.client, self._plan.group))
        except EmrError as error:
            report.roster = RosterReport(reason=f"the Group of the panel could not be read: {error}")
            return _Whom(None, False)
        report.roster = RosterReport(origin="group", size=len(members), ids=sorted(members))
        return _Whom(members, self._plan.incremental and members <= set(source.panel))

    def _asked(self, filters: str) -> str:
        return " ".join([self._plan.path, *sorted(self._reports), *filter(None, [filters])])

    def _since(self) -> dt.datetime | None:
        """From the oldest cursor of all types on, None where one of them is to be read whole. An export
        without a filter holds for one with it, too."""
        source, query = self._run.source, query_of(self._filters)
        held = source.cursors
        cursors = [held.get((name, query, "")) or held.get((name, QUERY, "")) for name in self._reports]
        known = [moment for moment in cursors if moment is not None]
        if len(known) < len(cursors):
            return None
        start = earliest(*known, source.now)
        return start - source.overlap if start is not None else None

    async def _made(self, since: dt.datetime | None) -> tuple[Job, Manifest]:
        job = await self._kept(since)
        if job is not None:
            try:
                return job, await self._manifest(job)
            except ExportGone:  # nothing of it is known: that is no empty export
                self._plan.jobs.drop()
        job = await self._begin(since)
        return job, await self._manifest(job)

    async def _kept(self, since: dt.datetime | None) -> Job | None:
        """The export of an earlier run, if it is as much as is asked for now. Else it makes room."""
        job = self._plan.jobs.load()
        if job is None:
            return None
        wide = job.since is None or (since is not None and job.since <= since)
        if wide and self._plan.clock() - job.begun < _CEILING:
            for made_with in (self._filters, ""):  # one without a filter holds more
                if job.asked == self._asked(made_with):
                    self._filters = made_with
                    return job
        await self._bulk.delete(job.url)
        self._plan.jobs.drop()
        return None

    async def _begin(self, since: dt.datetime | None) -> Job:
        params = [("_type", ",".join(self._reports))]
        if since is not None:
            params.append(("_since", since.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")))
        begun = self._plan.clock()
        url = await self._kick_off(params)
        job = Job(url, self._asked(self._filters), since, begun)
        self._plan.jobs.save(job)
        return job

    async def _kick_off(self, params: list[tuple[str, str]]) -> str:
        """Without the filter where the EMR does not take it."""
        if self._filters:
            try:
                return await self._bulk.kick_off(self._plan.path, [*params, ("_typeFilter", self._filters)])
            except EmrRefused as error:
                if error.status not in ABOUT_PARAMETERS:
                    raise
                self._filters = ""
        return await self._bulk.kick_off(self._plan.path, params)

    async def _manifest(self, job: Job) -> Manifest:
        """One that failed is of no more use to anybody."""
        try:
            return await self._bulk.manifest(job.url, begun=job.begun)
        except EmrRefused:
            await self._bulk.delete(job.url)
            self._plan.jobs.drop()
            raise

    async def _land(self, job: Job, manifest: Manifest, place: int, file: File) -> Manifest:
        """One file, if it is not there from an earlier run; returns the manifest, which may be a newer one
        with addresses that live."""
        key = Search(file.type, QUERY, (str(manifest.moment), str(place)))
        journal = self._run.journal
        if journal is not None and journal.state(key, None).done:
            return manifest
        draft = self._run.folder / ".export"
        try:
            await download(self._bulk, file, draft, with_token=manifest.with_token)
        except LinkExpired:
            again = await self._manifest(job)
            if len(again.output) <= place or again.moment != manifest.moment:
                raise
            manifest = again
            await download(self._bulk, manifest.output[place], draft, with_token=manifest.with_token)
        touched = self._take(draft, file)
        draft.unlink()
        if journal is not None:
            for name in (*touched, file.type):
                named = key._replace(type=name)
                state = journal.state(named, None)
                state.done = True
                if name in self._files:
                    journal.keep(named, None, state, end=self._files[name].size)
        return manifest

    def _take(self, draft: Path, file: File) -> set[str]:
        """Its lines into the files of their types; returns these. What nobody asked for stays out."""
        touched: set[str] = set()
        lines = lines_of(draft)
        while part := list(islice(lines, _LINES)):
            by_type: dict[str, list[bytes]] = {}
            for line in part:
                by_type.setdefault(_type_of(line, file.type), []).append(line)
            for name in by_type.keys() & self._files.keys():
                touched.add(name)
                report, fresh = self._reports[name], self._files[name].add(by_type[name])
                report.resources += len(fresh)
                self._run.collect(name, by_type[name])
        for name in touched:
            self._reports[name].pages += 1
            self._run.progress(self._reports[name])
        return touched

    async def _told(self, manifest: Manifest, files: tuple[File, ...]) -> list[Any]:
        """What stands in files that are no data: outcomes, deletions."""
        found: list[Any] = []
        draft = self._run.folder / ".export"
        for file in files:
            await download(self._bulk, file, draft, with_token=manifest.with_token)
            found += map(rawjson.loads, lines_of(draft))
            draft.unlink()
        return found

    def _settle(self, job: Job, manifest: Manifest, whom: _Whom, wrong: list[str]) -> None:
        """What the export says of its types, and from when on the next one asks."""
        seen = self._ids("Patient")
        if job.since is None and not seen and (whom.members or self._run.source.panel):
            raise IncompleteAnswer(f"{self._run.client.host} exports nobody, and there are patients")
        if wrong:
            raise IncompleteAnswer(f"{self._run.client.host} says of its export: {'; '.join(wrong)}")
        cursor = earliest(manifest.moment, self._run.source.now) if manifest.moment else None
        whose, query = self._whose(job, whom, seen), query_of(self._filters)
        for name, report in self._reports.items():
            report.status = "complete"
            if whose is not None:
                report.patients = sorted(whose)
            if job.since is not None:
                report.changes_of = sorted(whose) if whose is not None else [""]
            full = job.since is None
            point = Point(type=name, query=query, cursor=cursor, full=full, as_of=cursor or job.begun)
            self._run.report.points.append(point)
        roster = self._run.report.roster
        if whose is not None and roster.ids is None and not roster.reason:
            self._run.report.roster = RosterReport(origin="export", size=len(whose), ids=sorted(whose))
        if job.since is None and whom.members is not None:
            lacking = whom.members - seen
            self._reports["Patient"].failed = dict.fromkeys(sorted(lacking), "the export lacks this patient")

    def _whose(self, job: Job, whom: _Whom, seen: set[str]) -> set[str] | None:
        """Of whom it is, None where it is of everybody. Who is in a Group no more was not read, and is not
        gone for that."""
        if self._plan.group is None:
            return None
        if whom.members is None:
            return seen
        return set(whom.members) if job.since is not None else seen & whom.members

    def _ids(self, type_: str) -> set[str]:
        if type_ not in self._files:
            return set()
        lines = lines_of(self._run.folder / f"{type_}.ndjson")
        return {id_ for line in lines if (id_ := id_of(line)) is not None}

    def _deleted(self, bundles: list[Any]) -> list[str]:
        """Of the types that were asked for. What is also among the data is there: the two may not overlap."""
        gone = [key for key in deletions(bundles) if key.partition("/")[0] in self._files]
        there = {name: self._ids(name) for name in {key.partition("/")[0] for key in gone}}
        both = [key for key in gone if key.partition("/")[2] in there[key.partition("/")[0]]]
        for key in both:
            report = self._reports[key.partition("/")[0]]
            report.note("the EMR says of some that they are deleted, and exports them")
        return sorted(set(gone) - set(both))

    async def _known(self, job: Job) -> None:
        """Where only what changed was read, that something of ours was deleted may not be told."""
        if job.since is None:
            return
        for name, report in self._reports.items():
            if ids := self._run.source.known.get(name, ()):
                try:
                    await TypeReader(self._run, report, self._files[name], Since.NONE).by_id(ids)
                except EmrError as error:
                    report.status, report.reason = "failed", str(error)


def _type_of(line: bytes, listed: str) -> str:
    """What the line itself says, where it can be read; the sieve finds bad ones in their file."""
    try:
        said = msgspec.json.decode(line, type=_Kind).resourceType
    except (ValueError, RecursionError):
        return listed
    return said if isinstance(said, str) else listed
