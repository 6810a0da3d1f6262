"""A higher rung has taken over: what stands on the lower one says so in the EMR.

The EMR's own JSON goes back with another status, so nobody's edit in it is lost. What cannot be closed
tonight is tried again in the next night, and says why in the ledger.
"""

from __future__ import annotations

from typing import Any

from cm_service.db import placements
from cm_service.errors import DeliveryStopped, EmrError, EmrRefused, EmrUnreachable
from cm_service.flow import ours
from cm_service.flow.book import Book
from cm_service.flow.lookup import GONE


async def close_lower(book: Book) -> None:
    """Every lower placement whose higher one was written and read back. Raises DeliveryStopped."""
    with book.db.read() as connection:
        rows = placements.closing(connection, book.emr)
    for lower in rows:
        higher = book.row(lower.id)
        if higher.state == "written" and higher.current is not None:
            await _close(book, lower)


async def _close(book: Book, lower: Any) -> None:
    try:
        if lower.sent is not None:  # what travelled inside another has no resource of its own
            await _say_closed(book, lower)
    except EmrUnreachable as error:
        raise DeliveryStopped(str(error)) from error
    except DeliveryStopped:
        raise
    except EmrError as error:
        book.move(lower, reason=f"replaced, and it could not be closed: {error}")
        return
    with book.db.write() as connection:
        placements.closed(connection, lower.placement_id, now=book.now)


async def _say_closed(book: Book, lower: Any) -> None:
    rung = book.rung(lower)
    try:
        held = await rung.read(lower, lower.reference.partition("/")[2])
    except EmrRefused as refusal:
        if refusal.status in GONE:
            return
        raise
    body = rung.closed(held.resource)
    if body is None or body == held.resource or not ours.may_be_written_over(held.resource):
        return
    await book.ask(lower, "update", lambda: book.client.update(body, if_match=held.etag))
    book.count(lower)
