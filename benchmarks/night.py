"""`python -m benchmarks.night`: a night from landing to stored decisions, against two yardsticks on the
same bytes.

The foreign data of tests/data is repeated under new ids to about 330 MB. In one run: (1) the night:
sieve, normalise, keep, evaluate, plan, store; (2) a plain loop that reads each line and validates it
with fhir.resources.R4B; (3) a raw DuckDB scan of the lines. Each in a process of its own, so that
peak memory is its own. The last line is one JSON object; ratios compare figures of this run only.
"""

from __future__ import annotations

import datetime as dt
import functools
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.foreign import repeat

COPIES = 5
DATA = Path(__file__).parents[1] / "tests" / "data" / "synthea"
AS_OF = dt.datetime.fromisoformat("2026-11-20T20:00:00-05:00")
ZONE = ZoneInfo("America/Detroit")
SLUG, BASE = "bench", "http://127.0.0.1/fhir"  # a night knows the base of its EMR


def night(landing: Path, work: Path) -> dict[str, Any]:
    """Landing -> decisions and intents stored, on the embedded default."""
    from cm_service.db import care, connections
    from cm_service.db.engine import Database
    from cm_service.flow.evaluate import evaluate_due
    from cm_service.flow.records import Store
    from cm_service.flow.sources import from_folder
    from cm_service.rules.parameters import Parameters

    db = Database(f"sqlite:///{work / 'bench.sqlite3'}", lock_dir=work)
    db.migrate()
    with db.write() as connection:
        connections.add_emr(
            connection,
            now=AS_OF,
            slug=SLUG,
            base_url=BASE,
            timezone=str(ZONE),
            auth="none",
            token_reference=None,
            group_id=None,
            practice=None,
            owner=None,
            write_mode="propose",
            settings={},
        )
    gc.freeze()  # as the command line does, once everything is imported
    began = time.perf_counter()
    source = from_folder(landing, base_url=BASE, concept_map={}, max_line_bytes=20_000_000, full=False)
    plans = _evaluation(Parameters())
    read = time.perf_counter()
    store = Store(db, plans, replaces=frozenset(), holes=source.holes, entangled=source.entangled())
    counts = store.take(source.reading).counts
    kept = time.perf_counter()
    counts += evaluate_due(db, plans)
    ended = time.perf_counter()
    with db.read() as connection:
        decisions = sum(care.count_outcomes(connection, SLUG).values())
    return {
        "seconds": ended - began,
        "sieve_seconds": read - began,
        "keep_seconds": kept - read,
        "due_seconds": ended - kept,
        "patients": counts["patients"],
        "decisions": decisions,
        "intents": counts["intents"],
    }


def _evaluation(parameters: Any) -> Any:
    from cm_service.flow.judge import Night
    from cm_service.flow.plan import plan
    from cm_service.flow.plans.context import PlanContext

    def planner(view: Any, decisions: Any, known: Any) -> Any:
        context = PlanContext(identifier_base="https://bench.example", readable=view.holds)
        who = decisions[0].patient
        return plan(
            emr=context,
            patient_id=who,
            decisions=decisions,
            view=view,
            known=known,
            as_of=AS_OF,
            zone=ZONE,
        )

    return Night(
        emr=SLUG,
        as_of=AS_OF,
        zone=ZONE,
        parameters=parameters,
        unread=frozenset(),
        refused=frozenset(),
        planner=planner,
    )


def rules(landing: Path, _work: Path) -> dict[str, Any]:
    """All rules over every patient's facts, nothing else."""
    from cm_service.flow.people import Surroundings, views
    from cm_service.flow.sources import from_folder
    from cm_service.rules.engine import evaluate_patient
    from cm_service.rules.parameters import Parameters

    gc.freeze()
    source = from_folder(landing, base_url=BASE, concept_map={}, max_line_bytes=20_000_000, full=False)
    around = Surroundings(Parameters(), source.places)
    people = [
        view
        for who, facts in source.patients()
        for view in views(who, {who: facts}, around=around, declines={}, holes={})
    ]
    began = time.perf_counter()
    for view in people:
        evaluate_patient(view, as_of=AS_OF, zone=ZONE)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "ms_per_patient": seconds * 1000 / len(people)}


def models(landing: Path, _work: Path) -> dict[str, Any]:
    """A plain loop, as one writes it for a stream of any types: each line is read, and validated with
    the fhir.resources.R4B model that its resourceType names."""
    from cm_service.fhir.resources import model_of

    model = functools.cache(model_of)
    gc.freeze()
    began, count = time.perf_counter(), 0
    for path in sorted(landing.glob("*.ndjson")):
        with path.open("rb") as lines:
            for line in lines:
                resource = json.loads(line)
                model(resource["resourceType"]).model_validate(resource)
                count += 1
    return {"seconds": time.perf_counter() - began, "resources": count}


def scan(landing: Path, _work: Path) -> dict[str, Any]:
    """The raw DuckDB scan of the same lines."""
    import duckdb

    began = time.perf_counter()
    row = duckdb.sql(
        "SELECT count(*), sum(strlen(line)) FROM read_csv("
        f"'{landing}/*.ndjson', columns={{'line': 'VARCHAR'}}, delim='\x01', quote='', escape='', "
        "header=false, auto_detect=false, strict_mode=false, max_line_size=100000000)"
    ).fetchone()
    assert row is not None
    return {"seconds": time.perf_counter() - began, "lines": row[0]}


PARTS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    "scan": scan,
    "night": night,
    "rules": rules,
    "models": models,
}


def child(part: str, landing: Path) -> dict[str, Any]:
    """Run one part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.night", part, str(landing)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def figures() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="cm-bench-") as folder:
        landing = Path(folder) / "landing"
        size = repeat(DATA, landing, copies=COPIES) / 1e6
        print(f"{size:.0f} MB of foreign data, {COPIES} times under new ids")
        results = {}
        for part in PARTS:
            results[part] = child(part, landing)
            told = ", ".join(f"{name} {value:.4g}" for name, value in results[part].items())
            print(f"{part}: {told}")
    speed = {part: size / results[part]["seconds"] for part in ("scan", "night", "models")}
    return {
        "mb_per_s": round(speed["night"], 1),
        "times_fhir_resources": round(speed["night"] / speed["models"], 1),
        "from_raw_scan": round(speed["scan"] / speed["night"], 2),
        "peak_mib": round(results["night"]["peak_mib"]),
        "rules_ms_per_patient": round(results["rules"]["ms_per_patient"], 3),
        "fhir_resources_mb_per_s": round(speed["models"], 1),
        "raw_scan_mb_per_s": round(speed["scan"], 1),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with tempfile.TemporaryDirectory(prefix="cm-bench-") as place:
            measured = PARTS[sys.argv[1]](Path(sys.argv[2]), Path(place))
        measured["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(measured))
    else:
        print(json.dumps({"night": figures()}))
