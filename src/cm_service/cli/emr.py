"""`cm-service emr`: connections to EMRs, their settings, and what each promises and was seen to do."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cm_service import wiring
from cm_service.cli import connection_values as values
from cm_service.cli import emr_auth, launch_options, notify_options
from cm_service.cli import passport as passports
from cm_service.cli.output import COMPLETE, PARTIAL, emit, errors_become_exits, people
from cm_service.db import care, connections, hints
from cm_service.db.engine import Database
from cm_service.errors import BadInput
from cm_service.fhir import vendor
from cm_service.flow import check, high_water, ladder_told, landing, passport
from cm_service.flow.connection import CONNECTION_SETTINGS, pair, parameters_of
from cm_service.flow.nightly import lease_of
from cm_service.settings import Settings

app = typer.Typer(help="EMR connections: add, list, set, check, pause, resume, remove.", no_args_is_help=True)

_SLUG = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line of stdout.")]


def public(row: Any) -> dict[str, Any]:
    """What may be shown of a connection: everything but where its secrets are."""
    hidden = ("token_reference", "cds_jwks")
    shown = {name: value for name, value in row._mapping.items() if name not in hidden}
    return shown | {
        "auth_options": emr_auth.public(row.auth_options),
        "launch_options": launch_options.public(row.launch_options),
        "notify_options": launch_options.public(row.notify_options),
    }


@app.command()
def add(
    slug: Annotated[str, typer.Option(help="Short name, used everywhere else.")],
    base_url: Annotated[str, typer.Option(help="FHIR R4 base URL.")],
    timezone: Annotated[str, typer.Option(help="The practice's IANA zone, such as America/Detroit.")],
    auth: Annotated[
        str, typer.Option(help=f"{', '.join(emr_auth.WAYS)}; none is for loopback only.")
    ] = "none",
    token: Annotated[str | None, typer.Option(help="bearer: env:NAME or file:PATH of the token.")] = None,
    client_id: Annotated[str | None, typer.Option(help="secret, backend: as registered.")] = None,
    secret: Annotated[str | None, typer.Option(help="secret: env:NAME or file:PATH of it.")] = None,
    secret_style: Annotated[str | None, typer.Option(help="secret: basic (default) or post.")] = None,
    token_url: Annotated[
        str | None, typer.Option(help="The registered token endpoint, where it is on another host.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="backend: env:NAME or file:PATH of a private key of its own.")
    ] = None,
    key_id: Annotated[str | None, typer.Option(help="backend: the kid that the EMR knows it by.")] = None,
    alg: Annotated[str | None, typer.Option(help="backend: RS384 or ES384 only.")] = None,
    aud: Annotated[str | None, typer.Option(help="backend: token-url (default), issuer, or a URL.")] = None,
    scope: Annotated[str | None, typer.Option(help="secret, backend: in place of the least needed.")] = None,
    scope_style: Annotated[str | None, typer.Option(help="secret, backend: v1 or v2.")] = None,
    allow_unauthenticated: Annotated[
        bool, typer.Option("--allow-unauthenticated", help="none: not only on loopback.")
    ] = False,
    group: Annotated[str | None, typer.Option(help="Group id of the panel.")] = None,
    practice: Annotated[str | None, typer.Option(help="The practice: Organization/ID.")] = None,
    owner: Annotated[
        str | None, typer.Option(help="Default owner of Tasks, such as Organization/ID.")
    ] = None,
    write_mode: Annotated[str, typer.Option(help="propose, auto or dry-run.")] = "propose",
    profile: Annotated[
        str | None, typer.Option(help=f"Vendor profile: {', '.join(vendor.names())}, or one of your own.")
    ] = None,
    cds_issuer: Annotated[
        str | None, typer.Option(help="Who signs CDS Hooks calls of this EMR (`iss`).")
    ] = None,
    cds_jwks_file: Annotated[Path | None, typer.Option(help="Its public keys (JWKS).")] = None,
    cds_jwks_url: Annotated[str | None, typer.Option(help="Where its public keys stand (https).")] = None,
    as_json: Json = False,
) -> None:
    """Register an EMR connection. Makes no network call."""
    with errors_become_exits(as_json):
        if not _SLUG.fullmatch(slug):
            raise BadInput("--slug takes letters, digits and, within, . _ -: it names folders and addresses")
        given = {"base-url": base_url, "timezone": timezone, "auth": auth, "token": token or ""}
        given |= {"practice": practice or "", "owner": owner or ""}
        given |= {"write-mode": write_mode, "profile": profile or ""}
        columns = values.columns_of(given.items())
        proofs = {
            "client-id": client_id,
            "secret": secret,
            "secret-style": secret_style,
            "token-url": token_url,
            "key": key,
            "key-id": key_id,
            "alg": alg,
            "aud": aud,
            "scope": scope,
            "scope-style": scope_style,
            "allow-unauthenticated": "yes" if allow_unauthenticated else None,
        }
        columns["auth_options"] = emr_auth.with_options({}, proofs)
        emr_auth.check(columns)
        columns |= values.cds_columns(cds_issuer, cds_jwks_file, cds_jwks_url)
        database = wiring.open_database(Settings())
        with database.write() as connection:
            connections.add_emr(
                connection,
                now=wiring.now(),
                slug=slug,
                group_id=group,
                **columns,
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
            kept = (row["slug"], row["base_url"], row["timezone"], row["auth"])
            mode = f"{row['write_mode']}, paused" if row["paused_at"] else row["write_mode"]
            table.add_row(*kept, mode, row["profile"] or "-", own)
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
    the options of `emr add` such as auth=backend client-id=ID, max-writes=500: the most in one night,
    test-patient=ID: the one patient whom questions to the EMR may be about). Nothing after = is none."""
    with errors_become_exits(as_json):
        database = wiring.open_database(Settings())
        with database.write() as connection:
            row = connections.get_emr(connection, slug)
            given = dict(map(pair, pairs))
            proofs = {key: value for key, value in given.items() if key in emr_auth.OPTIONS}
            columns = values.columns_of(item for item in given.items() if item[0] in CONNECTION_SETTINGS)
            columns["auth_options"] = emr_auth.with_options(row.auth_options, proofs)
            launch = {k: v for k, v in given.items() if k.startswith(launch_options.PREFIX)}
            columns["launch_options"] = launch_options.with_options(row.launch_options, launch)
            notify = {k: v for k, v in given.items() if k.startswith(notify_options.PREFIX)}
            columns["notify_options"] = notify_options.with_options(row.notify_options, notify)
            emr_auth.check({**row._mapping, **columns})
            special = {*CONNECTION_SETTINGS, *proofs, *launch, *notify}
            own = {k: v for k, v in given.items() if k not in special}
            columns["settings"] = {**row.settings, **own}
            parameters_of(columns["settings"])  # refuses an unknown key or a value out of range
            connections.update_emr(connection, slug, **columns)
        people.print(f"EMR {slug}: {len(pairs)} set; whoever it touches is judged again in the next sync")
        if as_json:
            emit({"slug": slug, "status": "complete", "settings": columns["settings"]})


@app.command()
def pause(slug: str, as_json: Json = False) -> None:
    """Write nothing to this EMR from now on; a night that runs stops before its next write. It is read on."""
    _pause(slug, wiring.now(), as_json)


@app.command()
def resume(slug: str, as_json: Json = False) -> None:
    """Let this EMR be written to again; what waited goes out in the next night."""
    _pause(slug, None, as_json)


def _pause(slug: str, at: dt.datetime | None, as_json: bool) -> None:
    with errors_become_exits(as_json):
        database = wiring.open_database(Settings())
        with database.write() as connection:
            connections.update_emr(connection, slug, paused_at=at)
        people.print(f"EMR {slug}: writing is paused" if at else f"EMR {slug}: writing goes on")
        if as_json:
            emit({"slug": slug, "status": "complete", "paused_at": at})


@app.command()
def remove(
    slug: str,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, forget all that is known of this EMR.")] = False,
    as_json: Json = False,
) -> None:
    """Forget an EMR: its connection, records, decisions, ledger and landing files. In the EMR itself
    everything stays as it is, and is recognised when the EMR is added again."""
    with errors_become_exits(as_json):
        settings = Settings()
        database, doors = wiring.both_stores(settings)
        with database.read() as connection:
            connections.get_emr(connection, slug)
            patients = len(care.patients(connection, slug))
        if not yes:
            raise BadInput(f"this forgets what is known of {patients} patients of {slug}: say --yes")
        with database.lease(lease_of(slug)), database.write() as connection:
            connections.remove_emr(connection, slug)
            landing.forget(settings.data_dir, slug)
        with doors.write() as connection:
            hints.forget(connection, slug)
        high_water.forget(settings.data_dir, slug)
        people.print(f"EMR {slug} removed, with what was known of {patients} patients")
        if as_json:
            emit({"slug": slug, "status": "complete", "patients": patients})


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
    with database.read() as connection:
        last_stay = passport.last_stay(connection, row.slug)
    async with wiring.fhir_client(settings, row) as client:
        zone = wiring.zone(row.timezone)
        report = await check.check(client, as_of=wiring.now(), zone=zone, last_stay=last_stay)
        examination = passport.examination(settings, database, client, row, now=wiring.now())
        if forget:
            examination.forget()
        await examination.whole(may_write=False)
    with database.read() as connection:
        warnings = [
            *report["warnings"],
            *passport.warnings(connection, row.slug, profile),
            *ladder_told.warnings(connection, row, profile),
        ]
        told = passport.told(connection, row.slug, profile)
        ladder = ladder_told.told(connection, row, profile)
    return {"slug": row.slug, **report, "warnings": warnings, "passport": told, "ladder": ladder}


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
    passports.show_ladder(report["ladder"])
    for warning in report["warnings"]:
        people.print(f"warning: {warning}", style="yellow", soft_wrap=True)
