"""What the scopes of a token grant, in both versions of their syntax."""

from __future__ import annotations

import pytest

from cm_service.fhir.scopes import granted

BOTH = "system/Task.cruds system/CarePlan.read launch openid"


@pytest.mark.parametrize(
    ("scope", "resource", "verb", "answer"),
    [
        (None, "Task", "create", "unknown"),
        ("", "Task", "create", "no"),
        (BOTH, "Task", "create", "yes"),
        (BOTH, "Task", "patch", "yes"),
        (BOTH, "CarePlan", "search", "yes"),
        (BOTH, "CarePlan", "create", "no"),
        (BOTH, "Goal", "read", "no"),
        ("system/*.rs", "Goal", "search", "yes"),
        ("system/*.rs", "Goal", "update", "no"),
        ("system/*.write", "Goal", "create", "yes"),
        ("system/*.write", "Goal", "search", "no"),
        ("user/*.*", "Goal", "update", "yes"),
        ("system/Observation.rs?category=vital-signs", "Observation", "search", "yes"),
        ("patient/*.*", "Goal", "read", "no"),
        ("system/MeasureReport.cruds", "MeasureReport", "$submit-care-gaps", "unknown"),
        ("system/Task.sudo", "Task", "update", "no"),
    ],
)
def test_a_scope_grants_what_it_says_and_no_more(
    scope: str | None, resource: str, verb: str, answer: str
) -> None:
    assert granted(scope, resource, verb) == answer
