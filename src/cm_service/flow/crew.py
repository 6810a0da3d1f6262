"""Work shared with forked processes, one for each further core.

A fork knows everything that this process knows, so only items and results go through pipes; results
come back in the order of the items. A worker that dies or fails is an error, never a missing result.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from cm_service.errors import WorkerFailed

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 4
_AHEAD = 4  # items under way per worker: it goes on while this process stores what came before
_PATIENCE = 5.0  # seconds in which an idle worker ends
_FORK = multiprocessing.get_context("fork")
_END = object()


def spare_cores() -> int:
    """How many workers help here: none on one core, and none beside other threads, since a fork copies
    the locks that they hold and not the threads that would release them."""
    alone = threading.active_count() == 1
    return min(len(os.sched_getaffinity(0)) - 1, _MOST) if alone else 0


class Crew(Generic[Item, Result]):
    """`workers` forks of this moment that do `work`; without any this process does it. To be closed."""

    def __init__(self, work: Callable[[Item], Result], *, workers: int) -> None:
        self._work = work
        self._workers: list[_Worker] = []
        self._most = 2 * _AHEAD * workers  # results that may wait for an earlier one
        try:
            for _ in range(workers):
                self._workers.append(_Worker(work))
        except BaseException:
            self.close()
            raise

    def each(self, items: Iterable[Item]) -> Iterator[Result]:
        """One result per item, in their order. Raises WorkerFailed."""
        waiting: deque[_Worker | Result] = deque()
        for item in items:
            waiting.append(self._begin(item))
            while waiting and (len(waiting) > self._most or _is_ready(waiting[0])):
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())

    def _begin(self, item: Item) -> _Worker | Result:
        """Whoever has least to do takes it; where all have enough, this process does it meanwhile."""
        worker = min(self._workers, key=lambda each: each.under_way, default=None)
        if worker is None or worker.under_way >= _AHEAD:
            return self._work(item)
        worker.send(item)
        return worker

    def close(self) -> None:
        for worker in self._workers:
            worker.close()


class _Worker:
    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._pipe, theirs = _FORK.Pipe()
        self._process = _FORK.Process(target=_serve, args=(work, theirs, self._pipe), daemon=True)
        self._process.start()
        self.under_way = 0
        theirs.close()  # or else its end would not be seen

    def send(self, item: Any) -> None:
        self.under_way += 1
        try:
            self._pipe.send(item)
        except OSError as error:
            raise self._lost() from error

    def is_ready(self) -> bool:
        return self._pipe.poll()

    def receive(self) -> Any:
        self.under_way -= 1
        try:
            failure, result = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if failure:
            raise WorkerFailed(f"a worker process failed: {failure}")
        return result

    def _lost(self) -> WorkerFailed:
        self._process.join(_PATIENCE)
        return WorkerFailed(f"a worker process ended in its work (exit code {self._process.exitcode})")

    def close(self) -> None:
        self._pipe.close()
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()


def _is_ready(waiting: object) -> bool:
    return not isinstance(waiting, _Worker) or waiting.is_ready()


def _result(waiting: Any) -> Any:
    return waiting.receive() if isinstance(waiting, _Worker) else waiting


def _serve(work: Callable[[Any], Any], pipe: Connection, other_end: Connection) -> None:
    """In the fork: what is received and what is sent wait in queues, so that neither side blocks the
    other. Ends when this process's parent closes the pipe, or is gone."""
    other_end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and closes the pipe
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    inbox: SimpleQueue[Any] = SimpleQueue()
    outbox: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, inbox), daemon=True).start()
    threading.Thread(target=_send, args=(pipe, outbox), daemon=True).start()
    while (item := inbox.get()) is not _END:
        outbox.put(_outcome(work, item))


def _receive(pipe: Connection, inbox: SimpleQueue[Any]) -> None:
    try:
        while True:
            inbox.put(pipe.recv())
    except (EOFError, OSError):
        inbox.put(_END)


def _send(pipe: Connection, outbox: SimpleQueue[Any]) -> None:
    try:
        while True:
            pipe.send(outbox.get())
    except OSError:
        pass  # nobody listens any more


def _outcome(work: Callable[[Any], Any], item: Any) -> tuple[str, Any]:
    """(why it failed, the result). The text of an error may hold what was read: its type and place do not."""
    try:
        return "", work(item)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent raises it
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        place = f" in line {frame.tb_lineno} of {frame.tb_frame.f_globals.get('__name__')}" if frame else ""
        return f"{type(error).__name__}{place}", None
