"""What the commands say, and exit codes 0, 1, 2, 3.

Where stdout is for machines (`--json`, `evaluate`), everything for people goes to stderr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cm_service.errors import BadInput, Busy, CmError, Lost

COMPLETE, FAILED, USAGE, PARTIAL = 0, 1, 2, 3
# Without markup: words of an EMR or of a person may hold brackets, which rich would swallow or choke on.
people = Console(stderr=True, highlight=False, markup=False)
_errors = Console(stderr=True, highlight=False, markup=False)
_ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def emit(answer: Any) -> None:
    """One JSON object as the last line of stdout."""
    typer.echo(_ENCODER.encode(answer).decode())


@contextmanager
def errors_become_exits(as_json: bool, *, stdout_is_data: bool = False) -> Iterator[None]:
    """Our own errors end as one clear sentence and the right exit code; others keep their trace."""
    people.stderr = as_json or stdout_is_data
    try:
        yield
    except CmError as error:
        _errors.print(f"error: {error}", style="red", soft_wrap=True)
        if as_json:
            emit(failure(error))
        raise typer.Exit(USAGE if isinstance(error, BadInput | Lost) else FAILED) from error


def failure(error: CmError) -> dict[str, str]:
    """What went wrong, for machines: `reason` is a stable word, `advice` what to do about it."""
    reason = "busy" if isinstance(error, Busy) else type(error).__name__
    return {"status": "failed", "reason": reason, "error": str(error), "advice": error.advice.value}


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """A line that moves on a terminal; elsewhere, in a log, the title and no more."""
    if not people.is_terminal:
        people.print(title)
        yield lambda _text: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=people, transient=True) as bar:
        task = bar.add_task(title)
        yield lambda text: bar.update(task, description=f"{title}: {text}")
