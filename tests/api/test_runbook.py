"""The runbook names metrics, commands and files that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cm_service.db import retention
from tests.api.notify_world import Notified, event
from tests.flow.night_world import out_of_range

DOCS = Path(__file__).parents[2] / "docs"
RUNBOOK = (DOCS / "runbook.md").read_text()


@pytest.fixture
def clinic(tmp_path: Path) -> Notified:
    return Notified(tmp_path, out_of_range())


def test_every_metric_that_an_alarm_needs_is_there(clinic: Notified) -> None:
    clinic.shake()
    clinic.tell(event("1"))
    clinic.round()
    clinic.tell(event("2"), total=2)
    shown = clinic.doors.http.get("/metrics").text
    named = set(re.findall(r"\bcm_[a-z_]+", RUNBOOK))
    assert len(named) > 10
    assert [name for name in sorted(named) if name not in shown] == []


def test_the_table_of_what_is_kept_says_what_is_done() -> None:
    for time in (retention.QUARANTINE, retention.TOLD, retention.HISTORY):
        assert f"{time.days} days" in RUNBOOK


def test_the_examples_that_it_names_are_there() -> None:
    for place in re.findall(r"\]\((examples/[^)]+)\)", RUNBOOK):
        assert (DOCS / place).exists(), place
