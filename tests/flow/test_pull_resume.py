"""A pull that is killed goes on where it stood: at most one page is read again, and nothing is lost."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from cm_service.db.sealed import Sealer
from cm_service.flow.landing import PullReport, TypeReport
from cm_service.flow.pull import Source, can_go_on, pull
from cm_service.flow.pull.journal import JOURNAL
from cm_service.sandbox import server
from cm_service.sandbox.personality import GENEROUS
from cm_service.sandbox.store import Store
from tests.fhir.builders import ask
from tests.flow.bad_network import DROPPED_BEFORE, Network, answers, bad_network
from tests.flow.night_world import AS_OF, out_of_range, stay

SEALER = Sealer([Fernet.generate_key().decode()])
PEOPLE = [(f"p{number}", f"s{number}") for number in range(7)]
WORLD = [each for who, name in PEOPLE for each in [*out_of_range(who), stay(name, who)]]


class KilledError(BaseException):
    """The process ends here."""


class World:
    def __init__(self, store: Store, network: Network, folder: Path) -> None:
        self.store, self.network, self.folder = store, network, folder

    def pull(
        self, *, pages: int | None = None, sealer: Sealer = SEALER, now: dt.datetime | None = None
    ) -> PullReport:
        """All of it, or until so many pages have come."""
        seen = 0

        def progress(report: TypeReport) -> None:
            nonlocal seen
            seen += report.status == "reading"
            if seen == pages:
                raise KilledError

        source = Source("east", sealer=sealer, now=now)
        return ask(
            self.network.base,
            lambda client: pull(client, source, self.folder, progress=progress),
            concurrency=1,
            attempts=1,
        )

    def requests(self) -> list[str]:
        """Pages asked for since the last look."""
        found = [line for line in self.network.log if "metadata" not in line]
        self.network.log.clear()
        return found

    def landed(self) -> dict[str, list[str]]:
        return {
            path.stem: sorted(json.loads(line)["id"] for line in path.read_bytes().splitlines())
            for path in self.folder.glob("*.ndjson")
        }


@pytest.fixture(scope="module")
def emr() -> Iterator[tuple[Store, str]]:
    store = Store()
    store.load(WORLD)
    with server.running(store, personality=replace(GENEROUS, max_count=3)) as base:
        yield store, base


@pytest.fixture
def world(emr: tuple[Store, str], tmp_path: Path) -> Iterator[World]:
    with bad_network(emr[1]) as network:
        yield World(emr[0], network, tmp_path / "landing" / "run")


def whole(world: World, folder: Path) -> tuple[list[str], dict[str, list[str]]]:
    """What is asked and landed when nobody is killed."""
    undisturbed = World(world.store, world.network, folder)
    assert undisturbed.pull().complete
    return undisturbed.requests(), undisturbed.landed()


@pytest.mark.parametrize("page", [1, 2, 3, 4, 7, 12, 18, 25, 30])
def test_1B_F57_a_pull_that_was_killed_reads_at_most_one_page_again(
    world: World, tmp_path: Path, page: int
) -> None:
    asked, landed = whole(world, tmp_path / "whole")
    with pytest.raises(KilledError):
        world.pull(pages=page)
    before = world.requests()
    assert 0 < len(before) < len(asked)
    report = world.pull()
    assert report.complete
    assert world.landed() == landed
    assert len(before) + len(world.requests()) <= len(asked) + 1


def test_1B_F57_killed_again_and_again_it_still_ends(world: World, tmp_path: Path) -> None:
    asked, landed = whole(world, tmp_path / "whole")
    kills = 0
    while True:
        try:
            report = world.pull(pages=2)  # the page is landed and not yet noted
            break
        except KilledError:
            kills += 1
            assert kills < 100
    assert report.complete
    assert world.landed() == landed
    assert len(world.requests()) <= len(asked) + kills


def test_what_a_run_that_was_killed_has_read_is_of_its_moment(world: World) -> None:
    """However late it is when another one goes on, and however often that was."""
    first, second, third = (AS_OF + hours * dt.timedelta(hours=1) for hours in (0, 4, 8))
    for moment in (first, second):
        with pytest.raises(KilledError):
            world.pull(pages=8, now=moment)
    points = world.pull(now=third).points
    moments = {point.type: point.as_of for point in points if not point.query}
    assert (moments["Patient"], moments["Task"]) == (first, None)
    assert second not in moments.values(), "what it read counts as read by the first one"


@pytest.mark.parametrize("status", [404, 410])
def test_1B_F08_where_the_link_has_expired_that_one_search_begins_anew(
    world: World, tmp_path: Path, status: int
) -> None:
    _, landed = whole(world, tmp_path / "whole")
    world.network.fail("GET ?_page", DROPPED_BEFORE)
    with pytest.raises(KilledError):
        world.pull(pages=2)
    world.network.heal()
    world.requests()
    world.network.fail("GET ?_page", answers(status))
    assert world.pull().complete
    assert world.landed() == landed


def test_a_pull_that_ended_is_not_asked_for_again(world: World) -> None:
    world.pull()
    world.requests()
    assert world.pull().complete
    assert world.requests() == []


def test_what_landed_and_was_not_noted_is_cut_off_and_read_again(world: World, tmp_path: Path) -> None:
    _, landed = whole(world, tmp_path / "whole")
    with pytest.raises(KilledError):
        world.pull(pages=8)
    for path in world.folder.glob("*.ndjson"):
        path.write_bytes(path.read_bytes() + b'{"resourceType":"Pat')
    with (world.folder / JOURNAL).open("ab") as journal:
        journal.write(b'{"key":["Pati')
    assert world.pull().complete
    assert world.landed() == landed


def test_a_type_of_which_less_is_there_than_was_noted_is_read_anew(world: World, tmp_path: Path) -> None:
    """The machine went down, not only the process."""
    _, landed = whole(world, tmp_path / "whole")
    world.pull()
    (world.folder / "Condition.ndjson").write_bytes(b"")
    assert world.pull().complete
    assert world.landed() == landed


def test_next_links_are_kept_sealed_and_begin_anew_under_another_key(world: World, tmp_path: Path) -> None:
    _, landed = whole(world, tmp_path / "whole")
    with pytest.raises(KilledError):
        world.pull(pages=2)
    kept = (world.folder / JOURNAL).read_text()
    assert "_page" not in kept
    assert '"next":"gAAAA' in kept
    assert world.pull(sealer=Sealer([Fernet.generate_key().decode()])).complete
    assert world.landed() == landed


def test_another_server_or_another_cursor_is_another_pull(world: World, emr: tuple[Store, str]) -> None:
    world.pull()

    async def fits(client: object, source: Source) -> bool:
        return can_go_on(client, source, world.folder)  # type: ignore[arg-type]

    same = Source("east", sealer=SEALER)
    later = Source("east", sealer=SEALER, cursors={("Patient", "", ""): world.store.clock()})
    assert ask(world.network.base, lambda client: fits(client, same))
    assert not ask(world.network.base, lambda client: fits(client, later))
    assert not ask(emr[1], lambda client: fits(client, same))
