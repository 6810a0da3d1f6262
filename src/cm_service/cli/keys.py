"""`cm-service keys`: the keys with which we sign, and which EMRs read at /.well-known/jwks.json."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from cm_service import wiring
from cm_service.cli.output import emit, errors_become_exits, people
from cm_service.settings import Settings

app = typer.Typer(help="Signing keys: rotate, list.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line of stdout.")]


@app.command()
def rotate(
    compromised: Annotated[
        bool, typer.Option("--compromised", help="Withdraw every key at once; EMRs refuse us for a while.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make keys, or put the next ones to use. A next key is used when it has been published for a day;
    until then the old one signs, and it stays published for a week after that."""
    with errors_become_exits(as_json):
        ring = wiring.keyring(Settings())
        ring.rotate(wiring.now(), compromised=compromised)
        _told(ring.listed(wiring.now()), as_json)


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """The keys, without the keys themselves: which one signs, since when, until when."""
    with errors_become_exits(as_json):
        _told(wiring.keyring(Settings()).listed(wiring.now()), as_json)


def _told(keys: list[dict[str, Any]], as_json: bool) -> None:
    table = Table("kid", "algorithm", "state", "used from", "replaced at")
    for key in keys:
        moments = (key["used_from"], key["replaced_at"])
        told = [f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "-" for moment in moments]
        table.add_row(key["kid"], key["alg"], key["state"], *told)
    people.print(table)
    if as_json:
        emit({"status": "complete", "keys": keys})
