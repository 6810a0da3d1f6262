"""What was deleted since the last reading, from the EMR's history of a type: searches never tell.

A history is believed only in a night in which it shows every row that the search of the same window
brought: so it proves itself each time. Whatever it lacks, deletions are then seen by the weekly reading.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from contextlib import aclosing
from typing import NamedTuple

from cm_service.errors import EmrError, EmrRefused, FilterDropped, IncompleteAnswer
from cm_service.fhir.client import FhirClient
from cm_service.fhir.history import Happened
from cm_service.flow.landing import TypeReport
from cm_service.flow.pull.source import Source
from cm_service.flow.pull.walk import row_of

SHOWS = "shows changes"
_WORTH: dict[type[EmrError], str] = {FilterDropped: "ignores _since", IncompleteAnswer: "lacks changes"}


class Changes(NamedTuple):
    """What the searches of one type asked for and brought: from `since` on, these rows."""

    since: dt.datetime
    rows: frozenset[bytes]


async def look(
    client: FhirClient, source: Source, report: TypeReport, changes: Changes | None, *, declared: bool
) -> list[str]:
    """`Type/id` of what was deleted. Notes in `report` what the history is worth; an error is no hole."""
    if changes is None or not declared or report.type not in source.history:
        return []
    try:
        happened = await _read(client, report.type, changes, count=source.count)
    except EmrError as error:
        report.note(f"deletions are seen by the next reading of everything, because {error}")
        report.history = _WORTH.get(type(error), "")
        report.history_status = error.status if isinstance(error, EmrRefused) else None
        return []
    report.history, report.history_status = SHOWS, 200
    return [f"{report.type}/{id_}" for id_ in deleted(happened)]


async def _read(client: FhirClient, type_: str, changes: Changes, *, count: str) -> list[Happened]:
    """Raises EmrError, and FilterDropped or IncompleteAnswer where it is not to be believed."""
    happened, entries, total = list[Happened](), 0, None
    async with aclosing(client.history(type_, changes.since, count=count)) as pages:
        async for page in pages:
            if any(each.at is not None and each.at < changes.since for each in page.happened):
                raise FilterDropped(f"the EMR ignored _since in the history of {type_}")
            happened += page.happened
            entries += len(page.happened) + page.unclear
            total = page.total if total is None else total
    missing = changes.rows - {row_of(each.id) for each in happened}
    if missing or (total is not None and total > entries):
        raise IncompleteAnswer(f"the EMR's history of {type_} lacks what its searches show")
    return happened


def deleted(happened: Iterable[Happened]) -> list[str]:
    """Ids whose last version is a deletion. The last one is the latest by its date; where that is not
    said of all, whoever was ever anything but deleted is taken to be there."""
    last: dict[str, Happened] = {}
    for each in happened:  # the newest first, as FHIR has it
        known = last.setdefault(each.id, each)
        if known is not each:
            last[each.id] = _later(known, each)
    return sorted(id_ for id_, each in last.items() if each.deleted)


def _later(one: Happened, other: Happened) -> Happened:
    if one.at is not None and other.at is not None:
        return other if other.at > one.at else one
    return one if not one.deleted else other
