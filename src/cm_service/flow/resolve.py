"""A person says what became of a write that nobody can look up: it is there under this reference, or not.

What they say is checked against the EMR as far as it can be read, because a wrong word here is a second
copy in a chart, or a thing that is never sent.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

from cm_service.db import connections, ledger
from cm_service.errors import BadInput, EmrRefused
from cm_service.fhir import vendor
from cm_service.fhir.capability import Capability
from cm_service.flow.book import Book, Pace
from cm_service.flow.deliver import rungs
from cm_service.flow.intents import State
from cm_service.flow.ladder import Rung
from cm_service.flow.lookup import GONE
from cm_service.flow.nightly import Tools, lease_of
from cm_service.flow.ours import Json
from cm_service.flow.rungs.limited import around_of

_OPEN = frozenset({State.UNKNOWN, State.PARKED})


def resolve(tools: Tools, intent_id: int, *, written_as: str | None) -> Any:
    """`written_as` None: it is not there. No night may send it meanwhile. Raises Lost, Busy, and what
    the two below raise."""
    with tools.database.read() as connection:
        row = ledger.one(connection, intent_id)
        emr = connections.get_emr(connection, row.emr)
    with tools.database.lease(lease_of(row.emr)):
        return asyncio.run(_resolve(tools, emr, row.id, written_as))


async def _resolve(tools: Tools, emr: Any, intent_id: int, reference: str | None) -> Any:
    async with tools.client(emr) as client:
        profile = vendor.load(emr.profile, extra=tools.settings.extra_profiles)
        pace = Pace(tools.clock, dt.timedelta(0), asyncio.sleep)
        book = Book(tools.database, client, emr=emr.slug, profile=profile, now=tools.clock(), pace=pace)
        around = around_of(emr, base=tools.settings.identifier_base, now=book.now)
        book.open(rungs(client, Capability(), around, lambda: book.passport))
        if reference is not None:
            return await written_as(book, intent_id, reference)
        return await not_written(book, intent_id)


async def written_as(book: Book, intent_id: int, reference: str) -> Any:
    """It stands in the EMR under this reference; gives the row as it is then.

    Raises BadInput where that cannot be so, EmrError where the EMR does not let us look."""
    row = _resolvable(book, intent_id)
    type_, _, id_ = reference.partition("/")
    wanted = book.rung(row).type_of(row)
    if type_ != wanted or not id_ or "/" in id_:
        raise BadInput(f"intent {intent_id} is put into a {wanted}: --written-as takes {wanted}/ID")
    if row.reference not in (None, reference):
        raise BadInput(f"intent {intent_id} is known to stand at {row.reference}")
    with book.db.read() as connection:
        holder = ledger.holder(connection, row.emr, reference)
    if holder is not None and holder.id != row.id:
        raise BadInput(f"{reference} is the place of intent {holder.id}")
    try:
        current = (await book.rung(row).read(row, id_)).resource
    except EmrRefused as refusal:
        if refusal.status in GONE:
            raise BadInput(f"the EMR shows no {reference}") from refusal
        raise
    if not _is_about(current, row.patient_id):
        raise BadInput(f"{reference} is not about the patient of intent {intent_id}")
    if _is_another(current, row):
        raise BadInput(f"{reference} carries our identifier of another intent")
    book.take(row, current)
    return book.row(intent_id)


async def not_written(book: Book, intent_id: int) -> Any:
    """It is not in the EMR, and is sent again in the next night; gives the row as it is then.

    Raises BadInput if the EMR shows it, or it is known to have a place."""
    row = _resolvable(book, intent_id)
    if row.reference is not None:
        raise BadInput(f"intent {intent_id} stands at {row.reference}: use --written-as {row.reference}")
    found = await book.rung(row).find(row)
    if found:
        places = ", ".join(f"{each['resourceType']}/{each.get('id')}" for each in found)
        raise BadInput(f"the EMR shows intent {intent_id}: {places}")
    never = {"state": "pending", "sent": None, "sent_at": None, "missed_at": None, "attempts": 0}
    book.move(row, reason=ledger.NOT_THERE, **never)
    return book.row(intent_id)


def _resolvable(book: Book, intent_id: int) -> Any:
    row = book.row(intent_id)
    if row.state not in _OPEN:
        raise BadInput(f"intent {intent_id} is {row.state}: only unknown and parked ones can be resolved")
    if row.rung == Rung.OWN:
        raise BadInput(f"intent {intent_id} is on the page only: nothing of it was sent")
    return row


def _is_about(resource: Json, patient_id: str) -> bool:
    subject = resource.get("subject") or resource.get("for") or {}
    reference = str(subject.get("reference", "")).partition("/_history/")[0]
    return reference == f"Patient/{patient_id}" or reference.endswith(f"/Patient/{patient_id}")


def _is_another(resource: Json, row: Any) -> bool:
    """Some resources hold one identifier, not a list."""
    held = resource.get("identifier") or []
    listed = held if isinstance(held, list) else [held]
    values = {item.get("value") for item in listed if item.get("system") == row.system}
    return bool(values) and row.value not in values
