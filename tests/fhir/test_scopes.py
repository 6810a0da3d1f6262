"""What the scopes of a token grant, in both versions of their syntax."""

from __future__ import annotations

import pytest

from cm_service.fhir.scopes import Wanted, asked, granted, may_read_all, missing

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


@pytest.mark.parametrize(
    ("scope", "may"),
    [
        (None, True),
        ("", False),
        ("openid", False),
        ("system/Observation.rs", True),
        ("system/Observation.r system/*.s", True),
        ("system/Observation.read", True),
        ("system/*.cruds", True),
        ("system/Observation.r", False),
        ("system/Observation.write", False),
        ("system/Patient.rs", False),
        ("system/Observation.rs?category=laboratory", False),
        ("system/Observation.rs?category=laboratory system/*.read", True),
    ],
)
def test_a_type_may_be_read_in_full_only_with_an_unrestricted_grant(scope: str | None, may: bool) -> None:
    assert may_read_all(scope, "Observation") == may


@pytest.mark.parametrize(
    ("asked_scope", "granted_scope", "lacking"),
    [
        ("system/Task.crus system/Patient.rs", "system/*.cruds", []),
        ("system/Task.crus system/Patient.rs", "system/Task.rs system/Patient.read", ["system/Task.crus"]),
        ("system/Task.read system/Task.write", "system/Task.crus", ["system/Task.write"]),
        ("system/Task.rs", None, []),
        ("system/Task.rs", "", ["system/Task.rs"]),
        ("of-its-own system/Task.rs", "of-its-own system/Task.rs", []),
        ("of-its-own", "openid", ["of-its-own"]),
        ("system/Task.rs?code=a", "system/Task.rs?code=a", []),
    ],
)
def test_what_is_missing_is_told_by_what_it_means(
    asked_scope: str, granted_scope: str | None, lacking: list[str]
) -> None:
    assert missing(asked_scope, granted_scope) == lacking


def test_the_least_scopes_of_both_versions() -> None:
    wanted = Wanted(frozenset({"Patient", "Task"}), frozenset({"Task"}))
    assert asked(wanted, style="v2") == "system/Patient.rs system/Task.crus"
    assert asked(wanted, style="v1") == "system/Patient.read system/Task.read system/Task.write"
    for style in ("v1", "v2"):
        assert missing(asked(wanted, style=style), asked(wanted, style=style)) == []
