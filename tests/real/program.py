"""cm-service in a process of its own, forked from one that has imported it: importing takes a second."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.real import dying

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["cm_service.cli", "tests.real.program"])


class Ended(NamedTuple):
    """`exit` is below 0 for a signal."""

    exit: int
    stdout: str
    stderr: str


class Running:
    """The program with these arguments and, of the variables that are its own, with these alone. One
    thread asks for ends: `multiprocessing` loses exit codes between several. `die_at` and `points`: see
    `dying.py`."""

    def __init__(
        self,
        arguments: list[str],
        settings: dict[str, str],
        *,
        die_at: str | None = None,
        points: Path | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cm-said-")
        out, err = (str(Path(self._folder.name) / name) for name in ("stdout", "stderr"))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CM_")}
        self._outputs = (Path(out), Path(err))
        self._process = _FORKS.Process(
            target=_main, args=(arguments, kept | settings, out, err, die_at, points)
        )
        self._process.start()

    def kill(self) -> None:
        """SIGKILL, and wait until nothing of it is left. By any thread: `end` asks for the exit code."""
        assert self._process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
            while True:
                os.kill(self._process.pid, 0)
                time.sleep(0.005)

    def end(self, *, seconds: float = 300) -> Ended:
        self._process.join(seconds)
        assert self._process.exitcode is not None, "it does not end"
        with self._folder:
            stdout, stderr = (path.read_text() if path.exists() else "" for path in self._outputs)
        return Ended(self._process.exitcode, stdout, stderr)


def _main(
    arguments: list[str],
    environment: dict[str, str],
    out: str,
    err: str,
    die_at: str | None,
    points: Path | None,
) -> None:
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["cm-service", *arguments]
    if die_at or points:
        dying.install(die_at, points)
    from cm_service.cli import main

    main()
