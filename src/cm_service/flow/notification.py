"""What a notification says: FHIR R4 rest-hook (a resource, or nothing) and Subscriptions R5 Backport for R4
(a Bundle that begins with its status). It is a hint and nothing more: only ids are taken from it, never
what a resource in it says; whoever it is about is read again from the EMR.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from cm_service.errors import BadInput
from cm_service.fhir.values import References, is_id

Json = dict[str, Any]
HANDSHAKE, HEARTBEAT, EVENT = "handshake", "heartbeat", "event-notification"
TYPES = frozenset({HANDSHAKE, HEARTBEAT, EVENT, "query-status", "query-event"})
MOST_EVENTS = 1000  # in one Bundle
_BUNDLES = frozenset({"history", "subscription-notification", "collection", "searchset"})


class Event(NamedTuple):
    """`focus` is Type/id, "" where the EMR names nothing, None where it names what is not this EMR's."""

    number: int
    focus: str | None
    digest: str


class Notification(NamedTuple):
    """`total` is how many events the EMR says there were since the subscription began (None: not said);
    `error` whether it says that something is wrong."""

    subscription: str
    type: str
    status: str
    total: int | None
    error: bool
    events: tuple[Event, ...]


def focus_of(resource: Json) -> str | None:
    """Type/id of a resource that was sent as a whole."""
    return key_of(resource.get("resourceType"), resource.get("id"))


def key_of(kind: Any, id_: Any) -> str | None:
    if isinstance(kind, str) and kind.isascii() and kind.isalpha() and isinstance(id_, str) and is_id(id_):
        return f"{kind}/{id_}"
    return None


def parse(bundle: Json, references: References) -> Notification:
    """Raises BadInput, without what was sent. `entry.request` is not looked at: some servers leave it out
    where bdl-3 wants it."""
    if bundle.get("type") not in _BUNDLES:
        raise BadInput("this Bundle is no notification")
    entries = [entry for entry in _list(bundle.get("entry")) if isinstance(entry, dict)]
    status = entries[0].get("resource") if entries else None
    if not isinstance(status, dict):
        raise BadInput("a notification begins with its status")
    if status.get("resourceType") == "Parameters":
        status = _from_parameters(status)
    elif status.get("resourceType") != "SubscriptionStatus":
        raise BadInput("a notification begins with Parameters or a SubscriptionStatus")
    return _read(status, references)


def _read(status: Json, references: References) -> Notification:
    kind = status.get("type")
    key = references.key(_reference(status.get("subscription")))
    if kind not in TYPES:
        raise BadInput("this type of notification is not known here")
    if key is None or not key.startswith("Subscription/"):
        raise BadInput("the notification names no Subscription of this EMR")
    events = [event for event in _list(status.get("notificationEvent")) if isinstance(event, dict)]
    if len(events) > MOST_EVENTS:
        raise BadInput(f"more than {MOST_EVENTS} events in one notification")
    return Notification(
        subscription=key.partition("/")[2],
        type=kind,
        status=str(status.get("status") or "")[:20],
        total=_number(status.get("eventsSinceSubscriptionStart")),
        error=bool(status.get("error")),
        events=tuple(_event(event, references) for event in events),
    )


def _event(event: Json, references: References) -> Event:
    number = _number(event.get("eventNumber"))
    if number is None:
        raise BadInput("an event has no number")
    said = _reference(event.get("focus"))
    focus: str | None = "" if said is None else references.key(said)
    text = f"{number}|{said}|{event.get('timestamp')}"
    return Event(number, focus, blake2b(text.encode(), digest_size=8).hexdigest())


def _from_parameters(parameters: Json) -> Json:
    """As a SubscriptionStatus: the R4 shape has parts for elements."""
    status: Json = {}
    for name, value, part in _parts(parameters.get("parameter")):
        if name == "notification-event":
            one = {_camel(inner): said for inner, said, _ in _parts(part)}
            status.setdefault("notificationEvent", []).append(one)
        else:
            status.setdefault(_camel(name), value)
    return status


def _parts(parts: Any) -> Iterator[tuple[str, Any, Any]]:
    for part in _list(parts):
        if isinstance(part, dict) and isinstance(part.get("name"), str):
            values = [value for name, value in part.items() if name.startswith("value")]
            yield part["name"], values[0] if values else None, part.get("part")


def _camel(name: str) -> str:
    first, *others = name.split("-")
    return first + "".join(map(str.capitalize, others))


def _reference(value: Any) -> str | None:
    text = value.get("reference") if isinstance(value, dict) else None
    return text if isinstance(text, str) else None


def _number(value: Any) -> int | None:
    """The profile says string; some send an integer."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
