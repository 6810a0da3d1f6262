"""What planning hands to the ledger: the things wanted in the EMR, and what the ledger knows of them.

Pure data. A wanted resource is FHIR R4 JSON without `id` and `meta.versionId`. A link to another
thing of ours is `{"reference": "intent:<identifier value>"}` until delivery knows its place in the
EMR. Every intent has one business identifier (rules.md 6.11), minted once and stored.
"""

from __future__ import annotations

import datetime as dt
from base64 import b32encode
from enum import StrEnum
from hashlib import sha256
from typing import Any

import msgspec

LINK = "intent:"


class State(StrEnum):
    """States of a placement (protocols.md 2, WB-11)."""

    PENDING = "pending"
    SENDING = "sending"
    WRITTEN = "written"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    SUPERSEDED = "superseded"
    PARKED = "parked"


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wanted in the EMR. `business_key` is the text that the identifier value is hashed
    from (`task|...`); `first_contact` marks what `--max-new` counts (the first Task or plan of a
    patient); `urgency` orders them (0 stat, 1 asap, 2 urgent, 3 routine)."""

    kind: str  # CarePlan | Goal | Task
    business_key: str
    system: str
    value: str
    rule: str
    code: str  # task code, "longitudinal" | "transition" for plans, measure code for goals
    subject: str  # episode or subject key, "" for one per patient
    resource: dict[str, Any]
    urgency: int = 3


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger holds of one intent. `resource` is what we last wanted; `current` the EMR's
    own JSON as last read (None before it was ever read back); `human` the top-level elements that
    somebody else changed and that are theirs from then on; `deleted` by somebody in the EMR; `labels`
    as in db.confidential."""

    id: int
    kind: str
    business_key: str
    system: str
    value: str
    rule: str
    code: str
    subject: str
    resource: dict[str, Any]
    state: State
    created_at: dt.datetime
    reference: str | None = None
    current: dict[str, Any] | None = None
    human: frozenset[str] = frozenset()
    deleted: bool = False
    labels: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the diff: a new Want (`known` None), or a new wanted resource for a known one."""

    want: Want
    known: Known | None = None


def identifier_value(business_key: str) -> str:
    """base32(sha256)[:32] of the business key, as anyone can compute it again."""
    return b32encode(sha256(business_key.encode()).digest()).decode()[:32]


def link(value: str) -> dict[str, str]:
    """A reference to another intent, by its identifier value."""
    return {"reference": LINK + value}
