"""The first-time path as docs/care-manager.md tells it: from the patient's chart to the first logged contact.

A test walks it; `make pictures` walks it on the synthetic panel and keeps what is seen in docs/pictures.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

from playwright.sync_api import Frame, Page

from cm_service.db import worklist
from cm_service.sandbox import panel
from tests.api.browser_world import Clinic, app_of, chromium, clinic, submit
from tests.api.door_world import NOW

PICTURES = Path("docs/pictures")
LARGEST = 150_000
WINDOW = {"width": 1000, "height": 720}
TALL = {"width": 1000, "height": 900}
CARER = "care-manager-1"  # of the panel
WANTED = frozenset({"A1C-OUT", "CHR-MULTI"})
# What stands in a frame is painted by and by; two frames of the screen later it is there.
_PAINTED = """() => new Promise(done => requestAnimationFrame(() =>
    requestAnimationFrame(() => setTimeout(done, 200))))"""
Shot = Callable[[str, Frame], None]


def walk(place: Clinic, page: Page, patient: str, user: str, shot: Shot) -> None:
    """Each picture is a step of the document, by its name."""
    frame = _from_the_chart(place, page, patient, user, shot)
    shot("3-read", frame)
    submit(frame, "Accept: I care for this patient", "Next: record the patient's consent")
    _show(frame, "h-enrolled")
    shot("4-consent", frame)
    submit(frame, "Record the consent", "Consent recorded")
    goal = frame.get_by_role("form", name="Agree: HbA1c").first
    goal.get_by_label("Importance").fill("8")
    goal.get_by_label("Confidence").fill("7")
    _show(frame, "h-goals")
    shot("5-goal", frame)
    submit(frame, "Agree this goal", "Goal agreed")
    _contact(frame, place.doors.now)
    _show(frame, "h-contact")
    shot("6-contact", frame)
    submit(frame, "Log this contact", "Contact logged")
    frame.evaluate("scrollTo(0, 0)")
    shot("7-logged", frame)


def after_the_night(place: Clinic, page: Page, patient: str, user: str, shot: Shot) -> None:
    """What the EMR then holds, and the worklist."""
    place.night()
    frame = _from_the_chart(place, page, patient, user, lambda _name, _frame: None)
    _show(frame, "h-emr")
    shot("8-in-the-emr", frame)
    place.emr.launches["standalone"] = (None, user)
    page.goto(f"{place.service}/launch/standalone/clinic")
    page.set_viewport_size(TALL)  # type: ignore[arg-type]
    page.get_by_role("heading", name="Candidates").wait_for()
    shot("9-worklist", page.main_frame)


def _from_the_chart(place: Clinic, page: Page, patient: str, user: str, shot: Shot) -> Frame:
    page.goto(place.chart_url(patient, user))
    button = page.get_by_role("button", name="Care management")
    button.wait_for()
    shot("1-chart", page.main_frame)
    button.click()
    frame = app_of(page)
    confirm = frame.get_by_role("button", name="This is right: open")
    confirm.wait_for()
    shot("2-launch", frame)
    confirm.click()
    frame.get_by_role("heading", name="Enrolment", exact=True).wait_for()
    return frame


def _contact(frame: Frame, now: dt.datetime) -> None:
    form = frame.get_by_role("form", name="Log a contact")
    form.get_by_label("Minutes").fill("12")
    form.get_by_label("Reached", exact=True).check()
    form.get_by_label("This task is done").check()
    form.get_by_label("Note").fill(
        "Will come for a new test on Monday. Has her tablets, takes them at breakfast."
    )
    form.get_by_label("Next contact").fill((now + dt.timedelta(days=10)).date().isoformat())


def _show(frame: Frame, heading: str) -> None:
    frame.evaluate("id => document.getElementById(id).scrollIntoView()", heading)


def main() -> None:
    """Raises AssertionError where a step does not do what the document says."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    people = panel.build_panel(as_of=NOW, zone=ZoneInfo("America/Detroit"))
    with (
        tempfile.TemporaryDirectory() as folder,
        clinic(Path(folder), people) as place,
        chromium() as browser,
    ):
        page = browser.new_page(viewport=WINDOW)  # type: ignore[arg-type]

        def shot(name: str, frame: Frame) -> None:
            frame.evaluate(_PAINTED)
            page.screenshot(path=PICTURES / f"{name}.png")

        patient = _candidate(place)
        walk(place, page, patient, CARER, shot)
        after_the_night(place, page, patient, CARER, shot)
    for each in sorted(PICTURES.glob("*.png")):
        size = each.stat().st_size
        assert size <= LARGEST, f"{each} has {size} bytes"
        print(f"{each}: {size} bytes")


def _candidate(place: Clinic) -> str:
    """The first one who was found for the HbA1c and for two chronic conditions."""
    with place.doors.store.read() as connection:
        rows = worklist.page(connection, worklist.Filter(("clinic",), status="candidate", limit=500))
    return min(str(row.patient_id) for row in rows if set(row.rules) >= WANTED)


if __name__ == "__main__":
    main()
