"""The service as people run it, on a socket of its own, over a store that a test has filled."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.real.parts import free_port, running, tail


class Served(NamedTuple):
    base: str
    pid: int

    @property
    def workers(self) -> list[int]:
        """Processes that answer, where there are several: uvicorn starts them by `spawn`."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        words = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
        return [int(child) for child, word in words.items() if b"spawn_main" in word]


@contextmanager
def serving(folder: Path, *, database_url: str = "", port: int = 0, **settings: str) -> Iterator[str]:
    """`cm-service serve`; gives its address, which is its CM_PUBLIC_URL as well."""
    with served(folder, database_url=database_url, port=port, **settings) as service:
        yield service.base


@contextmanager
def served(
    folder: Path, *more: str, database_url: str = "", port: int = 0, **settings: str
) -> Iterator[Served]:
    """With further options of `serve`."""
    port = port or free_port()
    base, log = f"http://127.0.0.1:{port}", folder / f"serve-{port}.log"
    own = {"CM_DATA_DIR": str(folder), "CM_DATABASE_URL": database_url, "CM_PUBLIC_URL": base, **settings}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CM_")}
    command = [str(Path(sys.executable).with_name("cm-service")), "serve", "--port", str(port), *more]
    with running(command, log=log, cwd=folder, environment=kept | own) as process:
        deadline = time.monotonic() + 180  # a busy machine imports for a minute
        while not _answers(base):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the service did not start:\n{tail(log)}", pytrace=False)
            time.sleep(0.05)
        yield Served(base, process.pid)


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/readyz").status_code == 200
    except httpx.HTTPError:
        return False
