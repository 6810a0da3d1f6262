"""The command line. Each command has `--help`; exit codes: 0 complete, 1 failed, 2 usage, 3 partial."""

from __future__ import annotations

import gc

import typer
from pydantic import ValidationError

from cm_service import logs
from cm_service.cli import clients, demo, emr, evaluate, keys, ledger, service, sync, webhooks
from cm_service.cli.output import USAGE, people
from cm_service.settings import Settings

app = typer.Typer(
    name="cm-service",
    help="Care management inside the EMR: finds the patients who need it, says why, writes the work back.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold PHI
    add_completion=False,
)


@app.callback()
def start() -> None:
    """Logs go to stderr, by allow-list, before any command runs."""
    try:
        settings = Settings()
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            name = f"CM_{'_'.join(map(str, each['loc'])).upper()}"
            people.print(f"error: {name}: {each['msg']}", style="red", soft_wrap=True)
        raise typer.Exit(USAGE) from None
    logs.configure(settings.log_level)


app.command()(demo.demo)
app.command()(evaluate.evaluate)
app.add_typer(emr.app, name="emr")
app.add_typer(sync.app, name="sync")
app.add_typer(ledger.app, name="ledger")
app.add_typer(clients.app, name="clients")
app.add_typer(keys.app, name="keys")
app.add_typer(webhooks.app, name="webhooks")
service.register(app)


def main() -> None:
    gc.freeze()  # what was imported stays: the collector need not walk through it all night
    app()
