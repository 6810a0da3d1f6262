"""`serve`, `sandbox`, `migrate`, `doctor`, `openapi`, `panel`: running the service and trying it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer
import uvicorn

from cm_service import __version__, wiring
from cm_service.api.app import create_app
from cm_service.cli.output import FAILED, emit, errors_become_exits, people
from cm_service.db import connections
from cm_service.db.engine import Database
from cm_service.errors import BadInput, CmError
from cm_service.flow import high_water
from cm_service.rules import registry
from cm_service.sandbox import panel as panels
from cm_service.sandbox import server as sandboxes
from cm_service.sandbox.personality import adapted, personality_named
from cm_service.sandbox.store import Store
from cm_service.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def register(app: typer.Typer) -> None:
    for command in (serve, sandbox, migrate, doctor, openapi, panel):
        app.command()(command)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes; more than 1 needs PostgreSQL.")] = 1,
) -> None:
    """Serve HTTP: the REST API, its token endpoint, health and the OpenAPI document."""
    with errors_become_exits(as_json=False):
        if wiring.open_database(Settings()).is_sqlite and workers > 1:
            raise BadInput("--workers above 1 needs PostgreSQL (CM_DATABASE_URL): SQLite has one writer")
    uvicorn.run(
        "cm_service.api.app:from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        timeout_worker_healthcheck=60,  # on a busy machine an import takes more than the usual 5 s
        access_log=False,  # paths name patients
        server_header=False,
    )


def sandbox(
    personality: Annotated[str, typer.Option(help="Which EMR it behaves like.")] = "generous",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    patients: Annotated[int, typer.Option(min=116, help="Size of the synthetic panel.")] = 240,
    timezone: Annotated[str, typer.Option(help="The practice's zone.")] = "America/Detroit",
) -> None:
    """Serve a FHIR R4 EMR with a synthetic panel, to try the service without an EMR."""
    with errors_become_exits(as_json=False):
        behaviour = personality_named(personality)
        store = Store()
        resources = panels.build_panel(as_of=wiring.now(), zone=wiring.zone(timezone), patients=patients)
        store.load(adapted(resources, behaviour))
        people.print(f"sandbox EMR ({personality}) on http://127.0.0.1:{port}/fhir with {patients} patients")
        sandboxes.serve(store, personality=behaviour, port=port)


def migrate(as_json: Json = False) -> None:
    """Bring the database schema to the newest revision."""
    with errors_become_exits(as_json):
        revision = wiring.database(Settings()).migrate()
        people.print(f"schema is at {revision}")
        if as_json:
            emit({"status": "complete", "revision": revision})


def doctor(as_json: Json = False) -> None:
    """Is this installation able to work? Version, settings, database, rules."""
    settings = Settings()
    checks: dict[str, str] = {"version": __version__, "rules": f"{len(registry.RULES)} rules"}
    healthy = True
    try:
        database = wiring.open_database(settings)
        checks["database"] = f"{database.engine.dialect.name}, schema current"
        with database.read() as connection:
            emrs = connections.list_emrs(connection)
        for emr in emrs:
            unusable = _unusable(settings, emr)
            healthy = healthy and unusable is None
            checks[f"credentials of {emr.slug}"] = unusable or f"{emr.auth}, readable"
            older = _is_older(settings, database, emr.slug)
            healthy = healthy and older is None
            if older is not None:
                checks[f"store of {emr.slug}"] = older
    except (CmError, sa.exc.SQLAlchemyError, OSError) as error:
        healthy = False
        own = isinstance(error, CmError)
        checks["database"] = str(error) if own else f"cannot be opened ({type(error).__name__})"
    try:
        wiring.sealer(settings)
    except CmError as error:
        healthy = False
        checks["key of the store"] = str(error)
    checks["identifier base"] = settings.identifier_base
    for name, text in checks.items():
        people.print(f"{name}: {text}", soft_wrap=True)
    if as_json:
        emit({"status": "complete" if healthy else "failed", **checks})
    if not healthy:
        raise typer.Exit(FAILED)


def _unusable(settings: Settings, emr: Any) -> str | None:
    """What keeps us from asking this EMR: told now, not by the night."""
    try:
        wiring.credentials(settings, emr)
    except CmError as error:
        return str(error)
    return None


def _is_older(settings: Settings, database: Database, slug: str) -> str | None:
    """Was a backup put back, and nobody has said so?"""
    try:
        high_water.check(database, settings.data_dir, slug)
    except CmError as error:
        return str(error)
    return None


def openapi() -> None:
    """Print the OpenAPI document of `serve`."""
    typer.echo(json.dumps(create_app().openapi(), indent=2, ensure_ascii=False))


def panel(
    folder: Annotated[Path, typer.Argument(help="Where the NDJSON files go.")],
    patients: Annotated[int, typer.Option(min=116)] = 240,
    as_of: Annotated[str | None, typer.Option(help="Instant with offset; default now.")] = None,
    timezone: Annotated[str, typer.Option()] = "America/Detroit",
    as_json: Json = False,
) -> None:
    """Write the synthetic panel as NDJSON, one file per FHIR type."""
    with errors_become_exits(as_json):
        moment = wiring.instant(as_of)
        resources = panels.build_panel(as_of=moment, zone=wiring.zone(timezone), patients=patients)
        counts = panels.write_panel(resources, folder)
        people.print(f"{sum(counts.values())} resources in {folder}")
        if as_json:
            emit({"status": "complete", "counts": counts})
