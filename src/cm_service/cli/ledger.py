"""`cm-service ledger`: what was written to the EMRs, what waits, was refused, or is unknown."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import typer
from rich.table import Table

from cm_service import wiring
from cm_service.cli.output import emit, errors_become_exits, people
from cm_service.db import connections, cursors, ledger, placements, sync
from cm_service.db.engine import Database
from cm_service.errors import BadInput
from cm_service.flow import high_water
from cm_service.flow import resolve as resolving
from cm_service.flow.intents import State
from cm_service.settings import Settings

app = typer.Typer(help="The write-outcome ledger.", no_args_is_help=True)


def item(row: Any) -> dict[str, Any]:
    """One line of `ledger list --json`."""
    return {
        "id": row.id,
        "emr": row.emr,
        "patient": row.patient_id,
        "kind": row.kind,
        "code": row.code,
        "rule": row.rule,
        "state": row.state,
        "rung": row.rung,
        "reference": row.reference,
        "identifier": f"{row.system}|{row.value}",
        "deleted": row.deleted,
        "theirs": row.human,
        "reason": row.reason or row.degraded,
        "degraded": row.degraded,
        "accepted": row.accepted_at is not None,
    }


@app.command(name="list")
def list_(
    emr: Annotated[str | None, typer.Option(help="Only this EMR.")] = None,
    state: Annotated[str | None, typer.Option(help="Only this state, such as unknown or refused.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Every intent with its placement, oldest first."""
    with errors_become_exits(as_json):
        if state is not None and state not in set(State):
            raise BadInput(f"--state takes one of {', '.join(State)}")
        database = wiring.open_database(Settings())
        with database.read() as connection:
            items = [item(row) for row in ledger.listed(connection, emr=emr, state=state)]
        people.print(_table(items))
        if as_json:
            emit({"items": items})


def _table(items: list[dict[str, Any]]) -> Table:
    """One line each, as wide as the terminal: `--json` holds ids and reasons in full."""
    table = Table("id", "EMR", "patient", "what", "state", "rung", "reference", "reason")
    for one in items:
        reason = (one["reason"] or "").partition(":")[0].partition(";")[0]
        row = (str(one["id"]), one["emr"], _cut(one["patient"]), f"{one['kind']} {one['code']}", one["state"])
        table.add_row(*row, one["rung"], _cut(one["reference"] or "-"), reason)
    return table


def _cut(text: str, longest: int = 24) -> str:
    """Ids of up to 128 characters push everything else off a terminal."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@app.command()
def resolve(
    intent: Annotated[int, typer.Argument(metavar="ID", help="As `ledger list` shows it.")],
    written_as: Annotated[
        str | None, typer.Option(metavar="REF", help="It is in the EMR, as Type/ID; the EMR is asked.")
    ] = None,
    not_written: Annotated[
        bool, typer.Option("--not-written", help="It is not in the EMR: the next night sends it again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Say what became of an unknown or parked write that nothing can look up."""
    with errors_become_exits(as_json):
        if (written_as is None) != not_written:
            raise BadInput("say either --written-as REF or --not-written")
        settings = Settings()
        tools = wiring.night_tools(settings, wiring.open_database(settings))
        row = resolving.resolve(tools, intent, written_as=written_as)
        people.print(f"intent {row.id}: {row.state}{f' as {row.reference}' if row.reference else ''}")
        if as_json:
            emit({"status": "complete", **item(row)})


@app.command()
def accept(
    intent: Annotated[list[int], typer.Argument(metavar="ID...", help="As `ledger list` shows them.")],
    by: Annotated[str, typer.Option(help="Who accepts: a name or user id of the practice's own.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Let intents go where the EMR cannot take them back (write mode propose); they go in the next sync."""
    with errors_become_exits(as_json):
        database = wiring.open_database(Settings())
        with database.write() as connection:
            for each in intent:
                placements.accept(connection, each, by=by, now=wiring.now())
        people.print(f"{len(intent)} accepted by {by}: they go out in the next sync")
        if as_json:
            emit({"status": "complete", "accepted": intent})


@app.command()
def restored(
    since: Annotated[str, typer.Option(help="When the backup was made: an instant with its offset.")],
    emr: Annotated[str | None, typer.Option(help="Only this EMR.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Say that a backup was put back: what waited then may have been sent after it, so it counts as unknown
    and is looked up before it is sent; the next sync reads everything."""
    with errors_become_exits(as_json):
        settings, moment = Settings(), wiring.instant(since)
        if moment > wiring.now():
            raise BadInput("--since lies in the future")
        database = wiring.open_database(settings)
        with database.read() as connection:
            every = [row.slug for row in connections.list_emrs(connection)]
            slugs = [connections.get_emr(connection, emr).slug] if emr else every
        counts = {slug: _restored(settings, database, slug, moment) for slug in slugs}
        for slug, count in counts.items():
            people.print(f"{slug}: {count} intents are unknown until they have been looked up")
        if as_json:
            emit({"status": "complete", "unknown": counts})


def _restored(settings: Settings, database: Database, slug: str, since: dt.datetime) -> int:
    with database.lease(f"the sync of {slug}"):
        with database.write() as connection:
            count = ledger.restored(connection, slug, since=since, now=wiring.now())
            cursors.read_whole_again(connection, slug)
            newest = sync.newest_run(connection, slug)
        high_water.note(settings.data_dir, slug, newest)
    return count
