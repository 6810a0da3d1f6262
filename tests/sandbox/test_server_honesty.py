"""The server does what /metadata says, and nothing else."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

import httpx
import pytest

from cm_service.errors import BadInput, Misconfigured
from cm_service.sandbox.parameters import PARAMETERS
from cm_service.sandbox.personality import GENEROUS, Declared, Interaction, personality_named
from cm_service.sandbox.server import running, serve
from cm_service.sandbox.store import Store
from tests.sandbox.builders import RunningEmr, bundle, entry, patient, task

READ_ONLY = dataclasses.replace(
    GENEROUS,
    name="read-only",
    types=MappingProxyType(
        {
            "Patient": Declared(
                interactions=frozenset({Interaction.READ, Interaction.SEARCH}),
                parameters={"_id": PARAMETERS["Patient"]["_id"]},
            ),
            "Task": Declared(
                interactions=frozenset({Interaction.READ, Interaction.UPDATE, Interaction.CREATE}),
                parameters={},
            ),
        }
    ),
    system=frozenset(),
)


def test_metadata_is_a_capability_statement_of_fhir_r4(emr: RunningEmr) -> None:
    statement = emr.http.get("metadata").json()
    assert (statement["resourceType"], statement["fhirVersion"]) == ("CapabilityStatement", "4.0.1")
    assert statement["implementation"]["url"] == emr.base
    rest = statement["rest"][0]
    assert {part["code"] for part in rest["interaction"]} == {"transaction", "batch"}
    task_row = next(row for row in rest["resource"] if row["type"] == "Task")
    assert {part["code"] for part in task_row["interaction"]} == {str(code) for code in Interaction}
    assert (task_row["conditionalCreate"], task_row["updateCreate"]) == (True, True)
    assert (task_row["conditionalUpdate"], task_row["conditionalDelete"]) == (False, "not-supported")


def test_every_declared_search_parameter_is_really_understood(emr: RunningEmr) -> None:
    values = {"date": "ge2020", "token": "x", "uri": "x", "reference": "Patient/p1", "string": "x"}
    tried = 0
    for row in emr.http.get("metadata").json()["rest"][0]["resource"]:
        for parameter in row["searchParam"]:
            value = "x" if parameter["name"] == "patient" else values[parameter["type"]]
            url = f"{row['type']}?{parameter['name']}={value}"
            answer = emr.http.get(url, headers={"Prefer": "handling=strict"})
            assert answer.status_code == 200, url
            assert f"{parameter['name']}=" in answer.json()["link"][0]["url"], url
            tried += 1
    assert tried > 150


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("GET", "Nonsense", 404),
        ("GET", "Nonsense/1", 404),
        ("POST", "Nonsense", 404),
        ("GET", "ValueSet", 404),
        ("GET", "Patient/p1/Observation", 404),
        ("GET", "Patient/p1/$everything", 404),
        ("POST", "Task/$validate", 404),
        ("GET", "$reindex", 404),
        ("GET", "_history", 404),
        ("GET", "Nonsense/_history", 404),
        ("GET", "", 400),
        ("PUT", "Task?identifier=x", 405),
        ("DELETE", "Task?identifier=x", 405),
        ("PATCH", "Task/1", 405),
        ("PUT", "metadata", 405),
        ("HEAD", "Patient/p1", 405),
        ("POST", "Patient/p1", 405),
    ],
)
def test_what_is_not_declared_is_refused(emr: RunningEmr, method: str, url: str, status: int) -> None:
    body = task() if method in ("POST", "PUT") else None
    refused = emr.http.request(method, url, json=body)
    assert refused.status_code == status
    if method != "HEAD":
        assert refused.json()["resourceType"] == "OperationOutcome"
    if status == 405:
        assert refused.headers["Allow"]
        assert method not in refused.headers["Allow"].split(", ")


def test_a_personality_that_declares_less_does_less_and_says_so() -> None:
    store = Store()
    store.load([patient("p1"), task(id="t")])
    with running(store, personality=READ_ONLY) as base, httpx.Client(base_url=base) as http:
        rows = {row["type"]: row for row in http.get("metadata").json()["rest"][0]["resource"]}
        assert sorted(rows) == ["Patient", "Task"]
        assert [part["code"] for part in rows["Patient"]["interaction"]] == ["read", "search-type"]
        assert http.get("Patient/p1").status_code == 200
        assert http.get("Patient?_id=p1").json()["total"] == 1
        assert http.get("Patient?name=x", headers={"Prefer": "handling=strict"}).status_code == 400
        assert http.post("Patient", json=patient("p3")).headers["Allow"] == "GET"
        assert http.get("Task").status_code == 405
        assert http.put("Task/new", json=task(id="new")).status_code == 404
        assert http.put("Task/t", json=task(id="t")).status_code == 200
        assert http.post("Task", json=task(), headers={"If-None-Exist": "_id=t"}).status_code == 400
        assert http.get("Goal").status_code == 404
        assert http.post("", json=bundle("transaction", entry("POST", "Task", task()))).status_code == 400


def test_an_unknown_personality_is_named_as_such() -> None:
    assert personality_named("generous") is GENEROUS
    with pytest.raises(BadInput, match="generous"):
        personality_named("grumpy")


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with running(Store()) as base, pytest.raises(Misconfigured, match="port"):
        serve(Store(), port=httpx.URL(base).port or 0)


def test_the_server_is_gone_after_its_block() -> None:
    with running(Store()) as base:
        assert httpx.get(f"{base}/metadata").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{base}/metadata")
