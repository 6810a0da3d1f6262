"""Every id of one EMR at every operation of the OpenAPI document, by the client of the other EMR.

Ids stand in path, query and body, crossed with the client's own. No answer may show what only the other
EMR has, and the audit holds each access to a patient, no more and no less.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from cm_service.db import doors
from tests.api.door_world import NOW
from tests.api.two_emrs_world import CONTACT, EMRS, TwoEmrs, secret, two_emrs
from tests.flow.night_world import out_of_range

SEED, MOST = 20261120, 40  # requests of one operation by one client
Json = dict[str, Any]
Who = tuple[str | None, str | None]
CONSENT = {"decision": "agree", "form": "verbal", "text_version": "1", "at": NOW.isoformat()}
BUNDLE = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in out_of_range()]}
# Last word of the path -> a body; a word in brackets is filled with an id of that name.
BODIES: dict[str, Json] = {
    "{emr}": {"practice": "Organization/o"},
    "acceptance": {"care_manager": "Practitioner/n"},
    "decline": {"reason": "said no", "days": 30},
    "snooze": {"until": "2026-12-24", "reason": "travels"},
    "referrals": {"reason": "needs help", "about": "Condition/{patient}-dm"},
    "consents": CONSENT,
    "goals": {"importance": 5, "confidence": 5, "goal": "{goal}"},
    "contacts": CONTACT | {"task": "{task}", "task_done": True},
    "completion": {"outcome": "done"},
    "owner": {"owner": "Practitioner/m"},
    "closure": {"reason": "moved"},
    "syncs": {"dry_run": True},
    "stop": {},
    "resolution": {"outcome": "not-written"},
    "evaluate": {"bundle": BUNDLE, "timezone": "America/Detroit"},
}


class Asked(NamedTuple):
    method: str
    path: str  # as the document has it
    values: Json


@pytest.fixture
def world(tmp_path: Path) -> Iterator[TwoEmrs]:
    with two_emrs(tmp_path) as world:
        yield world


def operations(world: TwoEmrs) -> Iterator[tuple[str, str, list[str]]]:
    """Method, path, and the names of the ids in path, query and body."""
    for path, methods in world.doors.app.openapi()["paths"].items():
        for method, described in methods.items():
            if path.startswith("/v1"):
                names = {each["name"] for each in described.get("parameters", []) if each["in"] != "header"}
                body = str(BODIES[path.rpartition("/")[2]]) if "requestBody" in described else ""
                known = world.ids["alpha"]
                yield method, path, sorted(name for name in known if name in names or f"{{{name}}}" in body)


def crossed(world: TwoEmrs, names: list[str], chance: random.Random) -> list[Json]:
    """Each id of either EMR with each of the others, as many as there is time for."""
    choices = [[value for slug in EMRS for value in dict.fromkeys(world.ids[slug][name])] for name in names]
    every = [dict(zip(names, values, strict=True)) for values in itertools.product(*choices)]
    return every if len(every) <= MOST else chance.sample(every, MOST)


def ask(world: TwoEmrs, who: str, asked: Asked) -> httpx.Response:
    in_path = {name: asked.values[name] for name in asked.values if f"{{{name}}}" in asked.path}
    body = BODIES.get(asked.path.rpartition("/")[2]) if asked.method in ("post", "patch") else None
    rest = {name: value for name, value in asked.values.items() if name not in in_path}
    query = {} if body is not None else rest
    more = {} if body is None else {"json": _filled(body, asked.values)}
    return world.call(who, asked.method.upper(), asked.path.format(**in_path), params=query, **more)


def _filled(body: Json, values: Json) -> Json:
    """`{goal}` alone becomes the number; within other words its text."""
    whole = {f"{{{name}}}": value for name, value in values.items()}
    return {
        name: whole[value] if value in list(whole) else _text(value, values) for name, value in body.items()
    }


def _text(value: Any, values: Json) -> Any:
    return value.replace("{patient}", str(values.get("patient"))) if isinstance(value, str) else value


def accessed(world: TwoEmrs, asked: Asked, answer: httpx.Response) -> set[Who]:
    """The patients whom a good answer is about."""
    emr, values = asked.values.get("emr"), asked.values
    if answer.status_code >= 400 or asked.path.endswith("/evaluate"):
        return set()
    if "patient" in values:
        return {(emr, values["patient"])}
    if "act" in values:
        return {world.acts[values["act"]]}
    body = answer.json()
    rows = body.get("items", [body])
    return {(row.get("emr", emr), row["patient"]) for row in rows if "patient" in row}


def test_no_id_of_one_emr_shows_anything_to_the_client_of_the_other(world: TwoEmrs) -> None:
    chance, statuses, leaks = random.Random(SEED), Counter[int](), []
    expected: dict[str, set[Who]] = {}
    shown = Counter[str]()
    for method, path, names in operations(world):
        for who, other in (EMRS, EMRS[::-1]):
            for values in crossed(world, names, chance):
                if path.endswith("/syncs") and method == "post" and values["emr"] == who:
                    continue  # a night of its own is no question of ids
                asked = Asked(method, path, values)
                answer = ask(world, who, asked)
                statuses[answer.status_code] += 1
                shown[who] += secret(who) in answer.text
                if secret(other) in answer.text:
                    leaks.append((who, asked))
                if values.get("emr") == other and "{emr}" in path:
                    assert answer.status_code == 404, (who, asked, answer.text)
                expected[answer.headers["X-Request-Id"]] = accessed(world, asked, answer)
    print(f"{sum(statuses.values())} requests: {dict(statuses)}; own markers shown: {dict(shown)}")
    assert leaks == []
    assert 500 not in statuses and min(shown[slug] for slug in EMRS) > 10, (statuses, shown)
    assert audited(world, expected) == expected
    assert sum(map(len, expected.values())) > 100


def audited(world: TwoEmrs, asked: dict[str, set[Who]]) -> dict[str, set[Who]]:
    """Patients by request, of the lines that say that something was shown or done."""
    found: dict[str, set[Who]] = {request_id: set() for request_id in asked}
    with world.doors.database.read() as connection:
        lines = doors.audited(connection, limit=10**6)
    for line in lines:
        if line.request_id in found and line.outcome < 400 and line.patient_id is not None:
            assert (line.emr, line.patient_id) not in found[line.request_id], "twice in the audit"
            found[line.request_id].add((line.emr, line.patient_id))
    assert set(asked) <= {line.request_id for line in lines}, "a request without a line"
    return found
