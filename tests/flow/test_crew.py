"""Work shared with forked processes: all of it is done, in order, or the night fails."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from cm_service.errors import WorkerFailed
from cm_service.flow.crew import Crew


def results(work: Callable[[int], object], *, workers: int, items: int = 100) -> list[object]:
    with closing(Crew(work, workers=workers)) as crew:
        return list(crew.each(range(items)))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_item_has_its_result_in_the_order_of_the_items(workers: int) -> None:
    def slow_at_times(number: int) -> int:
        time.sleep(0.01 if number % 7 == 0 else 0)
        return number * number

    assert results(slow_at_times, workers=workers) == [number * number for number in range(100)]


def test_what_is_larger_than_a_pipe_holds_blocks_nobody() -> None:
    assert results(lambda number: b"x" * 1_000_000, workers=2, items=30) == [b"x" * 1_000_000] * 30


def test_workers_are_other_processes_and_this_one_works_beside_them() -> None:
    def who(_number: int) -> int:
        time.sleep(0.005)
        return os.getpid()

    found = set(results(who, workers=2))
    assert len(found) == 3
    assert os.getpid() in found


def test_a_dead_worker_is_an_error_and_no_silent_hole() -> None:
    parent = os.getpid()

    def die(number: int) -> int:
        if number >= 20 and os.getpid() != parent:
            os._exit(9)
        return number

    with pytest.raises(WorkerFailed, match="exit code 9"):
        results(die, workers=2)


def test_a_failure_names_its_kind_and_place_and_nothing_that_was_read() -> None:
    parent = os.getpid()

    def fail(_number: int) -> None:
        if os.getpid() != parent:
            raise ValueError("Mrs. Jones")

    with pytest.raises(WorkerFailed, match="ValueError in line") as caught:
        results(fail, workers=1)
    assert "Jones" not in str(caught.value)


def test_without_workers_a_failure_is_itself() -> None:
    with pytest.raises(ZeroDivisionError):
        results(lambda number: 1 // number, workers=0)
