"""A launch for a patient whose record was merged into another one (1B-F36): never a page that mixes two."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.launch_world import begin, come_back, launching, token_in
from tests.api.page_world import Page, open_page, two_patients
from tests.api.practice_world import OpenPractice
from tests.flow.night_world import a1c

MERGE = [{"other": {"reference": "Patient/p1"}, "type": "replaced-by"}]
SAYS = "This record was merged into another one"
TEXTS = {"form": "verbal", "given_by": "patient", "text_version": "1"}


@pytest.fixture
def practice(tmp_path: Path) -> Iterator[OpenPractice]:
    yield two_patients(tmp_path)


def merge(practice: OpenPractice, **elements: Any) -> None:
    """Bob's record into Ada's, and a night after it."""
    practice.emr.load([a1c(9.9, who="p2", id_="bobs", effectiveDateTime="2026-11-15")])
    practice.emr.clinician_edit("Patient", "p2", lambda it: it.update({"link": MERGE, **elements}))
    night(practice)


def night(practice: OpenPractice) -> None:
    practice.doors.now += dt.timedelta(days=1)
    practice.night()


def enrolled(practice: OpenPractice) -> Page:
    page = open_page(practice, "p2")
    page.act("accept", patient="p2")
    page.act("consent", patient="p2", decision="agree", **TEXTS)
    return page


def test_the_replaced_record_says_so_and_shows_nothing_to_be_done(practice: OpenPractice) -> None:
    merge(practice)
    html = open_page(practice, "p2").get().text
    assert SAYS in html and "Boole" in html
    for word in ("<form", "9.9 %", "Ada", "Lovelace", "Patient/p1", "Tasks due", "Goals"):
        assert word not in html, word


def test_nothing_is_done_on_the_replaced_record_but_closing_its_case(practice: OpenPractice) -> None:
    enrolled(practice)
    merge(practice)
    page = open_page(practice, "p2")
    for name in (
        "accept",
        "decline",
        "snooze",
        "refer",
        "consent",
        "goal",
        "contact",
        "complete",
        "hand-over",
    ):
        answer = page.post(f"/app/acts/{name}", {"patient": "p2"})
        assert answer.status_code == 409 and "merged into another one" in answer.text, name
    html = page.get().text
    assert "A case is still open here" in html and html.count("<form") == 1
    closed = page.act("close", patient="p2", reason="moved")
    assert SAYS in closed and "A case is still open here" not in closed


def test_the_surviving_record_counts_what_was_found_in_both_and_names_the_open_case(
    practice: OpenPractice,
) -> None:
    enrolled(practice)
    merge(practice)
    html = open_page(practice).get().text
    assert SAYS not in html and "1 other record of this patient was merged into this one" in html
    assert "A case is still open in the record that was merged" in html and "Not enrolled" in html
    assert "9.9 % on 2026-11-15" in html and "Boole" not in html, (
        "the chart has the reading of the other record"
    )
    written = html.partition('id="h-emr"')[2]
    assert written.count("Plan: ") == 1, "and of what was written only what is its own"


def test_an_un_merge_makes_two_patients_of_them_again(practice: OpenPractice) -> None:
    merge(practice)
    practice.emr.clinician_edit("Patient", "p2", lambda it: it.pop("link"))
    night(practice)
    one, two = open_page(practice).get().text, open_page(practice, "p2").get().text
    assert SAYS not in two and "9.9 % on 2026-11-15" in two and "9.9 %" not in one


def test_a_merge_of_this_hour_is_known_at_the_launch(tmp_path: Path) -> None:
    """Before any night has read it: the EMR's Patient says so when the page is opened."""
    with launching(tmp_path) as (world, emr):
        emr.resources["Patient/p1"] = {**emr.resources["Patient/p1"], "link": MERGE}
        token = token_in(come_back(world, emr, begin(world, emr)))
        headers = {"Authorization": f"Bearer {token}"}
        assert SAYS in world.http.get("/app/part", headers=headers).text
        answer = world.http.post("/app/acts/accept", data={"patient": "p1"}, headers=headers)
        assert answer.status_code == 409


def test_an_emr_that_answers_with_the_survivor_opens_no_page_of_the_other(tmp_path: Path) -> None:
    with launching(tmp_path) as (world, emr):
        emr.resources["Patient/p1"] = {**emr.resources["Patient/p1"], "id": "p9"}
        answer = come_back(world, emr, begin(world, emr))
        assert answer.status_code == 400 and token_in(answer) == "" and "Lovelace" not in answer.text
