"""One search: what is asked, from when on, and what its answers must hold for us to believe them."""

from __future__ import annotations

import datetime as dt
from hashlib import blake2b
from typing import NamedTuple

from cm_service.errors import FilterDropped
from cm_service.fhir.client import search_value
from cm_service.fhir.searchset import Page
from cm_service.flow.pull.source import PAGE_SIZE, Since

BY_ID = "_id"
_SECOND, _DAY = dt.timedelta(seconds=1), dt.timedelta(days=1)
_BEHIND, _AHEAD = dt.timedelta(hours=12), dt.timedelta(hours=14)  # how far a server's day is from UTC's


class Search(NamedTuple):
    """A search for any of `values` in `parameter`, or for the whole type; within one `patient` if named."""

    type: str
    parameter: str = ""
    values: tuple[str, ...] = ()
    patient: str = ""

    @property
    def query(self) -> str:
        """What is asked for, in short: another list of codes is another query. Names no patient."""
        if self.parameter in ("", BY_ID):
            return self.parameter
        codes = "\n".join(self.values).encode()
        return f"{self.parameter}:{blake2b(codes, digest_size=8).hexdigest()}"

    @property
    def key(self) -> tuple[str, str, str]:
        return self.type, self.query, self.patient

    def params(self, window: Window | None, *, count: str) -> list[tuple[str, str]]:
        pairs = []
        if self.patient:
            pairs.append(("_id" if self.type == "Patient" else "patient", search_value(self.patient)))
        if self.parameter:
            pairs.append((self.parameter, ",".join(map(search_value, self.values))))
        if window is not None:
            pairs.append(("_lastUpdated", f"ge{window.text}"))
        return [*pairs, (count, str(PAGE_SIZE))]


class Window(NamedTuple):
    """From when on: `text` as it is sent; nothing that changed before `bound` may come back."""

    text: str
    bound: dt.datetime


def window(cursor: dt.datetime, overlap: dt.timedelta, since: Since) -> Window:
    """Where only whole days can be asked for: the server's day of the cursor and the day before, in
    whatever zone that server lives."""
    if since == Since.DATE:
        day = (cursor - _BEHIND - _DAY).astimezone(dt.UTC).date()
        start = dt.datetime.combine(day, dt.time(), dt.UTC)
        return Window(day.isoformat(), start - _AHEAD)
    start = (cursor - overlap).astimezone(dt.UTC).replace(microsecond=0)
    return Window(start.strftime("%Y-%m-%dT%H:%M:%SZ"), start - _SECOND)


def check_effect(page: Page, asked: Window, type_: str) -> None:
    """Raises FilterDropped where the page shows that `_lastUpdated` was not used, or nothing shows that it
    was: neither the self link nor the rows themselves."""
    if any(moment is not None and moment < asked.bound for moment in page.updated):
        raise FilterDropped(f"the EMR took _lastUpdated in a search on {type_} and did not filter by it")
    if page.self_link is None and None in page.updated:
        raise FilterDropped(f"nothing shows that the EMR used _lastUpdated in a search on {type_}")
