"""What people do in the foreign EMR, and what anybody can see there of what we wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx

BASE = "https://cm-service.example"  # the identifier base of an installation that was told no other
WORDS = {"CarePlan": "plan", "Goal": "goal", "Task": "task"}
Json = dict[str, Any]


class Clinic:
    """Plain HTTP on the EMR's base URL, without any of our own client."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.http = httpx.Client(base_url=base_url, timeout=60)

    def read(self, reference: str) -> Json:
        found: Json = self.http.get(f"/{reference}").raise_for_status().json()
        return found

    def edit(self, resource: Json, **elements: Any) -> Json:
        """A new version of the resource, with these elements changed and those given as None gone."""
        changed = {name: value for name, value in (resource | elements).items() if value is not None}
        path = f"/{resource['resourceType']}/{resource['id']}"
        saved: Json = self.http.put(path, json=changed).raise_for_status().json()
        return saved

    def delete(self, resource: Json) -> None:
        self.http.delete(f"/{resource['resourceType']}/{resource['id']}").raise_for_status()

    def everything(self, kind: str, **params: str) -> list[Json]:
        return list(self._pages(f"{self.base_url}/{kind}", {"_count": "500", **params}))

    def _pages(self, url: str, params: dict[str, str]) -> Iterator[Json]:
        while url:
            page = self.http.get(url, params=params or None).raise_for_status().json()
            yield from (entry["resource"] for entry in page.get("entry", ()))
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
            params = {}

    def ours(self, kind: str, patient: str) -> list[Json]:
        """What is ours of one patient; of Tasks, plans and Goals of others nothing."""
        return [each for each in self.everything(kind, patient=patient) if is_ours(each)]

    def task(self, patient: str, code: str) -> Json:
        found = [each for each in self.ours("Task", patient) if code_of(each) == code]
        assert len(found) == 1, [code_of(each) for each in found]
        return found[0]

    def goal(self, patient: str) -> Json:
        (goal,) = self.ours("Goal", patient)
        return goal

    def result(self, patient: str) -> Json:
        """The patient's newest HbA1c."""
        found = self.everything("Observation", patient=patient, code="4548-4,59261-8")
        return max(found, key=lambda each: str(each["effectiveDateTime"]))

    def find(self, kind: str, identifier: str) -> list[Json]:
        return self.everything(kind, identifier=identifier)


def is_ours(resource: Json) -> bool:
    return any(each.get("system", "").startswith(f"{BASE}/id/") for each in resource.get("identifier", ()))


def code_of(task: Json) -> str:
    return str(task["code"]["coding"][0]["code"])


def quantity(value: float) -> Json:
    return {"value": value, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
