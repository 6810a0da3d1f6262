"""`python -m benchmarks.page`: from a launch to the page that can be used, and the worklist.

The service is `cm-service serve` in a process of its own, on the embedded default. The EMR is the sandbox
with an authorisation server that lets everybody in at once. A launch goes the whole way over HTTP: away,
signed in, back, and the part of the page that is shown; what a browser needs to draw it is not in the
figure. The worklist holds 5,000 candidates. The last line is one JSON object.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx
from tests.api.browser_world import FramingEmr
from tests.api.launch_world import CLIENT, token_in
from tests.api.page_world import TWO_PATIENTS, many, open_page
from tests.api.practice_world import OpenPractice
from tests.api.served import serving

from benchmarks.caller import Call, milliseconds, one_after_the_other
from cm_service.db import connections
from cm_service.sandbox import server

LAUNCHES, CALLS, CANDIDATES = 100, 50, 5000
WISHES: list[dict[str, str]] = [
    {},
    {"rule": "ED-FU"},
    {"due": "overdue", "sort": "urgency"},
    {"rule": "CHR-MULTI", "due": "week"},
]
Json = dict[str, Any]


class Clinic(NamedTuple):
    base: str
    emr: FramingEmr
    practice: OpenPractice


@contextmanager
def clinic(folder: Path) -> Iterator[Clinic]:
    """Two patients who had their night, and then the candidates in the projection."""
    practice = OpenPractice(folder, TWO_PATIENTS)
    practice.doors.now = dt.datetime.now(dt.UTC)  # the service's clock is the real one
    emr = FramingEmr(practice.emr, practice.doors)
    practice.emr.clock = lambda: dt.datetime.now(dt.UTC)
    with server.serving(emr) as emr_base, serving(folder) as base:
        emr.base = emr_base
        options = {"client-id": CLIENT, "public": "yes"}
        with practice.doors.store.write() as connection:
            connections.update_emr(connection, "clinic", base_url=emr_base, launch_options=options)
        yield Clinic(base, emr, practice)


def launch(world: Clinic, number: int) -> float:
    """Seconds until the patient's part is there, in a browser that was never here before."""
    world.emr.launches[f"launch-{number}"] = ("p1", "n")
    word = urlencode({"iss": world.emr.base, "launch": f"launch-{number}"})
    with httpx.Client(trust_env=False, timeout=30) as browser:
        began = time.perf_counter()
        page = browser.get(f"{world.base}/launch?{word}", follow_redirects=True).raise_for_status()
        headers = {"Authorization": f"Bearer {token_in(page)}"}
        for name in ("app.css", "app.js"):
            browser.get(f"{world.base}/app/static/{name}").raise_for_status()
        part = browser.get(f"{world.base}/app/part", headers=headers).raise_for_status()
        if "Enrolment" not in part.text:  # no cookie came back: the one click
            part = browser.post(f"{world.base}/app/confirm", headers=headers).raise_for_status()
        seconds = time.perf_counter() - began
    if "Enrolment" not in part.text:
        raise RuntimeError("the launch did not lead to the patient's page")
    return seconds


def worklist(world: Clinic) -> Json:
    """Each wish as often as the others, the whole request: session, query, page, audit."""
    many(world.practice, CANDIDATES)
    headers = {"Authorization": f"Bearer {open_page(world.practice, None).token}"}
    paths = [f"/app/worklist?{urlencode(wish)}" for wish in WISHES]
    seconds = one_after_the_other(world.base, [Call("GET", path, headers) for path in paths * CALLS])
    return {f"worklist_{name}": value for name, value in milliseconds(seconds, 50, 95).items()}


def figures() -> Json:
    with tempfile.TemporaryDirectory(prefix="cm-bench-") as folder, clinic(Path(folder)) as world:
        launch(world, 0)
        seconds = [launch(world, number) for number in range(1, LAUNCHES + 1)]
        times = {f"launch_{name}": value for name, value in milliseconds(seconds, 50, 95).items()}
        return {**times, **worklist(world), "candidates": CANDIDATES}


if __name__ == "__main__":
    print(json.dumps({"page": figures()}))
