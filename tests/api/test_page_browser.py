"""The care manager's story in a browser, in a frame on a foreign site; and what only a browser can show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, Page

from cm_service.db import ledger
from cm_service.sandbox import server
from cm_service.sandbox.store import Store
from tests.api import first_path
from tests.api.browser_world import (
    WIDTHS,
    Clinic,
    FramingEmr,
    app_of,
    chromium,
    clinic,
    overflows,
    picture,
    serious,
    submit,
    unfolded,
)
from tests.api.door_world import add_emr
from tests.api.launch_world import CLIENT
from tests.api.page_world import TWO_PATIENTS
from tests.api.test_worklist_page import many

SECOND_NURSE = {"resourceType": "Practitioner", "id": "m", "name": [{"text": "Max Second"}]}


def people() -> list[dict[str, Any]]:
    """The same two patients, with names."""
    names = {"p1": ("Ada", "Lovelace"), "p2": ("Bob", "Boole")}
    named = []
    for each in TWO_PATIENTS:
        if each["resourceType"] == "Patient":
            given, family = names[each["id"]]
            each = {**each, "name": [{"given": [given], "family": family}]}
        named.append(each)
    return [*named, SECOND_NURSE]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Clinic]:
    with clinic(tmp_path, people()) as place:
        yield place


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def checked(page: Page, frame: Frame, name: str) -> None:
    """At both widths: a picture of the step; and with everything unfolded nothing that sticks out, and
    nothing serious for axe."""
    for width in WIDTHS:
        picture(page, name, width)
        page.set_viewport_size({"width": width, "height": 900})
        with unfolded(frame):
            assert not overflows(frame), (name, width)
            assert serious(frame) == [], (name, width)


def test_the_whole_story_in_a_frame_on_a_foreign_site(place: Clinic, page: Page) -> None:
    page.goto(place.framed(place.launch_url()))
    frame = app_of(page)
    frame.get_by_text("Ada Lovelace (1976-05-01)").wait_for()
    assert frame.get_by_text("Nora Nurse").is_visible()
    checked(page, frame, "1-launch")
    frame.get_by_role("button", name="This is right: open").click()
    frame.get_by_role("heading", name="HbA1c above target").wait_for()
    checked(page, frame, "2-read")

    submit(frame, "Accept: I care for this patient", "Next: record the patient's consent")
    checked(page, frame, "3-accepted")
    submit(frame, "Record the consent", "Consent recorded")
    checked(page, frame, "4-consent")

    proposed = frame.get_by_role("form", name="Agree: HbA1c at or below 7.0 %")
    proposed.get_by_label("Importance").fill("8")
    proposed.get_by_label("Confidence").fill("7")
    submit(frame, "Agree this goal", "Goal agreed")
    frame.get_by_text("A goal of the patient's own").click()
    own = frame.get_by_role("form", name="A goal of the patient's own")
    own.get_by_label("Specific").fill("Walk in the evening")
    own.get_by_label("Measurable").fill("30 minutes on 5 days a week")
    own.get_by_label("Achievable").fill("8")
    own.get_by_label("Relevant: importance").fill("9")
    own.get_by_label("Time-bound").fill("2027-01-31")
    submit(frame, "Agree this goal of the patient's own", "Goal agreed")
    checked(page, frame, "5-goals")

    steps = log_a_contact(frame)
    assert steps <= 10, "a contact in at most 10 interactions"
    checked(page, frame, "6-contact")

    frame.get_by_text("Complete or hand over").first.click()
    submit(frame, "Complete this task", "Task completed")
    checked(page, frame, "7-task")

    frame.get_by_text("Close the case and tell the provider").click()
    frame.get_by_label("Note to the provider").fill("She walks every evening.")
    submit(frame, "Close the case", "Case closed")
    checked(page, frame, "8-closed")

    place.night()
    held = written(place)
    assert {kind for kind, _ in held} == {"CarePlan", "Goal", "Task", "Consent", "Encounter", "Communication"}
    assert [resource["status"] for kind, resource in held if kind == "CarePlan"] == ["completed"]
    goals = [resource for kind, resource in held if kind == "Goal"]
    assert {goal["lifecycleStatus"] for goal in goals} == {"completed"} and len(goals) == 2
    (encounter,) = [resource for kind, resource in held if kind == "Encounter"]
    assert "Will come on Monday" in encounter["text"]["div"]
    assert encounter["length"]["value"] == 12


def log_a_contact(frame: Frame) -> int:
    """As few interactions as it takes; returns how many."""
    form = frame.get_by_role("form", name="Log a contact")
    form.get_by_label("Minutes").fill("12")
    form.get_by_label("Reached", exact=True).check()
    form.get_by_label("This task is done").check()
    form.get_by_label("Note").fill("Will come on Monday")
    form.get_by_label("Next contact").fill("2026-12-01")
    submit(frame, "Log this contact", "Contact logged")
    return 6


def written(place: Clinic) -> list[tuple[str, dict[str, Any]]]:
    """What the EMR itself holds of ours for the first patient."""
    with place.doors.store.read() as connection:
        rows = ledger.of_patients(connection, "clinic", ["p1"])["p1"]
    found = []
    for row in rows:
        version = place.emr.store.current(row.kind, str(row.reference).partition("/")[2])
        assert version is not None and version.resource is not None, (row.kind, row.state, row.reason)
        found.append((row.kind, version.resource))
    return found


def test_third_party_cookies_are_blocked_in_this_browser(place: Clinic, page: Page) -> None:
    probe = f"{place.emr.origin}/probe"
    page.goto(place.framed(probe))
    app_of(page).get_by_text("probe").wait_for()
    assert page.context.cookies() == []
    page.goto(probe)
    assert [cookie["name"] for cookie in page.context.cookies()] == ["probe"], "at its own site it is kept"


def test_3b_f01_a_site_that_is_not_this_emrs_cannot_frame_the_page(place: Clinic, page: Page) -> None:
    port = place.chart.rpartition(":")[2]
    page.goto(place.framed(place.launch_url(), chart=f"http://evil.localhost:{port}"))
    page.wait_for_timeout(1500)
    assert "Ada" not in (app_of(page).evaluate("document.body ? document.body.innerText : ''") or "")
    place.open(page)


def test_3b_f05_the_token_is_in_no_url_cookie_or_storage(place: Clinic, page: Page) -> None:
    urls: list[str] = []
    tokens: set[str] = set()

    def note(request: Any) -> None:
        urls.append(request.url)
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        tokens.update([token] if kind == "Bearer" else [])

    page.on("request", note)
    frame = place.open(page)
    (token,) = tokens
    looked = frame.evaluate(
        """() => { const seen = [location.href, document.cookie, window.name];
        seen.push(document.documentElement.outerHTML);
        for (const name of ["localStorage", "sessionStorage"]) {
          try { seen.push(JSON.stringify({...window[name]})); } catch (e) { seen.push(e.name); } }
        return seen; }"""
    )
    assert not [place_ for place_ in [*urls, *looked] if token in place_]


def test_3b_f07_a_message_from_another_origin_is_ignored(place: Clinic, page: Page) -> None:
    frame = place.open(page)
    before, asked = frame.content(), []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        """() => { for (const m of ["end", {type: "end"}, {messageType: "ui.done"}, "Practitioner/m"])
        document.querySelector("iframe").contentWindow.postMessage(m, "*"); }"""
    )
    page.wait_for_timeout(500)
    assert frame.content() == before and asked == []


def test_3b_f08_the_back_button_shows_nothing_of_the_patient(place: Clinic, page: Page) -> None:
    page.goto(place.launch_url())
    page.get_by_role("heading", name="Enrolment", exact=True).wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_text("Signed out").wait_for()
    page.goto(f"{place.chart}/probe")
    page.go_back()
    page.wait_for_timeout(500)
    assert "Ada" not in page.content() and "HbA1c" not in page.content()


def test_two_tabs_with_two_patients_stay_apart(place: Clinic, browser: Browser) -> None:
    context = browser.new_context()
    one, two = (place.open(context.new_page(), patient) for patient in ("p1", "p2"))
    submit(two, "Accept: I care for this patient", "Next: record")
    assert one.get_by_text("Ada Lovelace").first.is_visible() and one.get_by_text("Boole").count() == 0
    submit(one, "Accept: I care for this patient", "Next: record")
    with place.doors.store.read() as connection:
        rows = {who: ledger.of_patients(connection, "clinic", [who])[who] for who in ("p1", "p2")}
    assert all(any('"accepted"' in row.wanted for row in each) for each in rows.values())
    context.close()


def test_another_user_in_the_same_browser_stops_the_older_page(place: Clinic, browser: Browser) -> None:
    context = browser.new_context()
    older = place.open(context.new_page(), "p1", "n")
    place.open(context.new_page(), "p2", "m")
    older.get_by_text("Somebody else has signed in").wait_for(timeout=5000)
    assert older.get_by_text("Lovelace").count() == 0
    context.close()


def test_what_was_typed_stays_when_the_session_has_ended(place: Clinic, page: Page) -> None:
    frame = place.open(page)
    frame.get_by_label("Note").fill("She asked about her feet")
    place.doors.now += dt.timedelta(minutes=31)
    frame.get_by_label("Reached", exact=True).check()
    frame.get_by_role("button", name="Log this contact").click()
    frame.get_by_text("This session has ended").wait_for()
    assert frame.get_by_label("Note").input_value() == "She asked about her feet"
    checked(page, frame, "10-ended")
    place.doors.now -= dt.timedelta(minutes=31)


def test_the_first_contact_can_be_logged_by_keyboard_alone(place: Clinic, page: Page) -> None:
    frame = place.open(page)
    frame.get_by_label("Minutes").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("5")
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = frame.evaluate("document.activeElement.name || document.activeElement.textContent")
        if focused == "reached":
            page.keyboard.press("Space")
        if focused == "Log this contact":
            page.keyboard.press("Enter")
            break
    frame.locator("#notice").filter(has_text="Contact logged").wait_for()
    assert frame.evaluate("document.activeElement.id") == "notice", "a screen reader hears what was done"


def test_what_was_typed_into_another_form_survives_an_act(place: Clinic, page: Page) -> None:
    frame = place.open(page)
    frame.get_by_label("Note", exact=True).fill("She asked about her feet")
    submit(frame, "Accept: I care for this patient", "Next: record")
    assert frame.get_by_label("Note", exact=True).input_value() == "She asked about her feet"


def test_copy_as_text_is_one_click(place: Clinic, page: Page) -> None:
    frame = place.open(page)
    submit(frame, "Accept: I care for this patient", "Next: record")
    submit(frame, "Record the consent", "Consent recorded")
    frame.get_by_role("button", name="Copy as text: Plan").click()
    frame.locator("#notice").filter(has_text="Copied as text").wait_for()
    frame.get_by_label("Note", exact=True).focus()
    page.keyboard.press("Control+V")
    assert "Status: active" in frame.get_by_label("Note", exact=True).input_value()


def test_the_worklist_opens_outside_a_chart(place: Clinic, page: Page) -> None:
    place.emr.launches["standalone"] = (None, "n")
    page.goto(place.framed(f"{place.service}/launch/standalone/clinic"))
    frame = app_of(page)
    frame.get_by_role("button", name="This is right: open").click()
    frame.get_by_role("heading", name="Candidates").wait_for()
    assert frame.get_by_text("Lovelace").is_visible() and frame.get_by_text("Boole").is_visible()
    checked(page, frame, "9-worklist")
    frame.get_by_label("Program").select_option("ED-FU")
    frame.get_by_role("button", name="Show", exact=True).click()
    frame.get_by_text("Lovelace").wait_for(state="detached")


def test_the_first_path_is_as_the_document_tells_it(place: Clinic, page: Page) -> None:
    steps: list[str] = []
    first_path.walk(place, page, "p1", "n", lambda name, _frame: steps.append(name))
    first_path.after_the_night(place, page, "p1", "n", lambda name, _frame: steps.append(name))
    assert "1-chart" in steps and "7-logged" in steps
    text = Path("docs/care-manager.md").read_text()
    assert [step for step in steps if f"(pictures/{step}.png)" not in text] == []
    held = written(place)
    assert {"Encounter", "Consent", "Goal"} <= {kind for kind, _ in held}


def test_a_second_practice_is_signed_in_to_from_the_worklist(place: Clinic, page: Page) -> None:
    """In a window of its own: away to the other EMR and back, with the rows of both."""
    other = FramingEmr(Store(), place.doors)
    other.store.load([{"resourceType": "Practitioner", "id": "b", "name": [{"text": "Nora at the other"}]}])
    other.launches["standalone"], place.emr.launches["standalone"] = (None, "b"), (None, "n")
    tokens: list[str] = []
    page.on("request", lambda request: tokens.append(request.headers.get("authorization", "")[7:]))
    with server.serving(other) as other.base:
        options = {"client-id": CLIENT, "public": "yes"}
        add_emr(place.doors, "other", base_url=other.base, launch_options=options)
        many(place, 1, emr="other", name="Person There")  # type: ignore[arg-type]
        urls: list[str] = []
        page.on("request", lambda request: urls.append(request.url))
        page.goto(f"{place.service}/launch/standalone/clinic")
        page.get_by_text("Lovelace").wait_for()
        assert page.get_by_text("Person There").count() == 0
        page.get_by_text("Sign in at one more practice").click()
        page.get_by_label("Short name of the practice").fill("other")
        page.get_by_role("button", name="Sign in there too").click()
        page.get_by_text("Person There").wait_for()
        assert page.get_by_text("Lovelace").is_visible() and page.get_by_text("at other").first.is_visible()
        assert not [url for url in urls for token in filter(None, tokens) if token in url]
        checked(page, page.main_frame, "11-two-practices")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_text("Signed out").wait_for()


def test_the_page_of_a_merged_record_says_so(place: Clinic, page: Page) -> None:
    link = [{"other": {"reference": "Patient/p1"}, "type": "replaced-by"}]
    place.emr.store.clinician_edit("Patient", "p2", lambda it: it.update(link=link))
    page.goto(place.framed(place.launch_url("p2")))
    frame = app_of(page)
    frame.get_by_role("button", name="This is right: open").click()
    frame.get_by_role("heading", name="This record was merged into another one").wait_for()
    assert frame.get_by_role("button", name="Accept").count() == 0
    checked(page, frame, "12-merged")
