"""What an EMR says of itself, read without trusting its shape."""

from __future__ import annotations

from typing import Any

import pytest

from cm_service.errors import NotFhir
from cm_service.fhir.capability import Capability, read_capability
from tests.fhir.builders import ask
from tests.fhir.scripted import ScriptedEmr, as_json

STATEMENT: dict[str, Any] = {
    "resourceType": "CapabilityStatement",
    "fhirVersion": "4.0.1",
    "software": {"name": "Some EMR"},
    "rest": [
        {"mode": "client", "resource": [{"type": "Goal"}]},
        {
            "mode": "server",
            "interaction": [{"code": "transaction"}],
            "searchParam": [{"name": "_id"}],
            "resource": [
                {
                    "type": "Task",
                    "interaction": [{"code": "create"}, {"code": "search-type"}],
                    "searchParam": [{"name": "identifier"}],
                    "conditionalCreate": True,
                    "versioning": "versioned-update",
                },
                {"type": "Goal", "conditionalCreate": "yes", "interaction": None},
            ],
        },
    ],
}


def test_the_declaration_of_the_server_side_is_read(emr: ScriptedEmr) -> None:
    emr.on("GET metadata", as_json(STATEMENT))
    said = ask(emr, lambda client: client.capability())
    assert (said.fhir_version, said.software, said.interactions) == ("4.0.1", "Some EMR", {"transaction"})
    task = said.of("Task")
    assert task.interactions == {"create", "search-type"}
    assert task.search_params == {"identifier", "_id"}
    assert task.conditional_create and said.conditional_create("Task")
    assert (task.versioning, task.update_create) == ("versioned-update", False)


def test_only_a_true_counts_as_declared() -> None:
    assert not read_capability(STATEMENT).conditional_create("Goal")


def test_a_type_that_is_not_named_has_nothing() -> None:
    assert read_capability(STATEMENT).of("CarePlan").interactions == frozenset()


@pytest.mark.parametrize("rest", [None, [], {}, [None], [{"mode": "server", "resource": "x"}], [{"mode": 3}]])
def test_a_statement_of_another_shape_says_nothing(rest: Any) -> None:
    assert read_capability({"fhirVersion": 4, "software": "x", "rest": rest}) == Capability()


def test_another_resource_at_metadata_is_no_fhir_server(emr: ScriptedEmr) -> None:
    emr.on("GET metadata", as_json({"resourceType": "Conformance"}))
    with pytest.raises(NotFhir, match="no CapabilityStatement"):
        ask(emr, lambda client: client.capability(), attempts=1)
