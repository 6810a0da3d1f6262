"""No EMR is asked before the moment that it named, by reads and writes alike."""

from __future__ import annotations

import pytest

from cm_service.errors import EmrBusy, EmrUnreachable
from tests.fhir.builders import Waits, ask
from tests.fhir.scripted import Reply, ScriptedEmr

PATIENT = Reply(200, b'{"resourceType":"Patient","id":"p1"}')
TASK = {"resourceType": "Task", "status": "requested", "intent": "order"}


def test_a_wait_that_a_write_was_told_holds_the_reads_too(emr: ScriptedEmr) -> None:
    emr.on("POST Task", Reply(429, headers={"Retry-After": "7"}))
    emr.on("GET Patient/p1", PATIENT)
    waits = Waits()

    async def both(client: object) -> None:
        with pytest.raises(EmrBusy):
            await client.create(TASK)  # type: ignore[attr-defined]
        await client.read("Patient", "p1")  # type: ignore[attr-defined]

    ask(emr, both, waits=waits)
    assert waits.seconds == [7.0]


def test_an_hour_is_not_sat_out_and_nothing_more_is_sent(emr: ScriptedEmr) -> None:
    emr.on("GET Patient/p1", Reply(503, headers={"Retry-After": "3600"}), PATIENT)
    with pytest.raises(EmrUnreachable, match="left alone"):
        ask(emr, lambda client: client.read("Patient", "p1"))
    assert len(emr.requests) == 1
