"""Two EMRs in one service, a client for each, and in each what must never be seen from the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from cm_service.flow.nightly import NightOptions, night
from cm_service.sandbox import server
from cm_service.sandbox.store import Store
from tests.api.door_world import NOW, Doors, Machine, add_emr, bearer, open_doors, register
from tests.flow.night_world import a1c, diabetes, patient

EMRS = ("alpha", "beta")
Json = dict[str, Any]


def secret(slug: str) -> str:
    """Stands in names, evidence and acts of this EMR, and in no request of the other one's client."""
    return f"{slug}-secret-marker"


def people(slug: str) -> list[Json]:
    """One patient whose id both EMRs have, and one of its own."""
    found = []
    for who in ("shared", f"{slug}-own"):
        found += [
            patient(who, name=[{"text": f"{secret(slug)} {who}"}]),
            diabetes(who),
            a1c(who=who, id_=f"{secret(slug)}-{who}"),
        ]
    return found


class TwoEmrs:
    """`ids`: slug -> name of a parameter -> values that mean something in that EMR."""

    def __init__(self, doors: Doors) -> None:
        self.doors = doors
        self.ids: dict[str, dict[str, list[Any]]] = {slug: defaultdict(list) for slug in EMRS}
        self.acts: dict[int, tuple[str, str]] = {}
        self.headers = {}
        for slug in EMRS:
            machine = register(doors, Machine(f"{slug}-app"), emrs=[slug])
            self.headers[slug] = bearer(doors, machine)

    def call(self, who: str, method: str, path: str, **more: Any) -> httpx.Response:
        return self.doors.http.request(method, path, headers=self.headers[who], **more)

    def fill(self, slug: str) -> None:
        """What its own client did there, and every id that came of it."""
        ids = self.ids[slug]
        ids["emr"], ids["patient"] = [slug], ["shared", f"{slug}-own"]
        for who in ids["patient"]:
            self._act(slug, who, "acceptance", {"care_manager": f"Practitioner/{secret(slug)}"})
            self._act(slug, who, "contacts", CONTACT | {"who": secret(slug)})
        for row in self._get(slug, f"/v1/emrs/{slug}/ledger")["items"]:
            ids["intent"].append(row["id"])
            ids[row["kind"].lower()].append(row["id"])
        ids["sync"] = [row["id"] for row in self._get(slug, f"/v1/emrs/{slug}/syncs")["items"]]
        for path in (f"/v1/emrs/{slug}/patients", "/v1/worklist"):
            ids["cursor"].append(self._get(slug, f"{path}?limit=1")["next"])

    def _act(self, slug: str, who: str, what: str, body: Json) -> None:
        answer = self.call(slug, "POST", f"/v1/emrs/{slug}/patients/{who}/{what}", json=body)
        assert answer.status_code == 201, answer.text
        done = answer.json()
        self.acts[done["id"]] = (slug, who)
        self.ids[slug]["act"].append(done["id"])
        self.ids[slug]["enrolment"].append(done["enrolment"])

    def _get(self, slug: str, path: str) -> Json:
        answer = self.call(slug, "GET", path)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found


CONTACT: Json = {
    "at": NOW.isoformat(),
    "minutes": 5,
    "medium": "phone",
    "service": "outreach",
    "reached": True,
}


@contextmanager
def two_emrs(folder: Path) -> Iterator[TwoEmrs]:
    doors = open_doors(folder, api_calls_per_minute=1_000_000)
    with ExitStack() as stack:
        for slug in EMRS:
            store = Store()
            store.clock = lambda: NOW
            store.load(people(slug))
            add_emr(doors, slug, base_url=stack.enter_context(server.running(store)))
            options = NightOptions(as_of=NOW, max_new=None)
            report = night(doors.app.state.doorway.tools, slug, options, lambda _text: None)
            assert report["status"] == "complete", report
        world = TwoEmrs(doors)
        for slug in EMRS:
            world.fill(slug)
        yield world
