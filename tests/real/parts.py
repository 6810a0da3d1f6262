"""What every real part needs: an honest word when it is missing, a port, and an end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip on a laptop; fail where CI=true promises that every real part is there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} (with CI=true every real part must be there)", pytrace=False)
    pytest.skip(what)


WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
# Below those that Linux hands out by itself, and each worker's own: what is free now is free a second later.
_ports = count(18_000 + 1_000 * (int(WORKER.removeprefix("gw")) % 14))


def free_port() -> int:
    while True:
        port = next(_ports)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def log_of(name: str) -> Path:
    """Where the output of a server goes; each worker of a test run has its own."""
    return Path("artefacts") / f"{name}-{WORKER}.log"


@contextmanager
def running(
    command: list[str],
    *,
    log: Path,
    cwd: Path,
    user: str = "",
    stop: signal.Signals = signal.SIGTERM,
    environment: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that ends with this block and, on Linux, also when this process is killed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    other = {"user": user, "group": user, "extra_groups": []} if user else {}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_tied_to_us(stop), *command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **other,
        )
        try:
            yield process
        finally:
            _end(process, stop)


def _tied_to_us(stop: signal.Signals) -> list[str]:
    # Without this a test run that is itself killed would leave a server of 1 GB behind.
    if not shutil.which("setpriv"):
        return []
    return ["setpriv", f"--pdeathsig={stop.name.removeprefix('SIG')}", "--"]


def _end(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    process.send_signal(stop)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(log: Path, *, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
