"""A pull by `$export` from an EMR that does it badly. Ids as in the fault list."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from cm_service.db.sealed import Sealer
from cm_service.fhir.vendor import NO_PROFILE
from cm_service.flow.landing import PullReport
from cm_service.flow.pull import Source, pull
from cm_service.flow.pull.export_plan import ExportPlan, Job, types_of
from cm_service.flow.wanted import CODED, WHOLE
from tests.fhir.builders import Waits, ask
from tests.fhir.scripted import Reply, Request, ScriptedEmr, as_json, outcome, scripted_emr

NOW = dt.datetime(2026, 11, 20, 20, 0, tzinfo=dt.UTC)
SEALER = Sealer([Fernet.generate_key().decode()])
TYPES = {*WHOLE, *CODED}
Json = dict[str, Any]


class Kept:
    """Where the address of an export stays between two runs."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self.all: list[Job] = []

    def load(self) -> Job | None:
        return self.job

    def save(self, job: Job) -> None:
        self.job = job
        self.all.append(job)

    def drop(self) -> None:
        self.job = None


class Ending:
    """A token that ends without notice: `live` is the one that the EMR takes."""

    scope = None

    def __init__(self) -> None:
        self.held = self.live = 0

    async def authorization(self) -> str:
        return f"Bearer {self.held}"

    async def renew(self, rejected: str | None) -> bool:
        self.held = self.live
        return f"Bearer {self.held}" != rejected


def guarded(tokens: Ending, answer: Callable[[], Any], *, ends: bool = False) -> Callable[[Request], Reply]:
    """`ends`: just before the first time that this is asked for, the token does."""
    left = [ends]

    def answering(request: Request) -> Reply:
        if left[0]:
            left[0], tokens.live = False, tokens.live + 1
        if request.headers.get("authorization") != f"Bearer {tokens.live}":
            return Reply(401)
        found: Reply = answer()
        return found

    return answering


class World:
    """One EMR with one export, and what becomes of it."""

    def __init__(self, emr: ScriptedEmr, folder: Path) -> None:
        self.emr, self.folder, self.kept, self.waits = emr, folder, Kept(), Waits()
        self.entries: dict[str, list[Json]] = {"output": [], "deleted": [], "error": []}
        self.moment: Any = "2026-11-20T19:00:00Z"
        self.needs_token = False
        emr.on("GET $export", Reply(202, b"", {"Content-Location": f"{emr.base}/jobs/1"}))
        emr.on("GET jobs/1", lambda _: self.manifest())
        emr.on("DELETE jobs/1", Reply(202))
        self.file(patient("p1"), patient("p2"))

    def manifest(self) -> Reply:
        said = {"transactionTime": self.moment, "requiresAccessToken": self.needs_token}
        return as_json(said | self.entries)

    def file(self, *resources: Json, kind: str = "output", type_: str = "Patient", **entry: Any) -> str:
        """One more file; where it is."""
        place = f"files/{sum(map(len, self.entries.values())) + 1}"
        body = b"".join(json.dumps(each).encode() + b"\n" for each in resources)
        self.emr.on(f"GET {place}", Reply(200, body, {"Content-Type": "application/fhir+ndjson"}))
        found = {"type": type_, "url": f"{self.emr.base}/{place}", "count": len(resources)}
        self.entries[kind].append(found | entry)
        return place

    def pull(
        self,
        folder: str = "run",
        *,
        path: str = "",
        hours: float = 4,
        filtered: bool = False,
        progress: Callable[..., None] = lambda _: None,
        credentials: Any = None,
        **source: Any,
    ) -> PullReport:
        plan = ExportPlan(
            path=path,
            types=types_of(NO_PROFILE),
            incremental=True,
            filtered=filtered,
            jobs=self.kept,  # type: ignore[arg-type]
            wait_seconds=hours * 3600,
            clock=lambda: NOW + dt.timedelta(seconds=self.waits.clock()),
            sleep=self.waits,
        )
        asked = Source("east", export=plan, now=NOW, sealer=SEALER, **source)
        return ask(
            self.emr,
            lambda client: pull(client, asked, self.folder / folder, progress=progress),
            waits=self.waits,
            credentials=credentials,
            attempts=2,
        )

    def landed(self, type_: str = "Patient", folder: str = "run") -> list[Json]:
        text = (self.folder / folder / f"{type_}.ndjson").read_text()
        return [json.loads(line) for line in text.splitlines()]


def patient(id_: str, **more: Any) -> Json:
    return {"resourceType": "Patient", "id": id_, **more}


def since(moment: dt.datetime) -> Json:
    return {"cursors": {(name, "$export", ""): moment for name in TYPES}, "panel": ("p1",)}


def said(severity: str, code: str) -> Json:
    found = outcome(severity, text="of Jane Doe")
    found["issue"][0]["code"] = code
    return found


def failed(report: PullReport) -> str:
    """Why nothing of it counts."""
    assert {report.types[name].status for name in TYPES} == {"failed"} and not report.complete
    assert not [point for point in report.points if point.query.startswith("$export")]
    return report.types["Patient"].reason


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with scripted_emr() as emr:
        yield World(emr, tmp_path)


def test_what_is_exported_lands_and_the_export_is_deleted(world: World) -> None:
    report = world.pull()
    assert report.complete
    assert [each["id"] for each in world.landed()] == ["p1", "p2"]
    assert {point.cursor for point in report.points} == {NOW - dt.timedelta(hours=1)}
    assert world.kept.job is None and len(world.emr.seen("DELETE jobs/1")) == 1
    assert not world.emr.seen("GET Patient")


def test_1c_f10_nothing_changed_is_a_good_answer(world: World) -> None:
    world.entries["output"].clear()
    report = world.pull(**since(NOW - dt.timedelta(days=1)))
    assert report.complete
    assert "_since=2026-11-19T19:50:00Z" in world.emr.seen("GET $export")[0].target


def test_nothing_at_all_is_none_where_there_are_patients(world: World) -> None:
    world.entries["output"].clear()
    assert "exports nobody" in failed(world.pull(panel=("p1",)))


def test_1c_f11_a_file_of_an_unknown_type_is_left_alone(world: World) -> None:
    world.file({"resourceType": "Starship", "id": "1"}, type_="Starship")
    assert world.pull().complete
    assert not (world.folder / "run" / "Starship.ndjson").exists()


def test_lines_go_to_the_file_of_their_own_type(world: World) -> None:
    world.file({"resourceType": "Parameters"}, patient("p3"), {"resourceType": "Task", "id": "t"})
    assert world.pull().complete
    assert [each["id"] for each in world.landed()] == ["p1", "p2", "p3"]
    assert [each["id"] for each in world.landed("Task")] == ["t"]


def test_1c_f12_a_file_that_is_listed_twice_is_fetched_once(world: World) -> None:
    world.entries["output"] *= 2
    assert world.pull().complete
    assert len(world.emr.seen("GET files/1")) == 1


def test_1c_f14_an_expired_address_is_renewed_once(world: World) -> None:
    place = world.file(patient("p3"))
    good = world.emr.script[f"GET {place}"][0]
    world.emr.on(f"GET {place}", Reply(410), good)
    assert world.pull().complete
    assert len(world.emr.seen("GET jobs/1")) == 2
    world.emr.on(f"GET {place}", Reply(403))
    assert "does not give" in failed(world.pull("again"))
    assert len(world.emr.seen("GET jobs/1")) == 4


def test_1c_f15_a_file_that_lacks_lines_is_a_hole(world: World) -> None:
    world.file(patient("p3"), count=2)
    assert "should have 2" in failed(world.pull())


def test_1c_f15_one_bad_line_is_kept_for_the_quarantine(world: World) -> None:
    place = world.file(patient("p3"), count=2)
    world.emr.on(f"GET {place}", Reply(200, json.dumps(patient("p3")).encode() + b"\n{broken\n"))
    world.pull()
    assert (world.folder / "run" / "Patient.ndjson").read_bytes().splitlines()[-1] == b"{broken"


def test_1c_f16_two_versions_of_a_resource_are_both_landed(world: World) -> None:
    world.file(patient("p1", meta={"versionId": "2"}), patient("p1"))
    assert world.pull().complete
    assert len(world.landed()) == 3  # the third is the first one again


def test_1c_f17_what_is_exported_is_not_deleted(world: World) -> None:
    gone = [{"request": {"method": "DELETE", "url": url}} for url in ("Patient/p1", "Task/t9", "Basic/b")]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": gone}
    world.file(bundle, kind="deleted", type_="Bundle")
    report = world.pull(**since(NOW - dt.timedelta(days=1)))
    assert report.deleted == ["Task/t9"]
    assert report.types["Patient"].notes


@pytest.mark.parametrize(
    ("moment", "cursor"),
    [
        ("2031-01-01T00:00:00Z", NOW),
        ("2026-11-01T00:00:00Z", dt.datetime(2026, 11, 1, tzinfo=dt.UTC)),
        ("yesterday", None),
        (None, None),
    ],
)
def test_1c_f18_the_next_export_begins_where_this_one_certainly_ended(
    world: World, moment: Any, cursor: dt.datetime | None
) -> None:
    world.moment = moment
    report = world.pull(**since(NOW - dt.timedelta(days=1)))
    assert {point.cursor for point in report.points} == {cursor}


def test_1c_f19_a_token_that_ends_before_the_files_do_is_renewed(world: World) -> None:
    tokens = Ending()
    world.needs_token = True
    world.emr.on("GET jobs/1", guarded(tokens, world.manifest))
    for number in range(3, 6):
        place = world.file(patient(f"p{number}"))
        good = world.emr.script[f"GET {place}"][0]
        world.emr.on(f"GET {place}", guarded(tokens, lambda good=good: good, ends=True))
    report = world.pull(credentials=tokens)
    assert report.complete, report.types["Patient"].reason
    assert len(world.landed()) == 5
    assert tokens.live == 3


def test_1c_f20_a_run_that_was_killed_fetches_no_file_twice(world: World) -> None:
    for number in range(3, 11):
        world.file(patient(f"p{number}"))
    seen = 0

    def dies(_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == 4:
            raise KilledError

    with pytest.raises(KilledError):
        world.pull(progress=dies)
    assert world.kept.job is not None
    assert world.pull().complete
    assert [each["id"] for each in world.landed()] == [f"p{number}" for number in range(1, 11)]
    assert [len(world.emr.seen(f"GET files/{n}")) for n in (1, 2, 3)] == [1, 1, 1]
    assert len(world.emr.seen("GET $export")) == 1


def test_1c_f21_an_export_that_is_under_way_is_not_asked_for_again(world: World) -> None:
    world.emr.on("GET jobs/1", Reply(202))
    assert "goes on" in failed(world.pull("one", hours=1))
    world.emr.on("GET jobs/1", lambda _: world.manifest())
    assert world.pull("two").complete
    assert len(world.emr.seen("GET $export")) == 1


def test_1c_f03_an_export_that_the_emr_forgot_is_asked_for_again(world: World) -> None:
    world.kept.job = Job(f"{world.emr.base}/jobs/0", "", None, NOW)
    world.emr.on("GET jobs/1", Reply(202))
    world.pull("one", hours=1)
    world.waits.seconds.append(7200.0)
    world.emr.on("GET jobs/1", Reply(404), lambda _: world.manifest())
    assert world.pull("two").complete
    assert len(world.emr.seen("GET $export")) == 2


def test_an_export_of_less_makes_room_for_one_of_all(world: World) -> None:
    world.emr.on("GET jobs/1", Reply(202))
    world.pull("one", hours=1, **since(NOW - dt.timedelta(days=1)))
    world.emr.on("GET jobs/1", lambda _: world.manifest())
    assert world.pull("two").complete
    assert "_since" not in world.emr.seen("GET $export")[1].target
    assert len(world.emr.seen("DELETE jobs/1")) == 2


def test_1c_f22_an_emr_that_makes_another_export_is_asked_in_a_later_run(world: World) -> None:
    world.emr.on("GET $export", Reply(429, b"", {"Retry-After": "18000"}))
    assert "a later run goes on" in failed(world.pull())
    world.emr.on("GET $export", as_json(said("error", "duplicate")))
    assert "already" in failed(world.pull("again"))


@pytest.mark.parametrize("status", [403, 404])
def test_1c_f23_a_group_that_is_not_there_is_no_empty_one(world: World, status: int) -> None:
    world.emr.on("GET Group/g", Reply(status))
    assert str(status) in failed(world.pull(path="Group/g"))


def test_a_group_whose_members_nobody_tells_is_read_whole(world: World) -> None:
    world.emr.on("GET Group/g", Reply(403))
    world.emr.on("GET Group/g/$export", Reply(202, b"", {"Content-Location": f"{world.emr.base}/jobs/1"}))
    report = world.pull(path="Group/g", **since(NOW - dt.timedelta(days=1)))
    assert "_since" not in world.emr.seen("GET Group/g/$export")[0].target
    assert report.types["Task"].patients == ["p1", "p2"]


def test_a_member_who_is_not_in_the_export_is_a_hole(world: World) -> None:
    members = [{"entity": {"reference": f"Patient/{who}"}} for who in ("p1", "p2", "p9")]
    world.emr.on("GET Group/g", as_json({"resourceType": "Group", "id": "g", "member": members}))
    world.emr.on("GET Group/g/$export", Reply(202, b"", {"Content-Location": f"{world.emr.base}/jobs/1"}))
    report = world.pull(path="Group/g")
    assert not report.complete
    assert report.types["Patient"].failed.keys() == {"p9"}
    assert report.types["Observation"].patients == ["p1", "p2"]


def test_errors_of_an_export_are_read_and_told_without_their_words(world: World) -> None:
    world.file(
        said("error", "exception"),
        said("information", "informational"),
        kind="error",
        type_="OperationOutcome",
    )
    reason = failed(world.pull())
    assert "1 exception" in reason and "Jane" not in reason
    assert [each["id"] for each in world.landed()] == ["p1", "p2"]


def test_a_filter_that_the_emr_does_not_take_is_left_out(world: World) -> None:
    good = world.emr.script["GET $export"][0]
    world.emr.on("GET $export", Reply(400), good)
    report = world.pull(filtered=True)
    assert report.complete
    first, second = (request.target for request in world.emr.seen("GET $export"))
    assert "_typeFilter=Observation%3F" in first and "_typeFilter" not in second
    assert {point.query for point in report.points} == {"$export"}


def test_an_export_for_other_codes_begins_anew(world: World) -> None:
    queries = {point.query for point in world.pull(filtered=True).points}
    (query,) = queries
    assert query.startswith("$export:")
    moments = {(name, query, ""): NOW for name in TYPES}
    world.pull("same", filtered=True, cursors=moments, panel=("p1",))
    moments = {(name, f"{query}0", ""): NOW for name in TYPES}
    world.pull("other", filtered=True, cursors=moments, panel=("p1",))
    assert ["_since" in each.target for each in world.emr.seen("GET $export")] == [False, True, False]


def test_information_is_no_error(world: World) -> None:
    world.file(said("information", "informational"), kind="error", type_="OperationOutcome")
    assert world.pull().complete


class KilledError(BaseException):
    """The process ends here."""
