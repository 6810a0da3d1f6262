"""`cm-service ledger`: what was written to the EMRs, what waits, was refused, or is unknown."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from cm_service import wiring
from cm_service.cli.output import emit, errors_become_exits, people
from cm_service.db import ledger
from cm_service.errors import BadInput
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
        "reason": row.reason,
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
        table = Table("id", "EMR", "patient", "kind", "what", "state", "reference", "reason")
        for one in items:
            row = (one["id"], one["emr"], one["patient"], one["kind"], one["code"], one["state"])
            table.add_row(*map(str, row), one["reference"] or "-", one["reason"] or "")
        people.print(table)
        if as_json:
            emit({"items": items})
