"""`cm-service clients`: the programs that may ask this service for tokens."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cm_service import wiring
from cm_service.api.security import scopes
from cm_service.cli import key_files
from cm_service.cli.output import emit, errors_become_exits, people
from cm_service.db import connections, doors
from cm_service.db.engine import Database
from cm_service.errors import BadInput
from cm_service.settings import Settings

app = typer.Typer(help="Programs that may use the REST API.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
ALL = "all"


@app.command()
def add(
    name: Annotated[str, typer.Option(help="What people call it.")],
    scope: Annotated[str, typer.Option(help="SMART system scopes, such as 'system/*.rs'.")],
    jwks_file: Annotated[Path | None, typer.Option(help="Its public keys (JWKS).")] = None,
    jwks_url: Annotated[str | None, typer.Option(help="Where its public keys stand (https).")] = None,
    emr: Annotated[
        list[str] | None, typer.Option(help="A connection that it may see, or `all`; default: none.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Register a client. Nothing is fetched now; a file is checked and kept."""
    with errors_become_exits(as_json):
        settings = Settings()
        store, database = wiring.both_stores(settings)
        columns = {"name": _name(name), **key_files.registered(jwks_file, jwks_url), "scope": _scope(scope)}
        columns["emrs"] = _emrs(store, emr or [])
        client_id = f"cm-{secrets.token_urlsafe(12)}"
        with database.write() as connection:
            doors.add_client(connection, id=client_id, created_at=wiring.now(), **columns)
        people.print(f"client {client_id} may ask for: {columns['scope']}", soft_wrap=True)
        if as_json:
            emit({"client_id": client_id, "name": name, "scope": columns["scope"], "emrs": columns["emrs"]})


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """Every client, with what it may ask for."""
    with errors_become_exits(as_json):
        _, database = wiring.both_stores(Settings())
        with database.read() as connection:
            items = [_shown(row) for row in doors.clients(connection)]
        table = Table("client_id", "name", "scope", "EMRs", "keys", "disabled")
        for item in items:
            emrs = ALL if item["emrs"] is None else ", ".join(item["emrs"]) or "none"
            keys = item["jwks_url"] or "file"
            table.add_row(item["client_id"], item["name"], item["scope"], emrs, keys, item["disabled_at"])
        people.print(table)
        if as_json:
            emit({"items": items})


@app.command()
def disable(client_id: str, as_json: Json = False) -> None:
    """No more tokens for this client; those that are out end now."""
    with errors_become_exits(as_json):
        _, database = wiring.both_stores(Settings())
        with database.write() as connection:
            doors.disable_client(connection, client_id, now=wiring.now())
        people.print(f"{client_id} is disabled")
        if as_json:
            emit({"client_id": client_id, "status": "disabled"})


def _name(name: str) -> str:
    if not 0 < len(name.strip()) <= 200:
        raise BadInput("--name needs 1 to 200 characters")
    return name.strip()


def _scope(scope: str) -> str:
    return scopes.written(scopes.parse(scope))


def _emrs(store: Database, slugs: list[str]) -> list[str] | None:
    if ALL in slugs:
        return None
    with store.read() as connection:
        return [connections.get_emr(connection, slug).slug for slug in dict.fromkeys(slugs)]


def _shown(row: Any) -> dict[str, Any]:
    return {
        "client_id": row.id,
        "name": row.name,
        "scope": row.scope,
        "emrs": row.emrs,
        "jwks_url": row.jwks_url,
        "created_at": row.created_at.isoformat(),
        "disabled_at": row.disabled_at.isoformat() if row.disabled_at else None,
    }
