"""`cm-service sync`: one night for one EMR or for all, and what the last nights did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cm_service import wiring
from cm_service.cli.output import (
    COMPLETE,
    FAILED,
    PARTIAL,
    emit,
    errors_become_exits,
    failure,
    people,
    progress,
)
from cm_service.db import connections, retention, sync
from cm_service.db.engine import Database
from cm_service.errors import BadInput, CmError, Lost
from cm_service.flow import freshness, pulling
from cm_service.flow.nightly import DEFAULT_MAX_NEW, NightOptions, Tools, night
from cm_service.settings import Settings

app = typer.Typer(help="One night: pull, decide, write back, once.", invoke_without_command=True)
EXITS = {"complete": COMPLETE, "partial": PARTIAL, "failed": FAILED}
_GONE = "nothing more is written there, what was stays (ledger list --state parked)"
_WORST = ("complete", "partial", "failed")


@app.callback()
def run(
    context: typer.Context,
    emr: Annotated[str | None, typer.Option(help="Only this EMR.")] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", exists=True, help="Folder of NDJSON or Bundles in place of a pull."),
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="Instant with offset; default now.")] = None,
    full: Annotated[
        bool,
        typer.Option(
            help="Read everything, not only what changed. With --from: what is not in the folder is gone."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Decide and count, write nothing.")] = False,
    max_new: Annotated[int, typer.Option(min=0, help="Patients who get their first Task or plan.")] = (
        DEFAULT_MAX_NEW
    ),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Read, decide with reasons, write back, read back."""
    if context.invoked_subcommand is not None:
        return
    with errors_become_exits(as_json):
        settings = Settings()
        database, doors = wiring.both_stores(settings)
        options = NightOptions(
            as_of=wiring.instant(as_of), source=source, full=full, dry_run=dry_run, max_new=max_new
        )
        tools = wiring.night_tools(settings, database)
        reports = [_one(tools, slug, options) for slug in _slugs(database, emr, source)]
        wiring.tell(settings, database)
        retention.apply(database, doors, now=wiring.now())
    for report in reports:
        _show(report)
    worst = max((report["status"] for report in reports), key=_WORST.index)
    if as_json:
        emit(reports[0] if len(reports) == 1 else {"status": worst, "items": reports})
    raise typer.Exit(EXITS[worst])


def _slugs(database: Database, emr: str | None, source: Path | None) -> list[str]:
    with database.read() as connection:
        slugs = [row.slug for row in connections.list_emrs(connection)]
    if emr is not None and emr not in slugs:
        raise Lost(f"there is no EMR with the slug {emr}")
    if not slugs:
        raise BadInput("no EMR is registered yet: cm-service emr add --help")
    if emr is None and source is not None and len(slugs) > 1:
        raise BadInput("--from needs --emr when several EMRs are registered")
    return [emr] if emr is not None else slugs


def _one(tools: Tools, slug: str, options: NightOptions) -> dict[str, Any]:
    """One EMR's night; an error of one EMR does not stop the others."""
    try:
        with progress(f"sync {slug}") as tell:
            return night(tools, slug, options, tell)
    except BadInput:
        raise
    except CmError as error:
        return {"emr": slug, **failure(error)}


def _show(report: dict[str, Any]) -> None:
    people.print(f"{report['emr']}: {report['status']}", style="bold", soft_wrap=True)
    for text in (report.get("error"), *report.get("problems", ())):
        if text:
            people.print(f"  {text}", style="yellow", soft_wrap=True)
    for text in report.get("passport_changes", ()):
        people.print(f"  passport: {text}", style="yellow", soft_wrap=True)
    if gone := report.get("departed"):
        people.print(
            f"  {gone} patients were deleted in the EMR since: {_GONE}", style="yellow", soft_wrap=True
        )
    for text in report.get("subscriptions", ()):
        people.print(f"  {text}", style="yellow", soft_wrap=True)
    words = ("patients", "decisions", "eligible", "insufficient_data", "rejects", "written", "refused")
    more = ("unknown", "pending", "seconds")
    figures = [f"{word.replace('_', ' ')} {report[word]}" for word in (*words, *more) if word in report]
    if figures:
        people.print("  " + ", ".join(figures), soft_wrap=True)
    if report.get("degraded"):
        places = ", ".join(f"{count} on {rung}" for rung, count in sorted(report["rungs"].items()))
        people.print(f"  this EMR takes less than CarePlan, Goal and Task: {places}", soft_wrap=True)


@app.command()
def status(
    emr: Annotated[str | None, typer.Option(help="Only this EMR.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """As of when what we hold is, and what proves it; the last runs, and what came out."""
    with errors_become_exits(as_json):
        database = wiring.open_database(Settings())
        with database.read() as connection:
            runs = sync.recent_runs(connection, emr)
            slugs = [emr] if emr else [row.slug for row in connections.list_emrs(connection)]
            standing = [freshness.told(connection, slug, now=wiring.now()) for slug in slugs]
        table = Table("run", "EMR", "as of", "source", "status", "written", "types not read to the end")
        for row in runs:
            read = ("complete", "absent")
            unread = ", ".join(kind for kind, how in row["types"].items() if how["status"] not in read)
            written = str(row["figures"].get("written", "-"))
            cells = (str(row["id"]), row["emr"], row["as_of"].isoformat(), row["source"], row["status"])
            table.add_row(*cells, written, unread or "-")
        people.print(table)
        for row in runs:
            _show_progress(row)
        for told in standing:
            _show_standing(told)
        if as_json:
            emit({"items": runs, "standing": standing})


def _show_progress(row: dict[str, Any]) -> None:
    """Of a night under way."""
    if row["status"] == "running":
        people.print(f"run {row['id']} of {row['emr']}, since {row['started_at'].isoformat()}")
        for kind, said in row["types"].items():
            people.print(f"  {pulling.sentence(kind, said)}", soft_wrap=True)


def _show_standing(told: dict[str, Any]) -> None:
    people.print(f"{told['emr']}: {told['state']}, last complete {told['last_complete'] or 'never'}")
    table = Table("type", "as of, for everybody", "as of, at best", "read whole", "patients")
    for kind, said in told["types"].items():
        table.add_row(
            kind, said["oldest"], said["newest"], said["whole"] or "-", str(said["patients"] or "-")
        )
    people.print(table)


@app.command(name="approve-deletions")
def approve_deletions(
    run: Annotated[int, typer.Argument(help="The run that found so much missing (sync status).")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Say that what a run found missing was really deleted in the EMR: the next sync looks once more, and
    then takes it out."""
    with errors_become_exits(as_json):
        emr, counts = freshness.approve_deletions(wiring.open_database(Settings()), run, now=wiring.now())
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        people.print(f"{emr}: up to {said} may go, if the next sync does not find them either")
        if as_json:
            emit({"status": "complete", "emr": emr, "run": run, "approved": counts})
