"""A chart on `localhost` that frames the service on `127.0.0.1`, and the browser that people use.

The EMR is the sandbox with an authorisation server in front of it: its authorize endpoint sends the
browser back at once, as for somebody who is signed in. Chromium is Debian's; third-party cookies are off.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from playwright.sync_api import Browser, Frame, Page, sync_playwright
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from cm_service.flow.nightly import NightOptions, night
from cm_service.sandbox import server
from cm_service.sandbox.app import BASE_PATH, create_app
from cm_service.sandbox.store import Store
from tests.api.door_world import Doors, add_emr, open_doors
from tests.api.emr_chart import chart_of
from tests.api.launch_world import CLIENT, LaunchingEmr
from tests.flow.night_world import emr_with
from tests.real.parts import missing

AXE = Path(__file__).parents[1] / "real" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
PICTURES = Path("artefacts/pictures")
WIDTHS = (400, 1280)


class FramingEmr(LaunchingEmr):
    """`launches`: launch word -> (patient id or None, practitioner id)."""

    def __init__(self, store: Store, doors: Doors) -> None:
        super().__init__()
        self.store, self.doors = store, doors
        self.launches: dict[str, tuple[str | None, str]] = {}
        self.fhir = create_app(store)

    def exchange(self, form: dict[str, str], now: int) -> Any:
        asked = self.codes.get(form.get("code", ""), {})
        patient, user = self.launches[asked.get("launch", "standalone")]
        self.claims = {"sub": user, "fhirUser": f"{self.base}/Practitioner/{user}"}
        self.token = {"patient": patient, "scope": asked["scope"]}
        return super().exchange(form, now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = {
            "/authorize": self._authorize,
            "/token": self._token,
            "/jwks": self._json,
            "/chart": self._chart,
            "/patient": self._patient,
            "/probe": self._probe,
            f"{BASE_PATH}/.well-known/smart-configuration": self._json,
        }
        answer = own.get(scope.get("path", ""))
        if answer is None:
            await self.fhir(scope, receive, send)
            return
        request = Request(scope, receive)
        await (await answer(request))(scope, receive, send)

    async def _authorize(self, request: Request) -> Response:
        asked = request.query_params
        code = self.authorize(str(request.url))
        return RedirectResponse(f"{asked['redirect_uri']}?code={code}&state={quote(asked['state'])}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        return JSONResponse(self.exchange(form, int(self.doors.now.timestamp())))

    async def _json(self, request: Request) -> Response:
        return JSONResponse(self.get(urlsplit(str(request.url)).path))

    async def _chart(self, request: Request) -> Response:
        """The chart: another site's page with the frame in it."""
        source = escape(request.query_params["src"], quote=True)
        return HTMLResponse(
            "<!doctype html><html lang=en><title>Chart</title><style>body{margin:0}"
            "iframe{width:100%;height:900px;border:0}</style>"
            f"<iframe title='Care management' name=app src='{source}'>"
        )

    async def _patient(self, request: Request) -> Response:
        """A patient's chart as people know it, with a button that opens the frame."""
        return HTMLResponse(chart_of(self.store, request.query_params["id"], request.query_params["src"]))

    async def _probe(self, _request: Request) -> Response:
        answer = HTMLResponse("probe")
        answer.headers["Set-Cookie"] = "probe=1; Path=/; SameSite=None; Secure; HttpOnly"
        return answer


class Clinic:
    """`chart` is the EMR's site (localhost), `service` ours (127.0.0.1)."""

    def __init__(self, doors: Doors, emr: FramingEmr, chart: str, service: str) -> None:
        self.doors, self.emr, self.chart, self.service = doors, emr, chart, service

    def launch_url(self, patient: str = "p1", user: str = "n") -> str:
        word = f"launch-{len(self.emr.launches)}"
        self.emr.launches[word] = (patient, user)
        return f"{self.service}/launch?iss={quote(self.emr.base, safe='')}&launch={word}"

    def framed(self, url: str, *, chart: str | None = None) -> str:
        return f"{chart or self.chart}/chart?src={quote(url, safe='')}"

    def chart_url(self, patient: str, user: str) -> str:
        """Where somebody who is signed in to the EMR finds this patient."""
        launch = quote(self.launch_url(patient, user), safe="")
        return f"{self.chart}/patient?id={patient}&src={launch}"

    def open(self, page: Page, patient: str = "p1", user: str = "n") -> Frame:
        """A launch in the frame, up to the page that is usable."""
        page.goto(self.framed(self.launch_url(patient, user)))
        frame = app_of(page)
        frame.get_by_role("button", name="This is right: open").click()
        frame.get_by_role("heading", name="Enrolment", exact=True).wait_for()
        return frame

    def night(self, *, minutes: int = 480) -> dict[str, Any]:
        """In a thread of its own: the browser's driver has the loop of this one."""
        self.doors.now += dt.timedelta(minutes=minutes)
        self.emr.store.clock = lambda: self.doors.now
        tools = self.doors.app.state.doorway.tools
        options = NightOptions(as_of=self.doors.now, max_new=None)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(night, tools, "clinic", options, lambda _text: None).result()


def submit(frame: Frame, name: str, notice: str) -> None:
    """Press the button and wait for what the new part says, or for what stands in its way."""
    frame.evaluate("document.getElementById('notice').id = 'before'")
    frame.get_by_role("button", name=name, exact=True).first.click()
    said = frame.locator("#notice, #trouble, :invalid:focus").first
    said.wait_for(timeout=30_000)
    text = said.text_content() or said.evaluate("e => `${e.name}: ${e.validationMessage}`")
    assert notice in text, (name, text)


def app_of(page: Page) -> Frame:
    element = page.wait_for_selector("iframe")
    frame = element.content_frame() if element else None
    assert frame is not None
    return frame


@contextmanager
def clinic(folder: Path, resources: list[dict[str, Any]]) -> Iterator[Clinic]:
    doors, (store, _) = open_doors(folder), emr_with(resources)
    emr = FramingEmr(store, doors)
    with server.serving(emr) as base, server.serving(doors.app) as served:
        emr.base = base
        service, port = served.removesuffix(BASE_PATH), urlsplit(base).port
        doors.app.state.doorway = replace(doors.app.state.doorway, public_url=service)
        chart = f"http://localhost:{port}"
        options = {"client-id": CLIENT, "public": "yes", "frame-ancestors": chart}
        add_emr(doors, "clinic", base_url=base, launch_options=options)
        found = Clinic(doors, emr, chart, service)
        found.night(minutes=0)
        yield found


@contextmanager
def chromium() -> Iterator[Browser]:
    """Third-party cookies are off, as in the browsers of strict people."""
    program = shutil.which("chromium")
    if program is None:
        missing("chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--test-third-party-cookie-phaseout"]
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


def picture(page: Page, name: str, width: int) -> None:
    """As wide as a side panel or a screen, and as high as what is in it."""
    page.set_viewport_size({"width": width, "height": 900})
    element = page.query_selector("iframe")
    frame = element.content_frame() if element else page.main_frame
    assert frame is not None
    height = int(frame.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": width, "height": height})
    if element:
        element.evaluate("(frame, height) => { frame.style.height = `${height}px`; }", height)
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}-{width}.png")
    if element:
        element.evaluate("frame => { frame.style.height = ''; }")


@contextmanager
def unfolded(frame: Frame) -> Iterator[None]:
    """What is folded away is there as well: nobody looks at it otherwise."""
    frame.evaluate(
        """() => { for (const each of document.querySelectorAll("details:not([open])")) {
        each.open = true; each.dataset.folded = ""; } }"""
    )
    yield
    frame.evaluate(
        """() => { for (const each of document.querySelectorAll("details[data-folded]")) {
        each.open = false; delete each.dataset.folded; } }"""
    )


def overflows(frame: Frame) -> bool:
    """Does anything stick out to the right?"""
    return bool(frame.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def serious(frame: Frame) -> list[str]:
    """What axe-core calls serious or critical: rule, and the elements."""
    if not AXE.is_file():
        missing("axe-core is not installed: run `make axe`")
    frame.evaluate(AXE.read_text())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = frame.evaluate(f"axe.run(document, {{runOnly: {json.dumps(tags)}}})")
    assert found["passes"], "axe-core looked at nothing"
    return [
        f"{each['id']}: {[node['target'] for node in each['nodes']]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
