"""`cm-service webhooks`: who is told about decisions, due tasks, refused writes and finished nights."""

from __future__ import annotations

import base64
import secrets
from typing import Annotated

import typer
from rich.table import Table

from cm_service import wiring
from cm_service.cli.output import emit, errors_become_exits, people
from cm_service.db import connections, webhooks
from cm_service.errors import BadInput
from cm_service.fhir.outside import require_allowed
from cm_service.flow.notices import EVENTS, SECRET_PREFIX
from cm_service.settings import Settings

app = typer.Typer(help="Signed webhooks to your own systems.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command()
def add(
    emr: Annotated[str, typer.Option(help="The EMR that it is told about.")],
    url: Annotated[str, typer.Option(help="https; nothing is called now.")],
    event: Annotated[list[str] | None, typer.Option(help=f"{', '.join(EVENTS)}; default: all.")] = None,
    as_json: Json = False,
) -> None:
    """Register a webhook. Its signing secret is shown once, now."""
    with errors_become_exits(as_json):
        events = list(dict.fromkeys(event or EVENTS))
        if unknown := set(events) - set(EVENTS):
            raise BadInput(f"there is no event {sorted(unknown)[0]}; known are {', '.join(EVENTS)}")
        require_allowed(url)
        settings = Settings()
        secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        sealed = wiring.sealer(settings).seal(secret)
        with wiring.open_database(settings).write() as connection:
            connections.get_emr(connection, emr)
            hook = webhooks.add(
                connection, emr=emr, url=url, secret=sealed, events=events, created_at=wiring.now()
            )
        people.print(f"webhook {hook}; its secret, shown once: {secret}", soft_wrap=True)
        if as_json:
            emit({"id": hook, "secret": secret, "events": events})


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """Every webhook, without its secret."""
    with errors_become_exits(as_json):
        with wiring.open_database(Settings()).read() as connection:
            rows = webhooks.of(connection)
        items = [{"id": row.id, "emr": row.emr, "url": row.url, "events": row.events} for row in rows]
        table = Table("id", "EMR", "URL", "events")
        for item in items:
            table.add_row(str(item["id"]), item["emr"], item["url"], ", ".join(item["events"]))
        people.print(table)
        if as_json:
            emit({"items": items})


@app.command()
def remove(webhook: int, as_json: Json = False) -> None:
    """Tell this one nothing more."""
    with errors_become_exits(as_json):
        with wiring.open_database(Settings()).write() as connection:
            webhooks.remove(connection, webhook)
        people.print(f"webhook {webhook} removed")
        if as_json:
            emit({"id": webhook, "status": "removed"})
