"""The exports that somebody asked for and did not delete yet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Export:
    """Of one moment. `files` are NDJSON by name, `listed` the entries of its manifest by kind (output,
    error, deleted), without their addresses; `polls` counts answers that said "not yet"."""

    request: str
    moment: dt.datetime
    files: Mapping[str, bytes]
    listed: Mapping[str, list[dict[str, object]]]
    polls: int = 0


@dataclass
class Exports:
    by_id: dict[str, Export] = field(default_factory=dict)
