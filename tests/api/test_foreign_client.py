"""An OAuth client that nobody here wrote, at our token endpoint, registered as people register one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.api.door_world import Machine
from tests.api.practice_world import OpenPractice
from tests.api.served import serving
from tests.real.command import Home
from tests.real.oauth_client import Json, asks

PATH = "/v1/emrs/clinic/patients/p1/decisions"


class Service(NamedTuple):
    base: str
    folder: Path
    practice: OpenPractice

    def register(self, algorithm: str = "ES384") -> Machine:
        """By `clients add`, with a key set in a file."""
        machine = Machine("integrator", algorithm=algorithm)
        keys = self.folder / "integrator.jwks.json"
        keys.write_text(json.dumps(machine.jwks))
        about = ["--name", "integrator", "--scope", "system/*.rs", "--emr", "clinic", "--json"]
        said = Home(self.folder).run("clients", "add", "--jwks-file", str(keys), *about)
        assert said.exit == 0, said.stderr
        machine.id = said.answer["client_id"]
        return machine

    def asked(self, machine: Machine, **more: Any) -> Json:
        return asks(self.base, machine, PATH, folder=self.folder, **more)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("foreign-client")
    practice = OpenPractice(folder, identifier_base="https://cm-service.example")
    with serving(folder) as base:
        yield Service(base, folder, practice)


@pytest.fixture(scope="module")
def machine(service: Service) -> Machine:
    return service.register()


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_it_finds_the_endpoint_gets_a_token_and_reads_decisions(service: Service, algorithm: str) -> None:
    machine = service.register(algorithm)
    said = service.asked(machine)
    assert said.get("status") == 200, said
    assert said["token"]["token_type"] == "bearer" and 0 < said["token"]["expires_in"] <= 300
    assert said["token"]["scope"] == "system/*.rs"
    assert "A1C-OUT" in {each["rule"] for each in said["body"]["items"]}
    last = service.practice.doors.audit()[0]
    assert (last.who, last.emr, last.patient_id, last.outcome) == (machine.id, "clinic", "p1", 200)


@pytest.mark.parametrize(
    "spoiled",
    [
        {"smart": False},  # its own defaults: no `typ`
        {"aud": "https://else.example/auth/token"},
        {"aud": ["https://else.example/auth/token"]},
        {"iss": "somebody-else"},
        {"exp": 1},
    ],
    ids=lambda spoiled: "-".join(spoiled),
)
def test_a_spoiled_assertion_of_it_is_refused(service: Service, machine: Machine, spoiled: Json) -> None:
    said = service.asked(machine, **spoiled)
    assert (said.get("error"), said["status"]) == ("invalid_client", 401), said


def test_an_assertion_under_another_key_is_refused(service: Service, machine: Machine) -> None:
    thief = Machine("thief")
    thief.id, thief.kid = machine.id, machine.kid
    said = service.asked(thief)
    assert (said.get("error"), said["status"]) == ("invalid_client", 401), said


def test_its_assertion_is_good_once(service: Service, machine: Machine) -> None:
    first, second = (service.asked(machine, jti="the same twice") for _ in range(2))
    assert (first["status"], second["status"]) == (200, 401), (first, second)
