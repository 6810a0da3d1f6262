"""What one resource on a limited rung carries of ours, and how it is recognised again."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cm_service.flow import ours
from cm_service.flow.ours import Json
from cm_service.flow.plans.board import is_retracted
from cm_service.flow.rungs.wording import Page, Previous, page_of, plain, text_of, values_told, version_in


class Copy(NamedTuple):
    """One version of one thing of ours. `wanted` is the Task, CarePlan or Goal with the references that
    the EMR knows; `goals` travel inside their plan; `why` are the texts of the plan's Tasks;
    `at` is an instant in the practice's zone; `draft`: nobody has accepted it (write mode propose)."""

    system: str
    value: str
    base: str
    wanted: Json
    at: str
    goals: Sequence[Json] = ()
    why: Sequence[str] = ()
    number: int = 1
    previous: Previous | None = None
    encounter: str | None = None
    draft: bool = True

    @property
    def patient(self) -> Json:
        return {"reference": patient_of(self.wanted)}

    @property
    def page(self) -> Page:
        return page_of(self.wanted, goals=self.goals, why=self.why)

    @property
    def ended(self) -> bool:
        return ours.is_closed(self.wanted)

    @property
    def retracted(self) -> bool:
        """By the service; what a person ended stays on record as it ended."""
        return is_retracted(self.wanted["resourceType"], self.wanted)

    @property
    def identifiers(self) -> list[Json]:
        """Ours, and those of the goals inside, so that anyone can find and count what we wrote."""
        mine = {"system": self.system, "value": self.value}
        inside = [identifier for goal in self.goals for identifier in (goal.get("identifier") or [])[:1]]
        return [mine, *({"system": each["system"], "value": each["value"]} for each in inside)]

    @property
    def device(self) -> Json:
        """The service itself: logical, since no EMR holds it."""
        named = {"system": f"{self.base}/id/device", "value": "cm-service"}
        return {"type": "Device", "identifier": named, "display": "cm-service"}

    def text(self, limit: int | None = None) -> str:
        """Raises InvalidResource where the heading does not fit."""
        said = {"system": self.system, "value": self.value, "number": self.number}
        return text_of(self.page, previous=self.previous, limit=limit, **said)  # type: ignore[arg-type]


def patient_of(wanted: Json) -> str:
    """`Patient/id` of whom a thing of ours is about."""
    person = wanted.get("for") or wanted.get("subject") or wanted.get("patient") or {}
    return str(person.get("reference", ""))


def version_of(resource: Json, system: str, value: str) -> int | None:
    """Which version of this thing of ours a resource of the EMR is, None if it is none. The visible line
    tells; where the EMR shows no text, our identifier means the first."""
    for text in texts(resource):
        number = version_in(text, system, value)
        if number is not None:
            return number
    if not any(True for _ in texts(resource)) and _has_identifier(resource, system, value):
        return 1
    return None


def values_in(resource: Json, base: str) -> set[str]:
    """The identifier values of all things of ours in a resource, by the visible lines and by identifiers."""
    held: Any = resource.get("identifier") or []
    listed = held if isinstance(held, list) else [held]
    mine = {str(one.get("value")) for one in listed if str(one.get("system")).startswith(f"{base}/id/")}
    return mine.union(*(values_told(text, base) for text in texts(resource)))


def texts(resource: Json) -> Iterator[str]:
    """Every text that a person can read in a note, a form or a message."""
    for content in resource.get("content") or ():
        yield from _decoded(content.get("attachment") or {})
    for payload in resource.get("payload") or ():
        if isinstance(payload.get("contentString"), str):
            yield payload["contentString"]
    div = (resource.get("text") or {}).get("div") if resource.get("resourceType") == "MeasureReport" else None
    if isinstance(div, str):
        yield plain(div)
    for item in resource.get("item") or ():
        for answer in item.get("answer") or ():
            if isinstance(answer.get("valueString"), str):
                yield answer["valueString"]


def text_in(resource: Json) -> str:
    return "\n".join(texts(resource))


def _decoded(attachment: Json) -> Iterator[str]:
    data = attachment.get("data")
    if isinstance(data, str):
        try:
            yield base64.b64decode(data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return  # a picture or a PDF of somebody else


def _has_identifier(resource: Json, system: str, value: str) -> bool:
    held: Any = resource.get("identifier") or []
    listed = held if isinstance(held, list) else [held]
    return any(one.get("system") == system and one.get("value") == value for one in listed)
