"""The page in the chart, over HTTP: what it shows and does, and what the EMR then holds."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import ledger
from tests.api.page_world import ADA, Page, open_page, two_patients
from tests.api.practice_world import PATIENT, OpenPractice
from tests.flow.night_world import out_of_range, stay


@pytest.fixture
def practice(tmp_path: Path) -> Iterator[OpenPractice]:
    yield two_patients(tmp_path)


@pytest.fixture
def page(practice: OpenPractice) -> Page:
    return open_page(practice)


def ids(html: str, name: str) -> list[str]:
    return list(dict.fromkeys(re.findall(rf'name="{name}" value="(\d+)"', html)))


def enrol(page: Page) -> str:
    page.act("accept", patient="p1")
    return page.act(
        "consent", patient="p1", decision="agree", form="verbal", given_by="patient", text_version="1"
    )


def test_the_page_shows_its_parts_in_the_order_of_the_work(page: Page) -> None:
    html = page.get().text
    order = [
        ADA,
        "Not enrolled",
        "HbA1c above target",
        "8.6 %",
        "Clocks that run",
        "<svg",
        "Tasks due",
        "In the EMR",
    ]
    places = [html.index(word) for word in order]
    assert places == sorted(places)
    assert "2026-11-10" in html and "Proposed, not agreed yet" in html


def test_a_banner_is_left_out_only_where_the_emr_shows_its_own(practice: OpenPractice) -> None:
    own = open_page(practice, context={"banner": False, "intent": "", "style": {}})
    assert 'class="banner"' not in own.get().text
    assert 'class="banner"' in open_page(practice).get().text


def test_the_whole_story_is_in_the_emr_after_a_night(practice: OpenPractice, page: Page) -> None:
    html = enrol(page)
    assert "Enrolled and active" in html
    html = page.act("goal", patient="p1", goal=ids(html, "goal")[0], importance="8", confidence="7")
    html = page.act(
        "goal",
        patient="p1",
        text="Walk in the evening",
        target_text="30 minutes on 5 days a week",
        importance="9",
        confidence="8",
        due="2027-01-31",
        addresses="Condition/p1-dm",
    )
    task = ids(html, "task")[0]
    html = page.act(
        "contact",
        patient="p1",
        minutes="12",
        medium="phone",
        service="follow-up",
        reached="true",
        who="patient",
        task=task,
        task_done="true",
        note="Will come on Monday",
        next_contact="2026-12-01",
        **{"check:Last A1C": "8.6 % on 2026-11-10"},
    )
    assert "goes out after" in html and "Undo: contact" in html
    page.act("complete", patient="p1", task=ids(page.get().text, "task")[-1], outcome="done")
    page.act("close", patient="p1", reason="goals-met", note="Well done")
    practice.doors.now += dt.timedelta(hours=8)
    practice.night()
    kinds = {row.kind for row in _ledger(practice)}
    assert kinds >= {"CarePlan", "Goal", "Task", "Consent", "Encounter", "Communication"}
    assert {row.state for row in _ledger(practice) if row.patient_id == "p1"} <= {"written", "superseded"}
    encounter = _held(practice, "Encounter")
    assert "Last A1C: 8.6 % on 2026-11-10" in encounter["text"]["div"]
    assert _held(practice, "CarePlan")["status"] == "completed"


def _ledger(practice: OpenPractice) -> list[Any]:
    with practice.doors.store.read() as connection:
        return ledger.listed(connection, emr="clinic")


def _held(practice: OpenPractice, kind: str) -> dict[str, Any]:
    row = next(row for row in _ledger(practice) if row.kind == kind and row.patient_id == "p1")
    return practice.emr.current(kind, row.reference.partition("/")[2]).resource


def test_after_a_stay_the_clocks_run_in_business_days_and_seven_points_are_asked(tmp_path: Path) -> None:
    """Discharged on Thursday the 19th: two business days later is Monday the 23rd."""
    practice = OpenPractice(tmp_path, [*out_of_range(), stay()])
    page = open_page(practice)
    html = page.get().text
    clocks = html.partition("Clocks that run")[2].partition("</section>")[0]
    assert "2026-11-23" in clocks and "1 business day left" in clocks
    points = re.findall(r'name="covered" value="([^"]+)"', html)
    assert len(points) == 7
    logged = page.act(
        "contact",
        patient="p1",
        minutes="20",
        medium="phone",
        service="post-discharge",
        reached="true",
        covered=points,
    )
    assert "warning signs taught: covered" in logged


def test_what_no_rung_took_can_be_copied_as_text(practice: OpenPractice, page: Page) -> None:
    with practice.doors.store.write() as connection:
        task = next(
            row for row in ledger.of_patients(connection, "clinic", ["p1"])["p1"] if row.kind == "Task"
        )
        ledger.move(connection, task.placement_id, now=practice.doors.now, state="refused", reason="422")
    html = page.get().text
    refused = html.partition("Refused (1)")[2].partition("</ul>")[0]
    assert "Copy as text" in refused and "call by 2026-11-27" in refused
    assert "Copy as text" not in html.partition(">Written (")[2].partition("</ul>")[0]


def test_a_nurse_reads_clinical_days_and_no_instants(tmp_path: Path) -> None:
    """Half past four in the morning in UTC is the evening before in Detroit."""
    measured = {**PATIENT[2], "effectiveDateTime": "2026-11-11T04:30:00+00:00"}
    html = open_page(OpenPractice(tmp_path, [*PATIENT[:2], measured])).get().text
    assert "8.6 %, 2026-11-10" in html and "T04:30" not in html
