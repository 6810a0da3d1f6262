"""How a server answers at the edges, where the book leaves room or servers leave the book.

The defaults are what FHIR R4 asks; each personality that was seen to do otherwise says so.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Manners:
    """Statuses, and what is checked, taken and told.

    `media_status`: of a body in a format that it does not read. `method_status`: of what it does not
    do at an address that it has. `delete_status`: with 200 comes an OperationOutcome.
    `lax`: it parses and does not validate, so that missing elements and broken invariants are taken,
    and only a code outside its binding is refused (400).
    `guards_new`, `guards_delete`: a precondition is checked where nothing ever was, and on a delete.
    `blank_condition`: an If-None-Exist without a word in it is none.
    `placeholders`: where a reference leads nowhere, it makes an empty resource there.
    `subsets`: `_elements` is known.
    `content_location`: what is read or updated has that header, and an update has no Location.
    `terse_entries`: entries of a transaction's answer have a reference for a location, the bare version
    for an etag, and words behind the status.
    """

    media_status: int = 415
    method_status: int = 405
    delete_status: int = 204
    lax: bool = False
    guards_new: bool = True
    guards_delete: bool = True
    blank_condition: bool = False
    placeholders: bool = False
    subsets: bool = False
    content_location: bool = False
    terse_entries: bool = False
