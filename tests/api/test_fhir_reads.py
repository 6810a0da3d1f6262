"""What we hold, read as FHIR."""

from __future__ import annotations

from pathlib import Path

from fhir.resources.R4B import get_fhir_model_class

from tests.api.practice_world import OpenPractice


def test_our_resources_and_the_audit_are_valid_fhir(tmp_path: Path) -> None:
    practice = OpenPractice(tmp_path)
    practice.act("acceptance", {"care_manager": "Practitioner/n"})
    found = {}
    for kind in ("CarePlan", "Goal", "Task", "AuditEvent"):
        answer = practice.call("GET", f"/v1/emrs/clinic/fhir/{kind}", params={"patient": "p1"})
        assert answer.headers["content-type"] == "application/fhir+json", answer.text
        found[kind] = [entry["resource"] for entry in answer.json()["entry"]]
        for resource in found[kind]:
            get_fhir_model_class(kind)(**resource)
    assert {task["status"] for task in found["Task"]} == {"requested"}, "what the EMR holds until it is sent"
    actions = {event["subtype"][0]["code"] for event in found["AuditEvent"]}
    assert {"accept", "fhir_task"} <= actions
