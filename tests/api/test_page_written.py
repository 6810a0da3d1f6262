"""What the page says of each thing of ours: as it stands in the EMR, whoever made it so."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import connections, ledger
from tests.api.page_world import open_page, two_patients
from tests.api.practice_world import OpenPractice
from tests.flow.night_world import a1c

AT_TARGET = a1c(6.0, id_="newer", effectiveDateTime="2026-11-20")


@pytest.fixture
def practice(tmp_path: Path) -> Iterator[OpenPractice]:
    yield two_patients(tmp_path)


def night(practice: OpenPractice, *, max_writes: int | None = None) -> None:
    """The next one, which may write as often as that."""
    with practice.doors.store.write() as connection:
        connections.update_emr(connection, "clinic", max_writes=max_writes)
    practice.doors.now += dt.timedelta(days=1)
    practice.night()


def outreach(practice: OpenPractice) -> str:
    """The id of the Task in the EMR."""
    with practice.doors.store.read() as connection:
        rows = ledger.of_patients(connection, "clinic", ["p1"])["p1"]
    row = next(row for row in rows if row.code == "a1c-outreach")
    return str(row.reference).partition("/")[2]


def ends(practice: OpenPractice, **elements: Any) -> None:
    """A clinician ends the Task in the EMR."""
    practice.emr.clinician_edit("Task", outreach(practice), lambda task: task.update(elements))


def shown(practice: OpenPractice) -> tuple[str, str]:
    """The line of the Task, and the whole part about the EMR."""
    part = open_page(practice).get().text.partition('id="h-emr"')[2].partition("</section>")[0]
    (line,) = re.findall(r"<li>(Task: HbA1c outreach[^<]*)", part)
    return line.strip(), part


def test_a_task_that_was_done_in_the_emr_reads_as_done(practice: OpenPractice) -> None:
    assert shown(practice)[0] == "Task: HbA1c outreach (requested)"
    ends(practice, status="completed", businessStatus={"text": "Spoke to her"})
    night(practice)
    assert shown(practice)[0] == "Task: HbA1c outreach (completed: Spoke to her)"


def test_what_the_service_took_back_reads_as_withdrawn(practice: OpenPractice) -> None:
    practice.emr.load([AT_TARGET])
    night(practice)
    assert shown(practice)[0] == "Task: HbA1c outreach (withdrawn)"


def test_a_task_that_was_done_while_its_withdrawal_was_on_the_way_is_done_and_nothing_else(
    practice: OpenPractice,
) -> None:
    """Neither page nor EMR says that it was withdrawn, or gives our reason for what a person did."""
    practice.emr.load([AT_TARGET])
    night(practice, max_writes=0)
    line, part = shown(practice)
    assert line.endswith("(withdrawn)") and "WITHDRAWN: Care management task: HbA1c outreach" in part
    ends(practice, status="completed")
    night(practice, max_writes=0)
    line, part = shown(practice)
    assert line.endswith("(completed)") and "WITHDRAWN: Care management task" not in part
    assert "COMPLETED: Care management task" in part and "at target" not in part.partition("Goal")[0]
    night(practice)
    assert shown(practice)[0].endswith("(completed)")
    version = practice.emr.current("Task", outreach(practice))
    assert version is not None and version.resource is not None
    assert version.resource["status"] == "completed" and "statusReason" not in version.resource


def test_what_was_done_on_the_page_reads_as_done_at_once(practice: OpenPractice) -> None:
    page = open_page(practice)
    html = page.get().text
    task = html.partition('data-form="done-')[2].partition('"')[0]
    done = page.act("complete", patient="p1", task=task, outcome="reached")
    titles = re.findall(r"<li>(Task: [^<]*)", done)
    assert sum("(completed: Reached)" in title for title in titles) == 1 and "WITHDRAWN" not in done
