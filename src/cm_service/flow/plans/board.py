"""Everything of ours around one patient, as it truly stands, and as tonight wants it to stand.

An Item starts as what the ledger and the EMR hold; planning changes it; `compare.py` turns what
differs into Changes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cm_service.flow.intents import Known, State, identifier_value, link
from cm_service.flow.plans.identity import key_in, read_key
from cm_service.rules.dates import instant_of, parse_when

STATUS = {"Task": "status", "CarePlan": "status", "Goal": "lifecycleStatus"}
OPEN = {
    "Task": frozenset({"draft", "requested", "received", "accepted", "ready", "in-progress", "on-hold"}),
    "CarePlan": frozenset({"draft", "active", "on-hold", "unknown"}),
    "Goal": frozenset({"proposed", "planned", "accepted", "active", "on-hold"}),
}
CLOSED = {"Task": "cancelled", "CarePlan": "revoked", "Goal": "cancelled"}  # the service ends no other way
REASON_SYSTEM = "/CodeSystem/cm-status-reason"
WITHDRAWN = "Withdrawn: "  # begins the reason that the service gives for a Goal or a plan
_FIRST = {"CarePlan": frozenset({"draft"}), "Goal": frozenset({"proposed"})}
_NOT_OURS_TO_SAY = ("id", "meta")


@dataclass(slots=True, kw_only=True)
class Item:
    """One thing of ours. `closing` marks a Task that is withdrawn whatever a person made of its status."""

    kind: str
    business_key: str
    rule: str
    code: str
    subject: str
    resource: dict[str, Any]
    known: Known | None = None
    urgency: int = 3
    closing: bool = False

    @property
    def value(self) -> str:
        return self.known.value if self.known else identifier_value(self.business_key)

    @property
    def link(self) -> dict[str, str]:
        return link(self.value)

    @property
    def enrolment(self) -> str:
        return read_key(self.business_key).enrolment if self.business_key else ""

    @property
    def status(self) -> str:
        return str(self.resource.get(STATUS[self.kind], ""))

    @property
    def deleted(self) -> bool:
        return self.known is not None and self.known.deleted

    @property
    def is_open(self) -> bool:
        return not self.deleted and self.status in OPEN[self.kind]

    @property
    def closed_by_us(self) -> bool:
        """Withdrawn by the service: it says so in the resource itself, so that this is known even
        after the store was lost."""
        return not self.is_open and not self.closed_by_person

    @property
    def closed_by_person(self) -> bool:
        """Ended, or deleted, by somebody else: it stays as it is."""
        return self.deleted or not (self.is_open or is_retracted(self.kind, self.resource))

    @property
    def patient(self) -> str:
        """`Patient/id` that the resource speaks of."""
        reference = self.resource.get("for" if self.kind == "Task" else "subject") or {}
        return str(reference.get("reference", ""))

    @property
    def source(self) -> str:
        """`Type/id` of the deciding input that we last wrote, "" if none."""
        written = self.known.resource if self.known else self.resource
        reference = written.get("reasonReference") or {}
        return str(reference.get("reference") or (reference.get("identifier") or {}).get("value") or "")

    def closed_on(self, zone: dt.tzinfo) -> dt.date | None:
        """Local day on which a person ended it, as far as the EMR tells."""
        current = (self.known.current if self.known else None) or {}
        texts = (
            (current.get("executionPeriod") or {}).get("end"),
            current.get("lastModified"),
            (current.get("meta") or {}).get("lastUpdated"),
        )
        return next((local_day(text, zone) for text in texts if text), None)


def local_day(text: str, zone: dt.tzinfo) -> dt.date | None:
    """Local day of a FHIR dateTime written by whomever; None if it is none or not that precise."""
    try:
        when = parse_when(text)
    except ValueError:
        return None
    return None if when.is_partial else instant_of(when, zone).astimezone(zone).date()


def _wanted_status(known: Known) -> str:
    return str(known.resource.get(STATUS[known.kind], ""))


def is_retracted(kind: str, resource: dict[str, Any]) -> bool:
    """Ended by the service, and by nobody else: what a person ends bears no mark of ours."""
    if kind not in CLOSED or resource.get(STATUS[kind]) != CLOSED[kind]:
        return False
    if kind == "Task":
        codings = (resource.get("statusReason") or {}).get("coding") or ()
        return any(str(coding.get("system", "")).endswith(REASON_SYSTEM) for coding in codings)
    if kind == "Goal":
        return str(resource.get("statusReason", "")).startswith(WITHDRAWN)
    return any(str(note.get("text", "")).startswith(WITHDRAWN) for note in resource.get("note") or ())


def standing(known: Known) -> dict[str, Any]:
    """The resource as it stands: what we wanted, with what is a person's taken from the EMR."""
    held = {name: value for name, value in known.resource.items() if name not in _NOT_OURS_TO_SAY}
    if known.current is None:
        return held
    element = STATUS[known.kind]
    theirs = known.human - {element} | ({element} if _status_is_theirs(known, known.current) else set())
    for name in theirs:
        held.pop(name, None)
        if name in known.current:
            held[name] = known.current[name]
    return held


def _status_is_theirs(known: Known, current: dict[str, Any]) -> bool:
    """The EMR's status is the truth, except where we closed a thing: then only if somebody else has
    moved it (what the EMR showed may be older than our word). A Task that somebody took up while
    our withdrawal was on its way is withdrawn all the same."""
    element, still_open = STATUS[known.kind], OPEN[known.kind]
    if known.state is State.PENDING and element not in known.human:
        return False  # a care manager's word that is on its way there
    if _wanted_status(known) in still_open:
        return True
    withdrawing = known.kind == "Task" and known.state is not State.WRITTEN
    return element in known.human and not (withdrawing and current.get(element) in still_open)


@dataclass(slots=True)
class Board:
    """The Items of one patient. Those that speak of another Patient (one that was merged into this
    one) are `foreign`: they count for memory, and are closed."""

    patient_id: str
    auto: bool = False
    items: list[Item] = field(default_factory=list)

    @classmethod
    def of(cls, patient_id: str, known: Iterable[Known], *, base: str, auto: bool = False) -> Board:
        """`base`: the identifier base under which our keys stand in the resources; `auto`: plans and
        Goals are made active at once."""
        ordered = sorted(known, key=lambda each: each.id)
        return cls(patient_id, auto, [_item(each, base) for each in ordered])

    def add(self, item: Item) -> Item:
        self.items.append(item)
        return item

    def find(self, kind: str, business_key: str) -> Item | None:
        """The Item with this identifier. One that was adopted from an EMR which kept no key of ours
        is recognised here by the value alone."""
        value = identifier_value(business_key)
        item = next((each for each in self.items if each.kind == kind and each.value == value), None)
        if item is not None and not item.business_key:
            _recognise(item, business_key)
        return item

    def own(self, kind: str, **wanted: str) -> Iterator[Item]:
        """Items of this very Patient, oldest first, of one kind and with these field values."""
        for item in self.items:
            mine = item.kind == kind and not self.is_foreign(item)
            if mine and all(getattr(item, name) == value for name, value in wanted.items()):
                yield item

    def is_proposal(self, item: Item) -> bool:
        """An open plan or Goal that nobody has accepted yet. What the service itself made active
        (write mode auto) is no more than a proposal, either."""
        if item.is_open and item.status in _FIRST[item.kind]:
            return True
        known = item.known
        if not (self.auto and item.is_open) or known is None:
            return item.is_open and known is None
        return STATUS[item.kind] not in known.human and item.status == _wanted_status(known)

    def is_foreign(self, item: Item) -> bool:
        return item.known is not None and item.patient not in ("", f"Patient/{self.patient_id}")


def _recognise(item: Item, business_key: str) -> None:
    identity = read_key(business_key)
    item.business_key = business_key
    item.rule, item.code, item.subject = identity.rule, identity.code, identity.subject


def _item(known: Known, base: str) -> Item:
    item = Item(
        kind=known.kind,
        business_key=known.business_key,
        rule=known.rule,
        code=known.code,
        subject=known.subject,
        resource=standing(known),
        known=known,
    )
    key = item.business_key or key_in(known.resource, base)
    if not item.business_key and identifier_value(key) == known.value:
        _recognise(item, key)
    return item
