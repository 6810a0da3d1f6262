"""What a night is given: by the process, and by whoever starts it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

from cm_service.db.engine import Database
from cm_service.db.sealed import Sealer
from cm_service.fhir.client import FhirClient
from cm_service.settings import Settings

DEFAULT_MAX_NEW = 50
Tell = Callable[[str], None]


class Tools(NamedTuple):
    """What the night needs of the process; built by `wiring`. Without a `sealer` a pull that was killed
    begins anew. `notify_secret` says by what an EMR (its row) proves that a notification is its own."""

    settings: Settings
    database: Database
    client: Callable[[Any], AbstractAsyncContextManager[FhirClient]]
    clock: Callable[[], dt.datetime]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    sealer: Callable[[], Sealer] | None = None
    notify_secret: Callable[[Any], str] | None = None


class NightOptions(NamedTuple):
    """`source` is a folder in place of a pull. `full`: what is not in the folder is gone; of a pull, that
    it reads everything and not only what changed. `max_new` None means no limit."""

    as_of: dt.datetime
    source: Path | None = None
    full: bool = False
    dry_run: bool = False
    max_new: int | None = DEFAULT_MAX_NEW
