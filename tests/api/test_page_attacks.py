"""What a page must not do, by the ids of the attack list; the rest needs a browser: test_page_browser.py."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from cm_service.db import launches, ledger
from tests.api.door_world import add_emr
from tests.api.launch_world import begin, come_back, launching, token_in
from tests.api.page_world import open_page, two_patients
from tests.api.practice_world import OpenPractice
from tests.api.test_page import enrol, ids


@pytest.fixture
def practice(tmp_path: Path) -> Iterator[OpenPractice]:
    yield two_patients(tmp_path)


def test_3b_f02_a_page_names_the_origins_of_its_own_emr_alone(practice: OpenPractice) -> None:
    add_emr(practice.doors, "other", launch_options={"frame-ancestors": "https://other.example"})
    policy = open_page(practice).get().headers["content-security-policy"]
    ancestors = policy.partition("frame-ancestors ")[2]
    assert ancestors.startswith("http://127.0.0.1:") and "other.example" not in ancestors
    assert "script-src 'self'" in policy and "unsafe-inline" not in policy


def test_3b_f03_without_a_cookie_nothing_is_shown_before_the_click_and_it_is_on_record(
    tmp_path: Path,
) -> None:
    with launching(tmp_path) as (world, emr):
        away = begin(world, emr)
        world.http.cookies.clear()
        shell = come_back(world, emr, away)
        headers = {"Authorization": f"Bearer {token_in(shell)}"}
        assert world.http.get("/app/part", headers=headers).status_code == 403
        assert world.http.post("/app/confirm", headers=headers).status_code == 200
        shown = world.http.get("/app/part", headers=headers)
        assert shown.status_code == 200 and "confirmed by a click" in shown.text
        assert "launch-unbound" in {line.action for line in world.audit()}


@pytest.mark.parametrize("late", [True, False], ids=["after 5 minutes", "twice"])
def test_3b_f04_a_state_is_good_once_and_for_five_minutes_without_a_cookie(
    tmp_path: Path, late: bool
) -> None:
    with launching(tmp_path) as (world, emr):
        away = begin(world, emr)
        world.http.cookies.clear()
        if late:
            world.now += dt.timedelta(minutes=5, seconds=1)
        else:
            assert come_back(world, emr, away).status_code == 200
        exchanged = len(emr.seen)
        assert come_back(world, emr, away).status_code == 400
        assert len(emr.seen) == exchanged, "and nothing is exchanged"


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
]


def test_3b_f06_a_foreign_site_cannot_act_even_with_the_token(practice: OpenPractice) -> None:
    page = open_page(practice)
    for headers in FOREIGN:
        assert page.post("/app/acts/accept", {"patient": "p1"}, **headers).status_code == 403, headers
    assert "Not enrolled" in page.get().text


def test_3b_f06_without_the_token_nothing_is_done_or_shown(practice: OpenPractice) -> None:
    http = practice.doors.http
    for given in ({}, {"Authorization": "Bearer " + "x" * 43}):
        assert http.post("/app/acts/accept", data={"patient": "p1"}, headers=given).status_code == 401
        assert http.get("/app/part", headers=given).status_code == 401
    token = open_page(practice).token
    assert http.get("/app/part", params={"token": token, "access_token": token}).status_code == 401


def test_3b_f06_the_own_site_may_act(practice: OpenPractice) -> None:
    own = {"Origin": "https://cm.example", "Sec-Fetch-Site": "same-origin"}
    assert open_page(practice).post("/app/acts/accept", {"patient": "p1"}, **own).status_code == 200


def test_3b_f08_after_the_end_of_a_session_nothing_is_shown(practice: OpenPractice) -> None:
    page = open_page(practice)
    shown = page.get()
    assert shown.headers["cache-control"] == "no-store"
    assert page.post("/app/end").status_code == 204
    again = page.get()
    assert again.status_code == 401 and "Lovelace" not in again.text


def test_3b_f08_a_page_that_nobody_touched_for_half_an_hour_has_ended(practice: OpenPractice) -> None:
    page = open_page(practice)
    practice.doors.now += dt.timedelta(minutes=31)
    assert page.get().status_code == 401


def test_3b_f09_another_patients_id_is_404_and_audited(practice: OpenPractice) -> None:
    page, other = open_page(practice), open_page(practice, "p2")
    enrol(page)
    theirs = other.get().text
    task = ids(theirs, "task")[0]
    act = other.act("accept", patient="p2").partition("/app/acts/")[2].partition("/undo")[0]
    contact = {"minutes": "1", "medium": "phone", "service": "outreach", "reached": "true"}
    with practice.doors.store.read() as connection:
        rows = ledger.of_patients(connection, "clinic", ["p2"])["p2"]
    goal = next(str(row.id) for row in rows if row.kind == "Goal")
    tries = [
        ("/app/acts/accept", {"patient": "p2"}),
        ("/app/acts/close", {"patient": "p2", "reason": "died"}),
        ("/app/acts/complete", {"task": task, "outcome": "done"}),
        ("/app/acts/hand-over", {"task": task, "owner": "Practitioner/x"}),
        ("/app/acts/contact", {**contact, "task": task}),
        ("/app/acts/goal", {"goal": goal, "importance": "5", "confidence": "5"}),
        (f"/app/acts/{act}/undo", {}),
    ]
    for path, form in tries:
        assert page.post(path, form).status_code == 404, path
        line = practice.doors.audit()[0]
        assert (line.outcome, line.who, line.patient_id) == (404, "Practitioner/n", "p1"), path
    assert other.get().text.count("Complete this task") == theirs.count("Complete this task")


def test_two_pages_of_two_patients_stay_apart(practice: OpenPractice) -> None:
    one, two = open_page(practice), open_page(practice, "p2")
    one.act("accept", patient="p1")
    assert "Not enrolled" in two.get().text and "Lovelace" not in two.get().text
    assert "Accepted" in one.get().text and "Boole" not in one.get().text


def test_only_people_of_the_practice_accept_activate_and_close(practice: OpenPractice) -> None:
    acts = ("accept", "decline", "consent", "goal", "contact", "complete", "hand-over", "close", "refer")
    for user in ("Patient/p1", "RelatedPerson/r", "Person/x"):
        page = open_page(practice, user=user)
        assert "<form" not in page.get().text
        for name in acts:
            assert page.post(f"/app/acts/{name}", {"patient": "p1"}).status_code == 403, (user, name)


def test_every_sight_and_act_is_in_the_audit(practice: OpenPractice) -> None:
    page = open_page(practice)
    page.get()
    page.act("accept", patient="p1")
    lines = [(line.action, line.patient_id, line.who, line.outcome) for line in practice.doors.audit()[:2]]
    assert lines == [("page-act", "p1", "Practitioner/n", 200), ("page-part", "p1", "Practitioner/n", 200)]


def test_a_form_says_what_is_wrong_with_it_and_not_what_was_sent(practice: OpenPractice) -> None:
    page = open_page(practice)
    enrol(page)
    answer = page.post("/app/acts/contact", {"minutes": "many-secret", "reached": "true", "at": "yesterday"})
    assert answer.status_code == 422 and "secret" not in answer.text
    answer = page.post("/app/acts/contact", {"minutes": "many-secret", "reached": "true", "medium": "phone"})
    assert answer.status_code == 422 and "minutes" in answer.text and "secret" not in answer.text
    assert page.post("/app/acts/contact", {"note": "x" * 300_000}).status_code == 413


def test_an_act_is_undone_from_the_page_within_ten_minutes(practice: OpenPractice) -> None:
    page = open_page(practice)
    act = page.act("accept", patient="p1").partition("/app/acts/")[2].partition("/undo")[0]
    assert "Not enrolled" in page.post(f"/app/acts/{act}/undo").text
    act = page.act("accept", patient="p1").partition("/app/acts/")[2].partition("/undo")[0]
    practice.doors.now += dt.timedelta(minutes=11)
    assert page.post(f"/app/acts/{act}/undo").status_code == 409
    assert "/undo" not in page.get().text


def test_another_user_in_the_same_browser_ends_the_older_page(practice: OpenPractice) -> None:
    page = open_page(practice)
    with practice.doors.database.write() as connection:
        now = practice.doors.now
        launches.end_others(connection, "b" * 64, keep=[("clinic", "Practitioner/m")], now=now)
    assert page.get().status_code == 401


def test_what_comes_from_the_chart_is_text_and_nothing_else(practice: OpenPractice) -> None:
    page = open_page(practice, patient_name="<script>alert(1)</script>")
    enrol(page)
    html = page.act("close", patient="p1", reason="moved", note="<img src=x onerror=alert(1)>")
    assert "<script" not in html and "<img" not in html and "&lt;script&gt;" in html
