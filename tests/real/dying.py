"""A process that kills itself with SIGKILL at a named point: around every request, and at every
transaction, between which lie the stages of a night. Nothing of the product knows of it."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cm_service.db.engine import Database
from cm_service.fhir.http import Ask, EmrHttp

_CALLER = 2  # above the generator and contextlib


def install(die_at: str | None, points: Path | None) -> None:
    """In this process from now on: die at the first point of this name; write the names that are passed."""
    passed: Counter[str] = Counter()

    def reach(name: str) -> None:
        passed[name] += 1
        if name == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if points is not None and passed[name] == 1:
            with points.open("a") as lines:
                lines.write(name + "\n")

    _around_transactions(reach)
    _around_requests(reach)


def _around_transactions(reach: Any) -> None:
    write = Database.write

    @contextmanager
    def mortal(database: Database) -> Iterator[Any]:
        frame = sys._getframe(_CALLER)
        place = f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}"
        if place == "book.move" and frame.f_back is not None:  # what everybody uses says nothing
            place = f"{Path(frame.f_back.f_code.co_filename).stem}.{frame.f_back.f_code.co_name}"
        reach(f"before the transaction of {place}")
        with write(database) as connection:
            yield connection
        reach(f"after the transaction of {place}")

    Database.write = mortal  # type: ignore[method-assign]


def _around_requests(reach: Any) -> None:
    send = EmrHttp._send

    async def mortal(http: EmrHttp, ask: Ask, *more: Any) -> Any:
        reach(f"as it leaves: {ask.what}")
        response = await send(http, ask, *more)
        reach(f"when it was answered: {ask.what}")
        return response

    EmrHttp._send = mortal  # type: ignore[method-assign]
