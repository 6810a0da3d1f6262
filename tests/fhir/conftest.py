from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fhir.scripted import ScriptedEmr, scripted_emr


@pytest.fixture
def emr() -> Iterator[ScriptedEmr]:
    with scripted_emr() as running:
        yield running
