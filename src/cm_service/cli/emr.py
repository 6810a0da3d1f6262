"""`cm-service emr`: connections to EMRs, their settings, and what each promises and was seen to do."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any

import typer
from rich.table import Table

from cm_service import wiring
from cm_service.cli import passport as passports
from cm_service.cli.output import COMPLETE, PARTIAL, emit, errors_become_exits, people
from cm_service.db import connections
from cm_service.db.engine import Database
from cm_service.errors import BadInput
from cm_service.fhir import vendor
from cm_service.flow import check, passport
from cm_service.flow.connection import CONNECTION_SETTINGS, pair, parameters_of
from cm_service.settings import Settings

app = typer.Typer(help="EMR connections: add, list, set, check.", no_args_is_help=True)

_SLUG = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_MAY_BE_NONE = ("practice", "owner", "profile", "test-patient")
Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line of stdout.")]


def public(row: Any) -> dict[str, Any]:
    """What may be shown of a connection: everything but where its token is."""
    hidden = {"token_reference"}
    return {name: value for name, value in row._mapping.items() if name not in hidden}


@app.command()
def add(
    slug: Annotated[str, typer.Option(help="Short name, used everywhere else.")],
    base_url: Annotated[str, typer.Option(help="FHIR R4 base URL.")],
    timezone: Annotated[str, typer.Option(help="The practice's IANA zone, such as America/Detroit.")],
    auth: Annotated[str, typer.Option(help="none (loopback only) or bearer.")] = "none",
    token: Annotated[str | None, typer.Option(help="Where the token is: env:NAME or file:PATH.")] = None,
    group: Annotated[str | None, typer.Option(help="Group id of the panel.")] = None,
    practice: Annotated[str | None, typer.Option(help="The practice: Organization/ID.")] = None,
    owner: Annotated[
        str | None, typer.Option(help="Default owner of Tasks, such as Organization/ID.")
    ] = None,
    write_mode: Annotated[str, typer.Option(help="propose, auto or dry-run.")] = "propose",
    profile: Annotated[
        str | None, typer.Option(help=f"Vendor profile: {', '.join(vendor.names())}, or one of your own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Register an EMR connection. Makes no network call."""
    with errors_become_exits(as_json):
        if not _SLUG.fullmatch(slug):
            raise BadInput("--slug takes letters, digits and, within, . _ -: it names folders and addresses")
        _one_of("--auth", auth, ("none", "bearer"))
        if auth == "bearer" and token is None:
            raise BadInput("--auth bearer needs --token env:NAME or --token file:PATH")
        if token is not None and not token.startswith(("env:", "file:")):
            raise BadInput("--token says where the token is, env:NAME or file:PATH, not what it is")
        database = wiring.open_database(Settings())
        with database.write() as connection:
            connections.add_emr(
                connection,
                now=wiring.now(),
                slug=slug,
                base_url=_connection_value("base-url", base_url),
                timezone=_connection_value("timezone", timezone),
                auth=auth,
                token_reference=token,
                group_id=group,
                practice=practice,
                owner=owner,
                write_mode=_connection_value("write-mode", write_mode),
                profile=_connection_value("profile", profile or ""),
                settings={},
            )
        people.print(f"EMR {slug} added; next: cm-service emr check {slug}")
        if as_json:
            emit({"slug": slug, "status": "complete"})


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """The registered EMR connections."""
    with errors_become_exits(as_json):
        database = wiring.open_database(Settings())
        with database.read() as connection:
            rows = [public(row) for row in connections.list_emrs(connection)]
        table = Table("slug", "base URL", "zone", "auth", "write mode", "profile", "settings")
        for row in rows:
            own = ", ".join(f"{key}={value}" for key, value in sorted(row["settings"].items()))
            kept = (row["slug"], row["base_url"], row["timezone"], row["auth"], row["write_mode"])
            table.add_row(*kept, row["profile"] or "-", own)
        people.print(table)
        if as_json:
            emit({"items": rows})


@app.command(name="set")
def set_(
    slug: str,
    pairs: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="Rule parameters or settings.")],
    as_json: Json = False,
) -> None:
    """Change rule parameters (a1c.target=7.5) or connection settings (write-mode=auto, profile=epic,
    test-patient=ID: the one patient whom questions to the EMR may be about). Nothing after = is none."""
    with errors_become_exits(as_json):
        database = wiring.open_database(Settings())
        with database.write() as connection:
            row = connections.get_emr(connection, slug)
            columns: dict[str, Any] = {"settings": dict(row.settings)}
            for key, value in map(pair, pairs):
                if key in CONNECTION_SETTINGS:
                    columns[key.replace("-", "_")] = _connection_value(key, value)
                else:
                    columns["settings"][key] = value
            parameters_of(columns["settings"])  # refuses an unknown key or a value out of range
            connections.update_emr(connection, slug, **columns)
        people.print(f"EMR {slug}: {len(pairs)} set; whoever it touches is judged again in the next sync")
        if as_json:
            emit({"slug": slug, "status": "complete", "settings": columns["settings"]})


def _connection_value(key: str, value: str) -> str | None:
    """The value as it is kept, None for none. Raises BadInput; a base URL is never quoted, since it may
    hold a password."""
    if key == "base-url":
        if "@" in value.rpartition("://")[2].partition("/")[0]:
            raise BadInput("a base URL may hold no user or password: use --auth and --token")
        return value.rstrip("/")
    if key == "timezone":
        wiring.zone(value)
    if key == "write-mode":
        _one_of(key, value, ("propose", "auto", "dry-run"))
    if key == "profile":
        vendor.load(value, extra=Settings().extra_profiles)
    return value if value or key not in _MAY_BE_NONE else None


@app.command(name="check")
def check_(
    slug: Annotated[str | None, typer.Argument()] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget refusals: what is promised is tried once more.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What each EMR declares and was seen to do (its passport), and what that means for the rules."""
    with errors_become_exits(as_json):
        settings = Settings()
        database = wiring.open_database(settings)
        with database.read() as connection:
            rows = [connections.get_emr(connection, slug)] if slug else connections.list_emrs(connection)
        reports = [asyncio.run(_check_one(settings, database, row, forget)) for row in rows]
        for report in reports:
            _show(report)
        warned = any(report["warnings"] for report in reports)
        if as_json:
            emit({"status": "partial" if warned else "complete", "items": reports})
    raise typer.Exit(PARTIAL if warned else COMPLETE)


async def _check_one(settings: Settings, database: Database, row: Any, forget: bool) -> dict[str, Any]:
    """Reads the EMR, and keeps what it saw: the next night goes by it."""
    profile = passport.profile_of(settings, row)
    async with wiring.fhir_client(settings, row) as client:
        report = await check.check(client, as_of=wiring.now(), zone=wiring.zone(row.timezone))
        examination = passport.examination(settings, database, client, row, now=wiring.now())
        if forget:
            examination.forget()
        await examination.whole(may_write=False)
    with database.read() as connection:
        warnings = [*report["warnings"], *passport.warnings(connection, row.slug, profile)]
        told = passport.told(connection, row.slug, profile)
    return {"slug": row.slug, **report, "warnings": warnings, "passport": told}


def _show(report: dict[str, Any]) -> None:
    table = Table(
        "type", "declared", "conditional create", title=f"{report['slug']} ({report['fhir_version']})"
    )
    for kind, verbs in report["types"].items():
        table.add_row(
            kind, ", ".join(verbs["interactions"]) or "-", "yes" if verbs["conditional_create"] else "-"
        )
    people.print(table)
    passports.show(report["slug"], report["passport"])
    for warning in report["warnings"]:
        people.print(f"warning: {warning}", style="yellow", soft_wrap=True)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadInput(f"{name} takes one of {', '.join(allowed)}, not {value!r}")
