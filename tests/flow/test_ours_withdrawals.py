"""A withdrawal reaches a Task that somebody took up, and leaves one that somebody ended (rules.md 0.9)."""

from __future__ import annotations

from typing import Any

import pytest

from cm_service.flow.ours import merged

THEIRS = frozenset({"status", "owner"})
WITHDRAWN = {
    "resourceType": "Task",
    "status": "cancelled",
    "statusReason": {"text": "GX-01"},
    "owner": {"display": "pool"},
}


def task(status: str) -> dict[str, Any]:
    return {"resourceType": "Task", "status": status, "owner": {"display": "Anna"}}


@pytest.mark.parametrize("status", ["accepted", "in-progress", "on-hold"])
def test_a_task_that_somebody_works_on_is_withdrawn_and_keeps_its_owner(status: str) -> None:
    body = merged(task(status), WITHDRAWN, THEIRS)
    assert body == {**WITHDRAWN, "owner": {"display": "Anna"}}


def test_a_task_that_somebody_completed_stays_completed() -> None:
    body = merged(task("completed"), WITHDRAWN, THEIRS)
    assert body["status"] == "completed" and "statusReason" not in body, "nor is it done for our reason"


def test_an_update_never_moves_a_status_that_is_theirs() -> None:
    wanted = {**WITHDRAWN, "status": "requested"}
    assert merged(task("accepted"), wanted, THEIRS)["status"] == "accepted"
