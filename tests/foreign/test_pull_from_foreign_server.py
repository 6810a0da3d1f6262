"""The pull and the client against a FHIR server that nobody here wrote."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from cm_service.errors import EmrRefused, WriteConflict
from cm_service.fhir.client import FhirClient
from cm_service.fhir.credentials import NoCredentials
from cm_service.fhir.http import EmrHttp
from cm_service.flow.landing import PullReport
from cm_service.flow.pull import Source, pull
from tests.real import loading

pytestmark = pytest.mark.foreign_emr

T = TypeVar("T")
SYSTEM = "https://cm-service.example/id/task"
PATIENT = {"reference": "Patient/pull-p"}


def ask(base: str, question: Callable[[FhirClient], Awaitable[T]]) -> T:
    async def run() -> T:
        async with EmrHttp(base, NoCredentials()) as http:
            return await question(FhirClient(http))

    return asyncio.run(run())


def observation(id: str, **changed: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": id, "status": "final", "subject": PATIENT} | changed


def coded(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


def procedure(number: int, code: str) -> dict[str, Any]:
    concept = {"coding": [{"system": "http://snomed.info/sct", "code": code}]}
    head = {"resourceType": "Procedure", "id": f"pull-proc-{number}", "status": "completed"}
    return head | {"subject": PATIENT, "code": concept}


@pytest.fixture(scope="module")
def landed(foreign_emr: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[PullReport, Path]:
    """A pull of a server that holds what this module needs."""
    place = {"location": {"reference": "Location/pull-l"}}
    loading.load(
        foreign_emr,
        [
            {"resourceType": "Patient", "id": "pull-p"},
            {"resourceType": "Location", "id": "pull-l", "name": "Ward"},
            {"resourceType": "Location", "id": "pull-unused"},
            {
                "resourceType": "Encounter",
                "id": "pull-e",
                "status": "finished",
                "class": {"code": "IMP"},
                "subject": PATIENT,
                "location": [place],
            },
            observation("pull-o1", code=coded("4548-4"), valueQuantity={"value": 9.1, "unit": "%"}),
            observation("pull-o2", code=coded("55399-0"), component=[{"code": coded("4548-4")}]),
            observation("pull-o3", code=coded("4548-4"), status="entered-in-error"),
            observation("pull-o4", code=coded("2345-7")),
            procedure(1, "385763009"),
            procedure(2, "80146002"),
            *({"resourceType": "Condition", "id": f"pull-c{n}", "subject": PATIENT} for n in range(450)),
        ],
    )
    folder = tmp_path_factory.mktemp("landing") / "run"
    report = ask(foreign_emr, lambda c: pull(c, Source("foreign"), folder, progress=lambda _: None))
    return report, folder


def ids(folder: Path, type_: str) -> set[str]:
    lines = (folder / f"{type_}.ndjson").read_bytes().splitlines()
    return {name for line in lines if (name := json.loads(line)["id"]).startswith("pull-")}


def test_every_type_is_read_to_its_last_page(landed: tuple[PullReport, Path]) -> None:
    report, folder = landed
    assert report.complete, {name: item.reason for name, item in report.types.items() if item.reason}
    assert len(ids(folder, "Condition")) == 450
    assert report.types["Condition"].pages >= 3


def test_results_are_found_by_code_and_by_component_whatever_their_status(
    landed: tuple[PullReport, Path],
) -> None:
    report, folder = landed
    assert ids(folder, "Observation") == {"pull-o1", "pull-o2", "pull-o3"}
    assert report.types["Observation"].notes == []


def test_a_long_list_of_codes_is_taken_and_filters(landed: tuple[PullReport, Path]) -> None:
    report, folder = landed
    assert ids(folder, "Procedure") == {"pull-proc-1"}
    assert report.types["Procedure"].notes == []


def test_only_places_that_something_refers_to_are_read(landed: tuple[PullReport, Path]) -> None:
    assert ids(landed[1], "Location") == {"pull-l"}


def test_an_unknown_parameter_is_refused_in_strict_handling(foreign_emr: str) -> None:
    async def search(client: FhirClient) -> None:
        async for _ in client.search("Observation", [("bogus", "1")]):
            pass

    with pytest.raises(EmrRefused) as caught:
        ask(foreign_emr, search)
    assert caught.value.status == 400
    assert "bogus" in caught.value.outcome


def test_a_task_is_created_once_found_updated_and_guarded(foreign_emr: str) -> None:
    value = uuid4().hex
    wanted = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "identifier": [{"system": SYSTEM, "value": value}],
    }

    async def life(client: FhirClient) -> None:
        condition = f"identifier={SYSTEM}|{value}"
        created = await client.create(wanted, if_none_exist=condition)
        again = await client.create(wanted, if_none_exist=condition)
        assert (created.status, again.status, again.id) == (201, 200, created.id)
        (found,) = await client.find_by_identifier("Task", SYSTEM, value)
        assert found["id"] == created.id
        updated = await client.update(found | {"status": "cancelled"}, if_match=created.etag)
        assert updated.version != created.version
        with pytest.raises(WriteConflict):
            await client.update(found | {"status": "completed"}, if_match=created.etag)
        assert (await client.read("Task", created.id))["status"] == "cancelled"

    ask(foreign_emr, life)


def test_its_declaration_is_read(foreign_emr: str) -> None:
    said = ask(foreign_emr, lambda client: client.capability())
    assert said.fhir_version.startswith("4.0")
    assert said.conditional_create("Task")
    assert {"combo-code", "component-code"} <= said.of("Observation").search_params
