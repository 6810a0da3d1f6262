"""The foreign data under new ids, as often as wanted: input for benchmarks and load tests.

Each copy is a population of its own: every UUID (ids, references, identifiers) gets the number of
its copy as its first two hex digits, so references stay whole and no two copies share a resource.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

_UUID_HEAD = re.compile(rb"\b[0-9a-f]{2}(?=[0-9a-f]{6}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)")


def repeat(source: Path, target: Path, *, copies: int) -> int:
    """Write `source/*.ndjson[.gz]`, `copies` times (1 to 256) under new ids, to plain files of the same
    names in `target`. Returns the number of bytes written; files that exist are overwritten."""
    target.mkdir(parents=True, exist_ok=True)
    written = 0
    for path in sorted(source.glob("*.ndjson*")):
        with (target / path.name.removesuffix(".gz")).open("wb") as out:
            for text in _copies(path, copies):
                written += out.write(text)
    return written


def _copies(path: Path, copies: int) -> Iterator[bytes]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for number in range(copies):
        yield _UUID_HEAD.sub(b"%02x" % number, text)
