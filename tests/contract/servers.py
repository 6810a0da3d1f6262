"""One set of tests, two servers: the sandbox as `hapi`, and a HAPI that nobody here wrote.

Where the two differed, the sandbox learned it. What only one of them declares is listed with its reason in
test_declared.py. Left out as well, since nothing that is declared says what is right:

- An If-Match that is no version tag, and a reference to a type that is none: the foreign server falls
  over (500), the sandbox says 400.
- A reference to a type that has no place there, a contained resource that is missing, dates that are
  none: validation, which the sandbox has only as far as our own resources need it.
- Search values that mean nothing (`identifier=a|b|c`, `_lastUpdated=gtrubbish`, `_count=-1`): the foreign
  server finds nothing or leaves the filter out, the sandbox says 400, so that a mistake of ours is seen.
- A conditional reference that finds nothing: the foreign server invents a target for it, the sandbox says
  412, so that a mistake of ours is seen.
- meta.source, which the foreign server adds to what is read and not to what a create answers.
- The results of a search that are used again: switched off there, avoided here by `no-cache`.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx

SYSTEM = "https://cm-service.example/id/task"
FHIR = "application/fhir+json"
Json = dict[str, Any]


class Server:
    """Plain HTTP, none of our own client. `patient` is somebody of this test's own."""

    def __init__(self, http: httpx.Client) -> None:
        self.http, self.base = http, str(http.base_url).rstrip("/")
        self.patient = f"p-{uuid4().hex}"
        self.put({"resourceType": "Patient", "id": self.patient}).raise_for_status()

    def post(self, resource: Json, **headers: str) -> httpx.Response:
        path = "" if resource["resourceType"] == "Bundle" else f"/{resource['resourceType']}"
        return self.http.post(path, json=resource, headers=_named(headers))

    def put(self, resource: Json, **headers: str) -> httpx.Response:
        path = f"/{resource['resourceType']}/{resource['id']}"
        return self.http.put(path, json=resource, headers=_named(headers))

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers={"Cache-Control": "no-cache", **_named(headers)})

    def delete(self, path: str, **headers: str) -> httpx.Response:
        return self.http.delete(path, headers=_named(headers))

    def made(self, **elements: Any) -> httpx.Response:
        """A new Task of the patient."""
        answer = self.post(self.task(**elements))
        assert answer.status_code == 201, answer.text
        return answer

    def task(self, **elements: Any) -> Json:
        """Its identifier is new each time; an element given as None is not there."""
        whole = {
            "resourceType": "Task",
            "identifier": [{"system": SYSTEM, "value": uuid4().hex}],
            "status": "requested",
            "intent": "order",
            "description": "Call by 2026-11-27",
            "for": {"reference": f"Patient/{self.patient}"},
        } | elements
        return {name: value for name, value in whole.items() if value is not None}

    def found(self, query: str) -> list[str]:
        """Ids on the first page, in no order."""
        answer = self.get(query)
        assert answer.status_code == 200, answer.text
        return sorted(entry["resource"]["id"] for entry in answer.json().get("entry", ()))


def token(resource: Json) -> str:
    return f"{SYSTEM}|{resource['identifier'][0]['value']}"


def condition(resource: Json) -> dict[str, str]:
    """The header of a conditional create, as Server's methods take it."""
    return {"If_None_Exist": f"identifier={token(resource)}"}


def content(resource: Json) -> Json:
    """Without what a server sets."""
    return {name: value for name, value in resource.items() if name not in ("id", "meta")}


def refused(answer: httpx.Response, status: int) -> None:
    """With this status, and with an OperationOutcome that says something."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].replace(" ", "").lower() == f"{FHIR};charset=utf-8"
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert {issue["severity"] for issue in outcome["issue"]} == {"error"}
    assert all(issue["code"] and issue["diagnostics"] for issue in outcome["issue"])


def link(page: Json, relation: str) -> str:
    return next((each["url"] for each in page["link"] if each["relation"] == relation), "")


def entry(method: str, url: str, resource: Json | None = None, *, full_url: str = "", **more: str) -> Json:
    made: Json = {"request": {"method": method, "url": url, **more}}
    return made | ({"resource": resource} if resource else {}) | ({"fullUrl": full_url} if full_url else {})


def bundle(kind: str, *entries: Json) -> Json:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {"Content-Type": FHIR} | {name.replace("_", "-"): value for name, value in headers.items()}
