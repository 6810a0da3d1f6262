"""Is what we hold what the EMR holds? A random sample of patients, read again in full, must say so.

What changed since the night read it is no difference: the next night asks for it. That something is gone
is one only where everything was read, since no search for changes tells of it.
"""

from __future__ import annotations

import datetime as dt
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import msgspec

from cm_service.db import cursors, sync
from cm_service.db.engine import Database
from cm_service.errors import EmrError
from cm_service.fhir.capability import Capability
from cm_service.fhir.client import FhirClient
from cm_service.flow import pull, record, sieve
from cm_service.flow.normalise import OWNED
from cm_service.flow.people import Facts
from cm_service.flow.pull.source import Reach
from cm_service.flow.sources import Source
from cm_service.rules.dates import Precision
from cm_service.rules.facts import AnyFact

SHARE, LEAST = 0.01, 5  # of the patients; how many at most is a setting


class Proof(NamedTuple):
    """`compared` resources of `patients`; `wrong` and `gone` count the differences per type, `unproven`
    are types that this EMR does not tell of one patient. `reason` says why there was no sample."""

    seed: str = ""
    patients: int = 0
    compared: int = 0
    wrong: Counter[str] = Counter()
    gone: Counter[str] = Counter()
    unproven: tuple[str, ...] = ()
    reason: str = ""

    def figures(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "patients": self.patients,
            "compared": self.compared,
            "wrong": self.wrong.total(),
            "gone": self.gone.total(),
            "unproven": list(self.unproven),
        }

    def problems(self) -> Iterator[str]:
        if self.reason:
            yield self.reason
        for kind, count in sorted(self.wrong.items()):
            yield f"{count} {kind} of a sample of {self.patients} patients are not as the EMR has them"


async def prove(
    db: Database,
    client: FhirClient,
    asked: pull.Source,
    source: Source,
    *,
    seed: str,
    most: int,
    limit: int,
) -> Proof:
    """Read some patients again and compare. What differs is read whole by the next pull. `limit` is the
    longest line in bytes."""
    sample = _sample(db, asked.slug, source, seed=seed, most=most)
    if not sample:
        return Proof(seed)
    folder = Path(mkdtemp(prefix="cm-sample-"))
    try:
        return await _compare(db, client, asked, source, seed, sample, folder / "sample", limit)
    except EmrError as error:
        return Proof(seed, reason=f"a sample could not be read again: {error}")
    finally:
        shutil.rmtree(folder)


def _sample(db: Database, emr: str, source: Source, *, seed: str, most: int) -> dict[str, Facts]:
    """So many of those whom this night was about, drawn by the seed, with what is held of them."""
    with db.read() as connection:
        held = set(sync.held_records(connection, emr))
        read = held & source.of_whom.get("Patient", held)
        size = min(most, max(LEAST, round(len(read) * SHARE)))
        drawn = random.Random(seed).sample(sorted(read), k=min(size, len(read)))
        found = sync.load_facts(connection, emr, drawn)
    facts = {who: record.decode(encoded) for who, encoded in found.items()}
    return {who: theirs for who, theirs in facts.items() if f"Patient/{who}" in theirs}


async def _compare(
    db: Database,
    client: FhirClient,
    asked: pull.Source,
    source: Source,
    seed: str,
    sample: dict[str, Facts],
    folder: Path,
    limit: int,
) -> Proof:
    one_by_one = dict.fromkeys([*OWNED, *source.types], Reach(within_patient=True))
    again = msgspec.structs.replace(
        asked,
        reach=one_by_one,
        listed=tuple(sample),
        cursors={},
        known={},
        sealer=None,
        capability=Capability(),
        types=source.read,
        export=None,
    )
    report = await pull.pull(client, again, folder, progress=lambda _: None)
    types = (report.of_status("complete") & source.read & OWNED.keys()) - source.reading.unread
    reading = sieve.read_folder(
        folder,
        base_url=client.base_url,
        concept_map=asked.concept_map,
        max_line_bytes=limit,
        of_one_server=True,
    )
    fresh = dict(reading.patients())
    since = _since(source, asked.overlap)
    compared, wrong, gone = 0, Counter[str](), Counter[str]()
    for who, held in sample.items():
        known = {kind for kind in types if who not in report.types[kind].failed} - source.holes[who]
        for key in held.keys() | fresh.get(who, {}).keys():
            kind = key.partition("/")[0]
            if kind in known:
                compared += 1
                old, new = held.get(key), fresh.get(who, {}).get(key)
                if new is None:
                    gone[kind] += 1
                    wrong[kind] += _was_read_whole(source, kind, who)
                elif not _same(old, new) and not _is_later(new, since.get(kind)):
                    wrong[kind] += 1
    with db.write() as connection:
        cursors.read_whole_again(connection, asked.slug, [*wrong, *gone])
    unproven = tuple(sorted((source.read & OWNED.keys()) - types - report.of_status("complete")))
    return Proof(seed, len(sample), compared, +wrong, +gone, unproven)


def _since(source: Source, overlap: dt.timedelta) -> dict[str, dt.datetime]:
    """Per type the moment from which on the next night asks."""
    found: dict[str, dt.datetime] = {}
    for point in source.points:
        if point.cursor is not None:
            start = point.cursor - overlap
            found[point.type] = min(start, found.get(point.type, start))
    return found


def _was_read_whole(source: Source, kind: str, who: str) -> bool:
    return kind in source.replaces and who in source.whole_for.get(kind, {who})


def _same(old: AnyFact | None, new: AnyFact) -> bool:
    """But for flags, which tell of the reading."""
    return old is not None and msgspec.structs.replace(old, flags=()) == msgspec.structs.replace(
        new, flags=()
    )


def _is_later(fact: AnyFact, since: dt.datetime | None) -> bool:
    when = fact.updated
    if since is None or when is None or when.precision != Precision.INSTANT:
        return False
    return when.low >= int(since.timestamp() * 1_000_000)
