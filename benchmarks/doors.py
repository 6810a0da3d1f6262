"""`python -m benchmarks.doors`: patient-view and decisions, as an EMR and an integrator meet them.

The service is `cm-service serve` in a process of its own, one worker, on the embedded default. Its store
holds the foreign patients of tests/data after a night with a sandbox EMR. A call of patient-view brings
150 resources of one foreign patient along, in the shape of our templates. Tokens are signed beforehand:
that work is the caller's. The last line is one JSON object.
"""

from __future__ import annotations

import datetime as dt
import gzip
import itertools
import json
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tests.api.door_world import Machine, add_emr, form, open_doors, register
from tests.api.served import serving
from tests.flow.night_world import emr_with

from benchmarks.caller import Call, Caller, at_once, encoded, milliseconds, one_after_the_other
from benchmarks.foreign import repeat
from benchmarks.night import AS_OF, DATA, SLUG, ZONE
from cm_service.api.cds.services import SERVICES
from cm_service.flow.nightly import NightOptions, night

SERVICE, RESOURCES, CALLS, CALLERS = "cm-patient-view", 150, 500, 4
ISSUER, USER = "https://emr.example", "Practitioner/n"
Json = dict[str, Any]


class Bench(NamedTuple):
    base: str
    emr: Machine
    client: Machine
    charts: dict[str, Json]  # patient id -> prefetch

    def view(self, patient: str) -> Call:
        path = f"/cds-services/{SERVICE}"
        token = self.emr.assertion(now=dt.datetime.now(dt.UTC), aud=f"{self.base}{path}")
        about = {"userId": USER, "patientId": patient}
        body = {"hook": SERVICES[SERVICE].hook, "hookInstance": str(uuid.uuid4())}
        body |= {"context": about, "prefetch": self.charts[patient]}
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return Call("POST", path, headers, encoded(body))

    def views(self, count: int) -> list[Call]:
        return [self.view(patient) for patient in itertools.islice(itertools.cycle(self.charts), count)]


def foreign_lines() -> dict[str, list[Json]]:
    return {
        path.name.partition(".")[0]: [json.loads(line) for line in gzip.open(path)]
        for path in sorted(DATA.glob("*.ndjson.gz"))
    }


def charts(lines: dict[str, list[Json]]) -> dict[str, Json]:
    """The prefetch of each living patient who has that many resources, cut to that many."""
    found = {}
    for patient in lines["Patient"]:
        mine = _of(patient, lines)
        if "deceasedDateTime" not in patient and sum(map(len, mine.values())) >= RESOURCES - 1:
            found[patient["id"]] = {"patient": patient, **_cut(mine, RESOURCES - 1)}
    return found


def _of(patient: Json, lines: dict[str, list[Json]]) -> dict[str, list[Json]]:
    whose = f"Patient/{patient['id']}"
    mine = {}
    for key, template in SERVICES[SERVICE].prefetch.items():
        if key != "patient":
            rows = (row for row in lines[template.type] if row["subject"]["reference"] == whose)
            mine[key] = [
                row for row in rows if "code=" not in template.query or _is_asked(row, template.query)
            ]
    return mine


def _is_asked(row: Json, query: str) -> bool:
    asked = query.partition("code=")[2].split(",")
    return any(f"{each.get('system')}|{each.get('code')}" in asked for each in row["code"]["coding"])


def _cut(mine: dict[str, list[Json]], most: int) -> dict[str, Json]:
    """The results first, then of the rest so many that all are `most`; each type as a whole searchset."""
    left, kept = most, {}
    for key in sorted(mine, key=lambda name: len(mine[name])):
        rows = mine[key][-left:] if left else []
        left -= len(rows)
        entries = [{"resource": row, "search": {"mode": "match"}} for row in rows]
        kept[key] = {"resourceType": "Bundle", "type": "searchset", "total": len(rows), "entry": entries}
    return kept


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    lines = foreign_lines()
    repeat(DATA, folder / "landing", copies=1)
    _, base_url = emr_with([*lines["Patient"], *lines["Practitioner"]])
    emr, client, doors = Machine(ISSUER), Machine("integrator"), open_doors(folder / "data")
    add_emr(
        doors,
        SLUG,
        base_url=base_url,
        timezone=str(ZONE),
        cds_issuer=ISSUER,
        cds_jwks=emr.jwks,
        cds_jwks_url=None,
    )
    register(doors, client, scope="system/*.rs")
    options = NightOptions(as_of=AS_OF, source=folder / "landing", max_new=None)
    report = night(doors.app.state.doorway.tools, SLUG, options, lambda _text: None)
    print(f"a night over the foreign data: {report['status']}")
    with serving(folder / "data", CM_API_CALLS_PER_MINUTE="1000000") as base:
        yield Bench(base, emr, client, charts(lines))


def cds(world: Bench) -> Json:
    """One caller for the times; several for the rate. Answers that came without cards, at the deadline or
    after a fault, are counted: they would be quick for nothing."""
    caller = Caller(world.base)
    cards = [json.loads(caller(world.view(patient))[1])["cards"] for patient in world.charts]
    if not any(cards):
        raise RuntimeError("no card at all: nothing was measured")
    size = len(encoded(next(iter(world.charts.values())))) / 1000
    print(f"cds: {len(cards)} charts of {RESOURCES} resources, the first of {size:.0f} kB")
    one_after_the_other(world.base, world.views(50))
    seconds = one_after_the_other(world.base, world.views(CALLS))
    alone = _emptied(world.base)
    rate, under_load = at_once(world.base, world.views(CALLS), callers=CALLERS)
    return {
        **milliseconds(seconds, 50, 95, 99),
        "without_cards": alone,
        "requests_per_s": round(rate, 1),
        "callers": CALLERS,
        "callers_p95_ms": milliseconds(under_load, 95)["p95_ms"],
        "callers_without_cards": _emptied(world.base) - alone,
    }


def _emptied(base: str) -> int:
    text = Caller(base)(Call("GET", "/metrics", {}))[1].decode()
    lines = [line for line in text.splitlines() if line.startswith("cm_cds_empty_total{")]
    return sum(int(float(line.rpartition(" ")[2])) for line in lines)


def api(world: Bench) -> Json:
    now = dt.datetime.now(dt.UTC)
    assertion = world.client.assertion(now=now, aud=f"{world.base}/auth/token")
    asked = form(world.client, scope="system/*.rs", client_assertion=assertion)
    token = _token(world.base, asked)
    call = {"Authorization": f"Bearer {token}"}
    page = Call("GET", f"/v1/emrs/{SLUG}/patients?limit=50", call)
    known = json.loads(Caller(world.base)(page)[1])["items"]
    paths = itertools.cycle(f"/v1/emrs/{SLUG}/patients/{each['patient']}/decisions" for each in known)
    calls = [Call("GET", path, call) for path in itertools.islice(paths, CALLS + 50)]
    return milliseconds(one_after_the_other(world.base, calls)[50:], 50, 95, 99)


def _token(base: str, asked: dict[str, str]) -> str:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = Caller(base)(Call("POST", "/auth/token", headers, urlencode(asked).encode()))[1]
    return str(json.loads(body)["access_token"])


def figures() -> Json:
    with tempfile.TemporaryDirectory(prefix="cm-bench-") as folder, bench(Path(folder)) as world:
        found = {"cds": cds(world)}
        print(json.dumps(found))
        return {**found, "api": api(world)}


if __name__ == "__main__":
    print(json.dumps(figures()))
