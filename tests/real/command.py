"""The program as people run it: its own process, its own data folder, its exit code and last line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from cm_service.db import care
from cm_service.db.engine import Database
from cm_service.settings import Settings
from tests.real.program import Running

AS_OF = "2026-11-20T20:00:00-05:00"  # the moment at which the data of tests/data/synthea end
ZONE = "America/Detroit"
EVERYBODY = "100000"  # --max-new


class Said(NamedTuple):
    """`answer` is the JSON of the last line of stdout, {} where there is none."""

    exit: int
    answer: dict[str, Any]
    stdout: str
    stderr: str


class Home:
    """One installation: a data folder, and a store in it unless `database_url` names another. `settings`
    are further variables of its environment."""

    def __init__(self, folder: Path, *, database_url: str = "", **settings: str) -> None:
        self.folder, self.database_url, self.settings = folder, database_url, settings

    def run(self, *arguments: str) -> Said:
        """cm-service with these arguments, and with no setting of whoever runs the tests."""
        own = {"CM_DATA_DIR": str(self.folder), "CM_DATABASE_URL": self.database_url, **self.settings}
        done = Running(list(arguments), own).end()
        last = done.stdout.splitlines()[-1:]
        answer = json.loads(last[0]) if last and last[0].startswith("{") else {}
        return Said(done.exit, answer, done.stdout, done.stderr)

    def add(self, base_url: str, *options: str) -> None:
        """Registers the EMR `clinic`."""
        place = ["--slug", "clinic", "--base-url", base_url, "--timezone", ZONE]
        said = self.run("emr", "add", *place, *options)
        assert said.exit == 0, said.stderr

    def night(self, *options: str, as_of: str = AS_OF) -> dict[str, Any]:
        """`sync` for everybody; the summary of a night that was complete, and an error for any other."""
        said = self.run(
            "sync", "--emr", "clinic", "--as-of", as_of, "--max-new", EVERYBODY, "--json", *options
        )
        assert (said.exit, said.answer.get("status")) == (0, "complete"), said.stderr
        return said.answer

    def decisions(self) -> dict[tuple[str, str], dict[str, Any]]:
        """(patient, rule) -> the decision that the store keeps."""
        url = Settings(data_dir=self.folder, database_url=self.database_url).sqlalchemy_url
        database = Database(url, lock_dir=self.folder / "locks")
        with database.read() as connection:
            everybody = sorted(care.patients(connection, "clinic"))
            found = care.decisions_of(connection, "clinic", everybody)
        database.engine.dispose()
        return {(who, rule): json.loads(row.line) for who, own in found.items() for rule, row in own.items()}

    def ledger(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.run("ledger", "list", "--emr", "clinic", "--json").answer["items"]
        return items
