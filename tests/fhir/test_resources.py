"""What we send is valid R4, or is not sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cm_service.errors import InvalidResource
from cm_service.fhir import rawjson
from cm_service.fhir.resources import validate

WHO = {"reference": "Patient/p"}
PERCENT = {"value": Decimal("7.0"), "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}


def goal(**changed: Any) -> dict[str, Any]:
    return {
        "resourceType": "Goal",
        "lifecycleStatus": "proposed",
        "description": {"text": "HbA1c below 7 %"},
        "subject": WHO,
        "target": [{"measure": {"text": "HbA1c"}, "detailQuantity": PERCENT}],
    } | changed


def plan(**changed: Any) -> dict[str, Any]:
    return {"resourceType": "CarePlan", "status": "draft", "intent": "proposal", "subject": WHO} | changed


def task(**changed: Any) -> dict[str, Any]:
    return {"resourceType": "Task", "status": "requested", "intent": "order", "for": WHO} | changed


def test_a_valid_resource_comes_back_as_it_will_be_sent() -> None:
    sent = validate(goal())
    assert rawjson.dumps(sent) == rawjson.dumps(goal())
    assert b'"value":7.0,' in rawjson.dumps(sent)


def test_what_is_r4_and_not_r5_is_taken() -> None:
    validate(task(reasonCode={"text": "HbA1c 9.1 %"}))
    validate(plan(activity=[{"detail": {"status": "not-started", "description": "Call"}}]))


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        (goal(target=[{"detailString": "lower"}]), "gol-1"),
        (plan(activity=[{"reference": WHO, "detail": {"status": "not-started"}}]), "cpl-3"),
        (task(authoredOn="2026-11-20T20:00:00Z", lastModified="2026-11-20T14:59:59-05:00"), "inv-1"),
        (plan(period={"start": "2026-11-20", "end": "2026-11-19"}), "per-1"),
        (
            task(executionPeriod={"start": "2026-11-20T20:00:00Z", "end": "2026-11-20T20:00:00+01:00"}),
            "per-1",
        ),
        (goal(target=[{"measure": {"text": "x"}, "detailQuantity": {"value": 7, "code": "%"}}]), "qty-3"),
        (task(extension=[{"url": "http://x"}]), "ext-1"),
        (task(note=[]), "Task.note: ele-1"),
        (task(code={}), "Task.code: ele-1"),
        (task(description=None), "Task.description: ele-1"),
        (task(status="done"), "Task.status: a code outside"),
        (goal(lifecycleStatus="open"), "Goal.lifecycleStatus: a code outside"),
        (plan(activity=[{"detail": {"status": "open"}}]), "CarePlan.activity.detail.status: a code outside"),
        (task(colour="red"), "Task.colour: extra_forbidden"),
        (task(authoredOn="2026-11-20T20:00:00"), "Task.authoredOn"),
        ({"resourceType": "Nonsense"}, "names no FHIR type"),
        ({"status": "draft"}, "names no FHIR type"),
        ({"resourceType": "Goal"}, "Goal"),
    ],
)
def test_what_breaks_r4_is_not_sent_and_its_place_is_named(resource: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidResource) as caught:
        validate(resource)
    assert place in str(caught.value)


def test_the_message_holds_no_value(  # names and numbers of a patient must not reach a log
) -> None:
    with pytest.raises(InvalidResource) as caught:
        validate(task(status="Maria Meyer", priority="9.1", authoredOn="Tuesday"))
    assert not any(word in str(caught.value) for word in ("Maria", "9.1", "Tuesday"))


def test_a_period_is_compared_as_exactly_as_its_dates_allow() -> None:
    validate(plan(period={"start": "2026-11-20T20:00:00Z", "end": "2026-11-20"}))
    validate(plan(period={"start": "2026-11", "end": "2026-11-03"}))
    validate(plan(period={"start": "2026-11-20"}))
