"""`cm-service demo`: the whole main job on the embedded default, with nothing else installed."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cm_service import wiring
from cm_service.cli.output import COMPLETE, FAILED, emit, errors_become_exits, people, progress
from cm_service.db import care, connections, ledger
from cm_service.db.engine import Database
from cm_service.flow import ours
from cm_service.flow.nightly import NightOptions, Tools, night
from cm_service.rules.decision import unique
from cm_service.rules.words import in_words
from cm_service.sandbox import panel, server
from cm_service.sandbox.store import Store
from cm_service.settings import Settings

SLUG = "sandbox"
ZONE = "America/Detroit"
PRACTICE = "Organization/practice"  # as the panel names it
SHOWN = 25
DAY_OR_INSTANT = 10  # characters of a date


def demo(
    patients: Annotated[int, typer.Option(min=200, help="Size of the synthetic panel.")] = 240,
    as_of: Annotated[str | None, typer.Option(help="Instant with offset; default now.")] = None,
    show: Annotated[int, typer.Option(min=1, help="Rows of each table.")] = SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """A sandbox EMR with a synthetic panel, one night, what it wrote and why, and a second night."""
    with errors_become_exits(as_json), tempfile.TemporaryDirectory(prefix="cm-demo-") as folder:
        moment = wiring.instant(as_of)
        store = Store()
        people.print(f"Starting the sandbox EMR with {patients} invented patients ...")
        store.load(panel.build_panel(as_of=moment, zone=wiring.zone(ZONE), patients=patients))
        with server.running(store) as base_url:
            answer = _two_nights(Path(folder), base_url, moment, show)
    if as_json:
        emit(answer)
    good = answer["status"] == "complete"
    raise typer.Exit(COMPLETE if good else FAILED)


def _two_nights(folder: Path, base_url: str, moment: Any, show: int) -> dict[str, Any]:
    settings = Settings(data_dir=folder, database_url="")
    database = wiring.open_database(settings)
    with database.write() as connection:
        connections.add_emr(
            connection,
            now=moment,
            slug=SLUG,
            base_url=base_url,
            timezone=ZONE,
            auth="none",
            token_reference=None,
            group_id=None,
            practice=PRACTICE,
            owner=None,
            write_mode="propose",
            settings={},
        )
    tools = wiring.night_tools(settings, database)
    options = NightOptions(as_of=moment, max_new=None)
    with progress("First night: pull, decide, write back") as tell:
        first = night(tools, SLUG, options, tell)
    _show_written(database, show)
    _show_doubts(database, show)
    found = asyncio.run(_read_back(tools, database))
    people.print(f"Read back from the EMR by identifier: {found['once']} found once, {found['wrong']} not.")
    with progress("Second night, same instant") as tell:
        second = night(tools, SLUG, options, tell)
    _say(first, second)
    good = first["written"] > 0 and second["written"] == 0 and found["wrong"] == 0
    return {"status": "complete" if good else "failed", "first": first, "second": second, "read_back": found}


def _say(first: dict[str, Any], second: dict[str, Any]) -> None:
    people.print(
        f"First night: {first['patients']} patients, {first['decisions']} decisions, "
        f"{first['eligible']} eligible, {first['insufficient_data']} cannot be told, "
        f"{first['written']} resources written in {first['seconds']} s.",
        soft_wrap=True,
    )
    if second["written"] == 0:
        people.print("Second night: nothing had changed, so nothing was written.")
    else:
        people.print(f"Second night: {second['written']} resources written; there should be none.")


def _rows(database: Database) -> tuple[list[Any], dict[str, dict[str, Any]]]:
    with database.read() as connection:
        rows = ledger.listed(connection, emr=SLUG)
        decisions = care.decisions_of(connection, SLUG, sorted(care.patients(connection, SLUG)))
    return rows, decisions


def _show_written(database: Database, show: int) -> None:
    """A table of Tasks: who, by which rule, why in words, what was written, due when."""
    rows, decisions = _rows(database)
    kinds = Counter((row.patient_id, row.kind) for row in rows if row.state == "written")
    table = Table("patient", "rule", "why", "written", "due", title="What was found, and written to the EMR")
    tasks = [row for row in rows if row.kind == "Task" and row.state == "written"]
    tasks.sort(key=lambda row: (row.urgency, row.patient_id, row.id))
    for row in tasks[:show]:
        task = json.loads(row.wanted)
        line = json.loads(decisions[row.patient_id][row.rule].line)
        why = f"{task['description']} [{in_words(line['reasons'])}]"
        plans = ", ".join(
            f"{kinds[row.patient_id, kind]} {kind}" for kind in ours.CLOSED if kinds[row.patient_id, kind]
        )
        due = task.get("restriction", {}).get("period", {}).get("end", "-")
        table.add_row(row.patient_id, row.rule, why, f"{row.code}; in all {plans}", due[:DAY_OR_INSTANT])
    people.print(table)
    if len(tasks) > show:
        people.print(f"... and {len(tasks) - show} more Tasks (--show N shows more)")


def _show_doubts(database: Database, show: int) -> None:
    """Who could not be judged, and why not."""
    _, decisions = _rows(database)
    doubts = [
        json.loads(row.line)
        for rules in decisions.values()
        for row in rules.values()
        if row.outcome == "insufficient_data"
    ]
    doubts.sort(key=lambda line: (line["rule"], line["patient"]))
    table = Table("patient", "rule", "cannot be told because", title="Who could not be judged")
    for line in doubts[:show]:
        table.add_row(line["patient"], line["rule"], in_words(unique([*line["reasons"], *line["flags"]])))
    people.print(table)
    if len(doubts) > show:
        people.print(f"... and {len(doubts) - show} more")


async def _read_back(tools: Tools, database: Database) -> dict[str, int]:
    """Search the EMR for each thing that the ledger says it wrote."""
    with database.read() as connection:
        emr = connections.get_emr(connection, SLUG)
        rows = ledger.listed(connection, emr=SLUG, state="written")
    found = Counter({"once": 0, "wrong": 0})
    async with tools.client(emr) as client:
        for row in rows:
            copies = await client.find_by_identifier(row.kind, row.system, row.value)
            found["once" if len(copies) == 1 else "wrong"] += 1
    return dict(found)
