"""CDS Hooks as an EMR calls them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cm_service.db import connections
from tests.api.chart_world import VIEW, Chart
from tests.api.door_world import BASE, NOW
from tests.api.practice_world import OpenPractice


@pytest.fixture
def chart(tmp_path: Path) -> Iterator[Chart]:
    yield Chart(OpenPractice(tmp_path))


def test_discovery_is_public_and_says_what_to_send_along(chart: Chart) -> None:
    services = chart.practice.doors.http.get("/cds-services").json()["services"]
    assert {each["hook"] for each in services} == {"patient-view", "encounter-discharge", "appointment-book"}
    assert services[0]["prefetch"]["patient"] == "Patient/{{context.patientId}}"


def test_a_candidate_is_shown_with_why_and_a_link_to_the_page(chart: Chart) -> None:
    answer = chart.call()
    assert answer.status_code == 200, answer.text
    (card,) = answer.json()["cards"]
    assert card["summary"].startswith("Candidate for care management: HbA1c out of range")
    assert "8\\.6" in card["detail"] and card["links"][0] == {
        "label": "Open care management",
        "url": f"{BASE}/launch",
        "type": "smart",
    }
    assert "suggestions" not in card


def test_an_enrolled_patient_is_shown_with_the_care_manager(chart: Chart) -> None:
    chart.practice.act("acceptance", {"care_manager": "Practitioner/n"})
    (card,) = chart.call().json()["cards"]
    assert card["summary"] == "In care management with Practitioner n"


def test_somebody_whom_no_night_has_read_is_judged_from_what_came_along(chart: Chart) -> None:
    (card,) = chart.call(body=chart.body(patient="p7")).json()["cards"]
    assert "HbA1c out of range" in card["summary"]


def test_a_discharge_starts_the_clock_in_the_practices_zone(chart: Chart) -> None:
    answer = chart.call("cm-encounter-discharge", chart.body("encounter-discharge"))
    (card,) = answer.json()["cards"]
    assert NOW.isoformat().startswith("2026-11-20") and "contact by 2026-11-24" in card["summary"]


def test_open_needs_are_shown_before_an_appointment(chart: Chart) -> None:
    (card,) = chart.call("cm-appointment-book", chart.body("appointment-book")).json()["cards"]
    assert card["summary"].endswith("open care management needs before the visit")


def test_without_patient_and_without_token_the_answer_is_412(chart: Chart) -> None:
    assert chart.call(body=chart.body(prefetch=None)).status_code == 412


def test_what_did_not_come_along_is_read_with_the_token_from_the_registered_base_only(chart: Chart) -> None:
    with chart.practice.doors.store.read() as connection:
        base = connections.get_emr(connection, "clinic").base_url
    granted = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "", "subject": "x"}
    body = chart.body(prefetch=None, fhirServer=base, fhirAuthorization=granted)
    assert chart.call(body=body).json()["cards"]
    elsewhere = body | {"fhirServer": "https://attacker.example/fhir"}
    assert chart.call(body=elsewhere).status_code == 412


def test_feedback_may_come_twice(chart: Chart) -> None:
    (card,) = chart.call().json()["cards"]
    path = f"/cds-services/{VIEW}/feedback"
    item = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": NOW.isoformat()}
    for _ in range(2):
        headers = {"Authorization": f"Bearer {chart.token(path)}"}
        answer = chart.practice.doors.http.post(path, json={"feedback": [item]}, headers=headers)
        assert answer.status_code == 200, answer.text
