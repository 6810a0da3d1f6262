"""A practice that had its night, an EMR that notifies us, and the notifications that EMRs send."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from cm_service.db import connections, hints, sync
from cm_service.flow.hinted import follow
from tests.api.practice_world import OpenPractice
from tests.flow.night_world import out_of_range, patient

SECRET = "s3cret-of-the-clinic"
BEARER = {"Authorization": f"Bearer {SECRET}"}
TOPIC = "https://emr.example/SubscriptionTopic/encounter-end"
Json = dict[str, Any]
NURSE = {"resourceType": "Practitioner", "id": "nurse"}
PEOPLE = [patient("p1"), patient("p2"), *out_of_range("p3"), NURSE]


class Notified(OpenPractice):
    """`hints` are the keys that wait; `round` is one round of the thread of `serve`, without the thread."""

    def __init__(self, folder: Path, resources: list[Json] | None = None, **settings: Any) -> None:
        super().__init__(folder, resources, **settings)
        secret = folder / "notify-secret"
        secret.write_text(SECRET)
        self.set(notify_options={"secret": f"file:{secret}"})
        self.tools = self.doors.app.state.doorway.tools._replace(clock=lambda: self.doors.now)

    def set(self, slug: str = "clinic", **columns: Any) -> None:
        with self.doors.store.write() as connection:
            connections.update_emr(connection, slug, **columns)

    def send(self, body: Json | None = None, *, path: str = "", **more: Any) -> httpx.Response:
        headers = {"Content-Type": "application/fhir+json"} if body is not None else {}
        headers |= more.pop("headers", BEARER)
        method = more.pop("method", "POST")
        if body is not None:
            more["json"] = body
        return self.doors.http.request(method, f"/notifications/clinic{path}", headers=headers, **more)

    def shake(self, subscription: str = "s1", total: int = 0) -> None:
        answer = self.send(
            bundle(type_="handshake", total=total, subscription=subscription, status="requested")
        )
        assert answer.status_code == 200, answer.text

    def tell(self, *events: Json, **changes: Any) -> int:
        return self.send(bundle(*events, **changes)).status_code

    @property
    def hints(self) -> list[str]:
        far = self.doors.now + dt.timedelta(days=1)
        with self.doors.database.read() as connection:
            return [row.key for row in hints.due(connection, "clinic", now=far, most=1000)]

    @property
    def standing(self) -> Any:
        with self.doors.database.read() as connection:
            return hints.subscription(connection, "clinic", "s1")

    def later(self, **delta: float) -> None:
        self.doors.now += dt.timedelta(**delta)
        self.emr.clock = lambda: self.doors.now

    def round(self, **delta: float) -> Counter[str]:
        """What one round does, a little later."""
        self.later(**(delta or {"seconds": 61}))
        return follow(self.tools, self.doors.database, "clinic")

    def tasks(self) -> list[Json]:
        """All that the EMR holds."""
        return [version.resource for version in self.emr.live("Task") if version.resource]

    def runs(self) -> int:
        with self.doors.store.read() as connection:
            return len(sync.recent_runs(connection, "clinic", 100))


def event(number: Any = "1", focus: str | None = "Encounter/stay", **more: Any) -> Json:
    parts: list[Json] = [{"name": "event-number", "valueString": number}]
    if isinstance(number, int):
        parts = [{"name": "event-number", "valueInteger": number}]
    if focus is not None:
        parts.append({"name": "focus", "valueReference": {"reference": focus}})
    parts.append({"name": "timestamp", "valueInstant": more.get("at", "2026-11-20T20:00:00Z")})
    return {"name": "notification-event", "part": parts}


def bundle(
    *events: Json,
    type_: str = "event-notification",
    subscription: str = "s1",
    status: str = "active",
    total: Any = None,
    error: bool = False,
    entries: tuple[Json, ...] = (),
) -> Json:
    """As a server of Subscriptions R5 Backport for R4 sends it."""
    said = str(len(events)) if total is None else str(total)
    parameters: list[Json] = [
        {"name": "subscription", "valueReference": {"reference": f"Subscription/{subscription}"}},
        {"name": "topic", "valueCanonical": TOPIC},
        {"name": "status", "valueCode": status},
        {"name": "type", "valueCode": type_},
        {"name": "events-since-subscription-start", "valueString": said},
        *events,
    ]
    if error:
        parameters.append({"name": "error", "valueCodeableConcept": {"text": "no topic any more"}})
    first = {
        "resource": {"resourceType": "Parameters", "id": "status", "parameter": parameters},
        "request": {"method": "GET", "url": f"Subscription/{subscription}/$status"},
        "response": {"status": "200"},
    }
    return {"resourceType": "Bundle", "type": "history", "entry": [first, *entries]}


def codes(clinic: Notified, who: str) -> set[str]:
    """Of the Tasks that the EMR holds for this patient."""
    return {
        coding["code"]
        for task in clinic.tasks()
        if task["for"]["reference"] == f"Patient/{who}"
        for coding in task["code"]["coding"]
    }
